//! Helpers that all other folders use: text for terminals and shells, console output, errors, files and names.

pub mod console;
pub mod error;
pub mod file;
pub mod mount_point;
pub mod name;
pub mod script;
pub mod text;
pub mod time;
