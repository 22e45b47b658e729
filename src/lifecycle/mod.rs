//! Creating, entering, replacing and removing a cage: the plans that commands share.
//!
//! - Which engine and cage a command is about: `choice`, `find`, `belonging`, `elsewhere`.
//! - A new cage: `preflight`, `new_ports` and `new_cage` gather facts, `description` turns them into a container, `notices` into
//!   messages, `create` into plans. An existing one: `resume`.
//! - Being in a cage: `attach` (what happens on detach and at the end), `client` (the engine's client in a pseudo-terminal, where the
//!   detach keys arrive), `exec` and `connected` (commands), `kept_modes`, `open_terminals`, `ending`.
//! - Carrying out: `plan` and `steps`, with `lock`.

pub mod acknowledged;
pub mod attach;
pub mod baseline;
pub mod belonging;
pub mod choice;
mod client;
pub mod connected;
pub mod context;
mod create;
mod description;
pub mod elsewhere;
pub mod ending;
mod environment;
pub mod exec;
pub mod find;
pub mod foreground;
pub mod from_script;
pub mod kept_modes;
pub mod lock;
mod mount_points;
pub mod new_cage;
mod new_ports;
mod notices;
pub mod open_terminals;
pub mod pause;
pub mod plan;
pub mod preflight;
pub mod resume;
pub mod session;
pub mod start;
pub mod steps;
pub mod unused;
pub mod worktrees;

#[cfg(test)]
mod tests;
