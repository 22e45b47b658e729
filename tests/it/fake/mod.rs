//! A fake engine: what cage asks of one, call by call, and what it says.

mod bad_input;
mod below;
mod check;
mod commands;
mod differences;
mod doctor;
mod dry_run;
mod forward;
mod hostile;
mod list;
pub mod machine;
mod prune;
mod secrets;
