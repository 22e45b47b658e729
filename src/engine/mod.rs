//! docker and podman: detection, queries, command lines and errors. Nothing here knows what makes a container a cage.

pub mod args;
pub mod command;
pub mod container;
mod containers_conf;
pub mod dialect;
mod docker_config;
pub mod error;
pub mod forward;
pub mod image;
pub mod info;
mod json;
pub mod mount;
pub mod new_file;
pub mod place;
pub mod proxies;
pub mod publish;
pub mod query;
pub mod runner;
pub mod runtime;
pub mod signals;
pub mod spec;
mod trouble;
