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
    state: Option<State>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A shell of this name waits for input.
    Waits(String),
    /// A program is at work, or suspended, since some time.
    Works(String, Duration),
}

impl Foreground {
    /// Returns the command that prints the program of a container.
    pub fn query(runtime: &Runtime, container: &str) -> Invocation {
        runtime.command(["exec", "--workdir", "/", container, "/bin/sh", "-c", SCRIPT]).within(ANSWER)
    }

    /// Returns the same command, which also continues a program that Ctrl-Z has suspended although no shell could continue it.
    pub fn query_and_continue(runtime: &Runtime, container: &str) -> Invocation {
        Self::query(runtime, container).arg("sh").arg("continue")
    }

    /// Reads what the command printed; `None` if it failed.
    pub fn of(answer: Result<Output, EngineError>) -> Option<Self> {
        let output = answer.ok().filter(|output| output.status.success())?;
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Returns the shell's name, if it is one that waits for input.
    pub fn waiting_shell(self) -> Option<String> {
        let State::Waits(shell) = self.state? else { return None };
        Some(shell)
    }

    /// Returns the program, unless it is a shell that waits for input: a user has started it and detached.
    pub fn visitor(self) -> Option<Visitor> {
        let State::Works(program, age) = self.state? else { return None };
        let since = SystemTime::now().checked_sub(age)?;
        Some(Visitor { way: Way::Terminal, program, since })
    }

    fn parse(output: &str) -> Option<Self> {
        // The kernel's names are shorter, and cage keeps these.
        let mut lines = output.lines().map(|line| Some(line).filter(|line| line.len() <= 64));
        let id = lines.next()?.filter(|id| !id.is_empty())?.trim().to_owned();
        let state = lines.next().flatten().and_then(|line| {
            let (age, name) = line.split_once(' ')?;
            let works = |seconds| State::Works(name.to_owned(), Duration::from_secs(seconds));
            if age == "-" { Some(State::Waits(name.to_owned())) } else { age.parse().ok().map(works) }
        });
        Some(Self { id, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_the_cage_may_print_anything() {
        let read = |output| Foreground::parse(output).map(|it| (it.id, it.state));
        let works = State::Works("claude".into(), Duration::from_secs(65));
        assert_eq!(read("7 812\n65 claude\n").unwrap().1.unwrap(), works);
        assert_eq!(read("7 812\n- zsh\n").unwrap(), ("7 812".into(), Some(State::Waits("zsh".into()))));
        for (odd, is_known) in [
            ("", false),
            ("\n", false),
            ("7\n", true),
            ("7\n-1 x", true),
            ("7\n99999999999999999999 x", true),
            ("7\nx", true),
            (&format!("7\n- {}", "x".repeat(70)), true),
            (&"7".repeat(70), false),
        ] {
            assert_eq!(read(odd).map(|(_, state)| state), is_known.then_some(None), "{odd:?}");
        }
        let ancient = Foreground::parse(&format!("7\n{} x", u64::MAX)).unwrap();
        assert_eq!(ancient.visitor(), None);
    }
}
