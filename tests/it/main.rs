//! Black-box tests of the built binary that need no engine.

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
mod completions;
mod documents;
mod fake;
mod formula;
mod help;
mod install;
mod layers;
mod manual;
mod repository;
