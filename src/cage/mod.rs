//! The model of a cage: its options, labels, user, home, environment, SSH agent and isolation.

pub mod accounts;
pub mod create_options;
pub mod defaults;
pub mod engine_args;
pub mod env_file;
pub mod existing;
pub mod from_script;
pub mod home;
pub mod image_facts;
pub mod isolation;
pub mod mount_points;
pub mod named_places;
pub mod nesting;
pub mod network;
pub mod option_files;
pub mod options;
pub mod personal;
pub mod proof;
pub mod proxy;
pub mod pull;
pub mod seccomp;
pub mod ssh_agent;
pub mod user;
pub mod variable;
