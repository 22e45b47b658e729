//! Helpers that know nothing of containers: text for terminals and shells, console output, errors, files, names.

pub mod console;
pub mod error;
