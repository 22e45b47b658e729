//! The user's terminal: raw mode, the pseudo-terminal between it and the engine's client, detach keys, and the modes that programs
//! set. Printing is in `base/console.rs`.

pub mod characters;
pub mod keys;
pub mod modes;
pub mod pty;
pub mod questions;
pub mod relay;
pub mod tracker;
