//! Facts about this machine, its user and the project directory. Everything here reads; nothing changes files or talks to an engine.

pub mod completion;
pub mod detach_keys;
pub mod git_config;
pub mod ids;
pub mod machine;
pub mod places;
pub mod project;
pub mod reach;
pub mod terminal_variables;
pub mod worktree;
