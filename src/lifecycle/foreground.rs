//! The program in the foreground of a cage's first terminal, which goes on when the user detaches.

use std::process::Output;
use std::time::{Duration, SystemTime};

use crate::base::script;
use crate::engine::command::Invocation;
use crate::engine::error::EngineError;
use crate::engine::runtime::Runtime;
use crate::lifecycle::ending::ANSWER;
use crate::lifecycle::open_terminals::{Visitor, Way};

const SCRIPT: &str = script::body(include_str!("foreground.sh"));

/// The program in the foreground.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreground {
    /// Identifies the program until the container stops.
    pub id: String,
    /// The program and its age, unless it is a shell that waits for input.
    at_work: Option<(String, Duration)>,
}

impl Foreground {
    /// Returns the command that prints the program of a container.
    pub fn query(runtime: &Runtime, container: &str) -> Invocation {
        runtime.command(["exec", "--workdir", "/", container, "/bin/sh", "-c", SCRIPT]).within(ANSWER)
    }

    /// Reads what the command printed; `None` if it failed.
    pub fn of(answer: Result<Output, EngineError>) -> Option<Self> {
        let output = answer.ok().filter(|output| output.status.success())?;
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Returns the program, unless it is a shell that waits for input: a user has started it and detached.
    pub fn visitor(self) -> Option<Visitor> {
        let (program, age) = self.at_work?;
        let since = SystemTime::now().checked_sub(age)?;
        Some(Visitor { way: Way::Terminal, program, since })
    }

    fn parse(output: &str) -> Option<Self> {
        let mut lines = output.lines();
        let id = lines.next().filter(|id| !id.is_empty())?.trim().to_owned();
        let at_work = lines.next().and_then(|line| {
            let (age, program) = line.split_once(' ')?;
            Some((program.to_owned(), Duration::from_secs(age.parse().ok()?)))
        });
        Some(Self { id, at_work })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_the_cage_may_print_anything() {
        let read = |output| Foreground::parse(output).map(|it| (it.id, it.at_work));
        assert_eq!(
            read("7 812\n65 claude\n").unwrap().1.unwrap(),
            ("claude".into(), Duration::from_secs(65))
        );
        assert_eq!(read("7 812\n").unwrap(), ("7 812".into(), None));
        for (odd, is_known) in [
            ("", false),
            ("\n", false),
            ("7\n-1 x", true),
            ("7\n99999999999999999999 x", true),
            ("7\nx", true),
        ] {
            assert_eq!(read(odd).map(|(_, at_work)| at_work), is_known.then_some(None), "{odd:?}");
        }
        let ancient = Foreground::parse(&format!("7\n{} x", u64::MAX)).unwrap();
        assert_eq!(ancient.visitor(), None);
    }
}
