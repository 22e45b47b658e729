//! Passing bytes between the user's terminal and a pseudo-terminal, in two threads.
//!
//! ```text
//! stdin ───▶ pass_input: KeyFilter ─────▶ Pty ───▶ the engine's client
//! stdout ◀── pass_output: ModeTracker ◀── Pty ◀──────────┘
//! ```

use std::io::{self, PipeReader};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::stdio::{stdin, stdout};

use super::keys::KeyFilter;
use super::modes::ModeTracker;
use super::pty::Pty;

/// How long a part of a key's sequence is held back.
const HOLD: Duration = Duration::from_millis(5);

/// How long to wait for an answer of the terminal, which may be far away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most input that waits for a client that doesn't read, in bytes. Until then the detach keys are looked for.
const MAX_WAITING: usize = 64 * 1024;

/// Passes the user's input on to a pseudo-terminal until `ended` is closed, and calls `on_keys` each time the detach keys were
/// held back. Returns whether the user's terminal has gone away before.
///
/// # Errors
/// When the system refuses to wait.
pub fn pass_input(
    pty: &Pty,
    ended: &PipeReader,
    filter: &mut KeyFilter,
    mut on_keys: impl FnMut(),
) -> io::Result<bool> {
    let mut input = [0; 4096];
    let mut waiting = Vec::new();
    loop {
        let wanted = if waiting.len() < MAX_WAITING { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(ended, PollFlags::IN),
            PollFd::from_borrowed_fd(stdin(), wanted),
            PollFd::new(pty, PollFlags::OUT),
        ];
        let watched = if waiting.is_empty() { 2 } else { 3 };
        let is_in_time = wait(&mut fds[..watched], filter.holds_back().then_some(HOLD))?;
        if !fds[0].revents().is_empty() {
            return Ok(false);
        }
        if !is_in_time && filter.flush(&mut waiting) {
            on_keys();
        }
        if !fds[1].revents().is_empty() {
            match read(stdin(), &mut input) {
                Ok(0) | Err(Errno::IO) => return Ok(true),
                Ok(count) => {
                    for byte in &input[..count] {
                        if filter.feed(*byte, &mut waiting) {
                            on_keys();
                        }
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // A client that has closed its terminal is about to end.
        let count = if waiting.is_empty() { 0 } else { write(pty, &waiting).unwrap_or(0) };
        waiting.drain(..count);
    }
}

/// Passes the output of a pseudo-terminal on to the user's terminal until `ended` is closed and everything is read, and follows the
/// modes that it sets.
///
/// # Errors
/// When the system refuses to wait.
pub fn pass_output(pty: &Pty, ended: &PipeReader, tracker: &Mutex<ModeTracker>) -> io::Result<()> {
    let mut output = vec![0; 64 * 1024];
    let mut is_open = true;
    loop {
        match read_all(pty, &mut output) {
            Ok(count) if count > 0 => {
                let output = &output[..count];
                tracker.lock().unwrap_or_else(PoisonError::into_inner).feed(output);
                // Without a terminal the rest is still read, so that the client doesn't wait.
                is_open = is_open && show(output).is_ok();
            }
            Err(Errno::INTR) => {}
            // Nothing to read now, or never again: Linux says EIO when the client has closed its terminal, others the end.
            nothing => {
                let mut fds = [PollFd::new(ended, PollFlags::IN), PollFd::new(pty, PollFlags::IN)];
                let watched = if nothing == Err(Errno::AGAIN) { 2 } else { 1 };
                wait(&mut fds[..watched], None)?;
                let is_empty = fds[1].revents().is_empty();
                if !fds[0].revents().is_empty() && is_empty {
                    return Ok(());
                }
            }
        }
    }
}

/// Discards what the terminal has sent until now because of modes that were undone just before, such as pointer movements: asks it
/// for an answer and reads until that.
pub fn discard_reports() {
    let (question, answer): (&[u8], &[u8]) = (b"\x1b[5n", b"\x1b[0n");
    let deadline = Instant::now() + PATIENCE;
    let (mut input, mut read_so_far) = ([0; 4096], Vec::new());
    if show(question).is_err() {
        return;
    }
    while !read_so_far.windows(answer.len()).any(|part| part == answer) {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        match wait(&mut fds, Some(left)).map(|is_in_time| is_in_time.then(|| read(stdin(), &mut input))) {
            Ok(Some(Ok(count @ 1..))) => read_so_far.extend_from_slice(&input[..count]),
            _ => return,
        }
    }
}

/// Reads what there is, up to the size of the buffer. A pseudo-terminal gives only some kilobytes at once.
fn read_all(pty: &Pty, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut count = 0;
    while count < buffer.len() {
        match read(pty, &mut buffer[count..]) {
            Ok(more @ 1..) => count += more,
            nothing if count == 0 => return nothing,
            _ => break,
        }
    }
    Ok(count)
}

/// Writes to the user's terminal, which may be slow.
fn show(mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        match write(stdout(), output) {
            Ok(count) => output = &output[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                wait(&mut [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits for one of several files, for a limited time. Returns false when the time is over.
fn wait(fds: &mut [PollFd], limit: Option<Duration>) -> io::Result<bool> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    match poll(fds, limit.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
