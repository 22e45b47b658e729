//! Creating, entering, replacing and removing a cage: the plans that commands share.

pub mod attach;
pub mod baseline;
pub mod create;
pub mod exec;
pub mod plan;
pub mod session;
pub mod start;
pub mod steps;
pub mod unused;
