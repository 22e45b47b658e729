//! Pausing cages while a plan is executed, so that code in them changes nothing meanwhile.

use anyhow::{Context as _, Result};

use crate::base::console;
use crate::base::error::Failure;
use crate::cage::existing::Cage;
use crate::engine::command::Invocation;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;

/// The pausing of cages.
#[derive(Debug)]
pub struct Pause {
    names: String,
    begin: Invocation,
    end: Invocation,
    /// Whether the plan is executed even if the engine can't pause.
    is_optional: bool,
}

impl Pause {
    /// Returns how to pause these cages, and to continue them.
    pub fn new(runtime: &Runtime, cages: &[Cage]) -> Self {
        let names: Vec<&str> = cages.iter().map(|cage| cage.name.as_str()).collect();
        let command =
            |word| runtime.command([word].into_iter().chain(cages.iter().map(|cage| cage.id.as_str())));
        Self { names: names.join(", "), begin: command("pause"), end: command("unpause"), is_optional: false }
    }

    /// Continues with a warning if the engine can't pause.
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Executes `work` while the cages are paused. They are continued also if it fails.
    ///
    /// # Errors
    /// Those of `work`, or when the cages have to be paused and can't be.
    pub fn around<T>(&self, runner: Runner, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let names = &self.names;
        let (is_paused, result) = match runner.run(&self.begin) {
            Ok(_) => (true, work()),
            Err(error) if self.is_optional => {
                console::warn(&format!(
                    "cannot pause {names}: code there could lead this cage's mounts elsewhere as it starts: {error}"
                ));
                (false, work())
            }
            Err(error) => {
                let failure = Failure::new(format!("cannot pause {names}"))
                    .hint("`cage stop` there first: code there could lead this engine's mounts elsewhere");
                (false, Err(error).context(failure))
            }
        };
        // Also those that were paused before another one could not be.
        if let (Err(error), true) = (runner.run(&self.end), is_paused) {
            console::warn(&format!("{names} may still be paused, which `cage start` there ends: {error}"));
        }
        result
    }

    /// Renders the lines of a script that do the same around others.
    pub fn script(&self, lines: &str) -> String {
        let unless = if self.is_optional { " || true" } else { "" };
        format!("{} >/dev/null{unless}\n{lines}\n{} >/dev/null{unless}", self.begin, self.end)
    }
}
