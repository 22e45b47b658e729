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
mod lab;

/// One test per engine for each named function: `on_each_engine!(start_makes_a_cage)` makes `start_makes_a_cage::docker`,
/// `::rootless_docker`, `::podman` and `::rootless_podman`. With `registry:` in front they need the local registry, with
/// `podmans:` they are not for docker, with `everybody:` there is one more for an ordinary user of the rootful docker.
macro_rules! on_each_engine {
    (registry: $($body:ident),+ $(,)?) => {
        $(on_each_engine!(@ $body, true, docker Docker, rootless_docker RootlessDocker);)+
    };
    (everybody: $($body:ident),+ $(,)?) => {
        $(on_each_engine!(
            @ $body, false, docker Docker, group_docker GroupDocker, rootless_docker RootlessDocker
        );)+
    };
    (podmans: $($body:ident),+ $(,)?) => { $(on_each_engine!(@ $body, false);)+ };
    (@ $body:ident, $registry:expr $(, $name:ident $engine:ident)*) => {
        mod $body {
            use crate::lab::{Engine, run};
            $(
                #[test]
                fn $name() {
                    run(Engine::$engine, $registry, super::$body);
                }
            )*
            #[test]
            fn podman() {
                run(Engine::Podman, $registry, super::$body);
            }

            #[test]
            fn rootless_podman() {
                run(Engine::RootlessPodman, $registry, super::$body);
            }
        }
    };
    ($($body:ident),+ $(,)?) => {
        $(on_each_engine!(@ $body, false, docker Docker, rootless_docker RootlessDocker);)+
    };
}

mod agent;
mod commands;
mod differences;
mod doctor;
mod dry_run;
mod forward;
mod interrupted;
mod machines;
mod people;
mod places;
mod prune;
mod run;
mod status;
mod terminal;
mod threats;
mod yours;
