//! Black-box tests of the built binary on real engines: the same bodies on docker and podman, each with and without root.
//! `cargo test` alone leaves them out; `scripts/test` and `cargo test --test engines` run them.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests start processes, read the environment, print, and fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod emulator;
mod lab;

/// Makes one test per engine of each named function: `on_each_engine!(start_makes_a_cage)` makes
/// `start_makes_a_cage::docker`, `::rootless_docker`, `::podman` and `::rootless_podman`.
///
/// A word in front chooses other engines, which saves minutes if the tested behaviour doesn't depend on the engine:
///
/// - `clients:` one docker and one podman, one run by root and one by an ordinary user
/// - `registry:` the same, for tests that need the local registry
/// - `everybody:` all four, and rootful docker used by an ordinary user
/// - `podmans:` both podmans
macro_rules! on_each_engine {
    ($($body:ident),+ $(,)?) => {
        $(tests_of!($body, false, docker Docker, rootless_docker RootlessDocker, podman Podman,
            rootless_podman RootlessPodman);)+
    };
    (clients: $($body:ident),+ $(,)?) => {
        $(tests_of!($body, false, docker Docker, rootless_podman RootlessPodman);)+
    };
    (registry: $($body:ident),+ $(,)?) => {
        $(tests_of!($body, true, docker Docker, rootless_podman RootlessPodman);)+
    };
    (everybody: $($body:ident),+ $(,)?) => {
        $(tests_of!($body, false, docker Docker, group_docker GroupDocker, rootless_docker RootlessDocker,
            podman Podman, rootless_podman RootlessPodman);)+
    };
    (podmans: $($body:ident),+ $(,)?) => {
        $(tests_of!($body, false, podman Podman, rootless_podman RootlessPodman);)+
    };
}

/// Makes the tests of one function.
macro_rules! tests_of {
    ($body:ident, $registry:expr, $($name:ident $engine:ident),+) => {
        mod $body {
            use crate::lab::{Engine, run};
            $(
                #[test]
                fn $name() {
                    run(Engine::$engine, $registry, super::$body);
                }
            )+
        }
    };
}

mod agent;
mod choice;
mod commands;
mod differences;
mod doctor;
mod dry_run;
mod elsewhere;
mod examples;
mod forward;
mod from_script;
mod identity;
mod images;
mod interrupted;
mod machines;
mod modes;
mod mounts;
mod networks;
mod option_files;
mod package;
mod people;
mod places;
mod prune;
mod record;
mod run;
mod status;
mod system;
mod terminal;
mod threats;
mod tmux;
mod worktrees;
mod yours;
