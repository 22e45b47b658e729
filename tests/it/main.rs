//! Black-box tests of the built binary, in one integration binary.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests start processes, read the environment, print, and fail by panicking"
)]

mod completions;
mod engines;
mod fake;
mod help;
mod manual;
mod repository;
mod terminal;
mod threats;
