//! Creating, entering, replacing and removing a cage: the plans that commands share.

pub mod attach;
pub mod baseline;
pub mod context;
pub mod create;
mod environment;
pub mod exec;
pub mod find;
pub mod plan;
pub mod preflight;
pub mod replace;
pub mod resume;
pub mod session;
pub mod start;
pub mod steps;
pub mod unused;

#[cfg(test)]
mod tests;
