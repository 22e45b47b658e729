//! Facts about this machine, its user and the project directory. Everything here reads; nothing changes files or talks to an
//! engine.

pub mod completion;
pub mod detach_keys;
pub mod git_config;
pub mod git_dirs;
pub mod git_pattern;
pub mod git_person;
pub mod git_remotes;
pub mod git_repository;
pub mod ids;
pub mod known_hosts;
pub mod machine;
pub mod places;
pub mod project;
pub mod reach;
pub mod ssh_config;
pub mod systemd;
pub mod terminal_variables;
pub mod users;
pub mod worktree;
