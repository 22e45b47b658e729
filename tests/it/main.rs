//! Black-box tests of the built binary, in one integration binary.

mod engines;
mod fake;
mod repository;
mod terminal;
