//! The diagnosis that `cage doctor` prints: facts about this machine, its engines and the project, and the checks made
//! from them.
//!
//! doctor runs when something else does not work, so every fact may be missing, no engine command runs without a time
//! limit, and nothing that doctor creates remains.

mod checks;
mod engine_checks;
mod engines;
mod facts;
mod personal_checks;
mod probe;
mod report;
mod resource_checks;
mod rootless;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::checks::checks;
pub use self::facts::Facts;
pub use self::report::{Check, Level, count};

/// The time limit for each engine command.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
