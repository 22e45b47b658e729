//! A fake engine: what cage asks of one, call by call, and what it says.

mod bad_input;
mod check;
mod commands;
mod differences;
mod dry_run;
mod forward;
mod hostile;
pub mod machine;
mod secrets;
