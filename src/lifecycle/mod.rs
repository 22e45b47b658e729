//! Creating, entering, replacing and removing a cage: the plans that commands share.

pub mod acknowledged;
pub mod attach;
pub mod baseline;
pub mod belonging;
pub mod choice;
mod client;
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
mod notices;
pub mod open_terminals;
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
