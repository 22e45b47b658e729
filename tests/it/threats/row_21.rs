//! Row 21: files in the project that the host runs. They can't be prevented, so `cage check` reports them: its tests are in
//! `engines/leftovers.rs`.
