//! Helpers for the tests of both binaries, with and without engines.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub mod forwarding;

/// How long anything may take that is waited for. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Do the tests run as root?
pub fn is_root() -> bool {
    // The owner of a process's directory is its effective user.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Skips a test aloud for want of something that the lab brings up, and fails where there must be everything.
#[track_caller]
pub fn absent(engine: impl fmt::Display, why: &str) {
    let must_be_there = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!must_be_there, "{engine}: {why}; tests/lab/up brings it up");
    skipped(engine, why);
}

/// Tells that something could not be tested. Not with `eprintln!`, which the test runner hides when a test passes.
pub fn skipped(engine: impl fmt::Display, why: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = writeln!(io::stderr(), "skipped: {engine}: {why} ({count} skipped so far)");
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
