//! Tests with a fake engine: cage's calls and output.

mod asking;
mod bad_input;
mod below;
mod calls;
mod check;
mod choice;
mod commands;
mod copying;
mod differences;
mod doctor;
mod dry_run;
mod forward;
mod from_script;
mod hostile;
mod identity;
mod list;
mod locks;
pub mod machine;
mod many;
mod prune;
mod screens;
mod secrets;
mod side_by_side;
mod terminal;
mod visitors;
mod waiting;
