//! Helpers for the tests of both binaries, with and without engines.

use std::env;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

pub mod forwarding;
pub mod releases;

/// How long anything may take that is waited for. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Do the tests run as root?
pub fn is_root() -> bool {
    // The owner of a process's directory is its effective user.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Skips a test for want of something that the lab brings up. Under CI that is a failure.
#[track_caller]
pub fn absent(engine: impl fmt::Display, why: &str) {
    let must_be_there = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!must_be_there, "{engine}: {why}; tests/lab/up brings it up");
    skipped(engine, why);
}

/// Reports that something could not be tested: on stderr, and in the file that scripts/test counts. Not with `eprintln!`,
/// which the test runner hides when a test passes.
pub fn skipped(engine: impl fmt::Display, why: &str) {
    let thread = thread::current();
    let line = format!("{} {engine}: {why}\n", thread.name().unwrap_or("a thread"));
    let _ = write!(io::stderr(), "skipped: {line}");
    if let Some(path) = env::var_os("CAGE_TEST_SKIPPED") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

/// Waits until `holds`, and fails if it never does.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A port that nothing on this machine listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
