//! Real engines: the same bodies on docker, rootful podman and rootless podman.

pub mod lab;

/// One test per engine for each named function: `on_each_engine!(start_makes_a_cage)` makes
/// `start_makes_a_cage::docker`, `::podman` and `::rootless`. With `registry:` in front they need the local registry,
/// with `podmans:` they are not for docker.
macro_rules! on_each_engine {
    (registry: $($body:ident),+ $(,)?) => { $(on_each_engine!(@ $body, true);)+ };
    (podmans: $($body:ident),+ $(,)?) => {
        $(mod $body {
            use crate::engines::lab::{Engine, run};

            #[test]
            fn podman() {
                run(Engine::Podman, false, super::$body);
            }

            #[test]
            fn rootless() {
                run(Engine::Rootless, false, super::$body);
            }
        })+
    };
    (@ $body:ident, $registry:expr) => {
        mod $body {
            use crate::engines::lab::{Engine, run};

            #[test]
            fn docker() {
                run(Engine::Docker, $registry, super::$body);
            }

            #[test]
            fn podman() {
                run(Engine::Podman, $registry, super::$body);
            }

            #[test]
            fn rootless() {
                run(Engine::Rootless, $registry, super::$body);
            }
        }
    };
    ($($body:ident),+ $(,)?) => { $(on_each_engine!(@ $body, false);)+ };
}
pub(crate) use on_each_engine;

mod boundary;
mod commands;
mod differences;
mod dry_run;
mod places;
mod yours;
