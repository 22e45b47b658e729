//! The repository, tested against itself.
