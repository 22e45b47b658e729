//! Passing bytes between the user's terminal and a pseudo-terminal, in two threads.
//!
//! ```text
//! stdin ───▶ pass_input: KeyFilter ─────▶ Pty ───▶ the engine's client
//! stdout ◀── pass_output: ModeTracker ◀── Pty ◀──────────┘
//! ```

use std::io::{self, PipeReader, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::stdio::{stdin, stdout};

use super::keys::KeyFilter;
use super::pty::{self, Pty};
use super::tracker::{ModeTracker, Output};

/// How long a part of a key's sequence is held back.
const HOLD: Duration = Duration::from_millis(5);

/// How long to wait for an answer of the terminal, which may be far away.
pub const ANSWER: Duration = Duration::from_secs(1);

/// The most input that waits for a client that doesn't read, in bytes.
const MAX_WAITING: usize = 64 * 1024;

/// A client that reads nothing for so long, although that much is waiting, is stuck: only the detach keys count then.
const STUCK: Duration = Duration::from_secs(5);

/// How long a client may take to read the input that was typed before the detach keys.
const READS: Duration = Duration::from_secs(1);

/// How long a client may take to pass on the last input that it has read.
const PASSES_ON: Duration = Duration::from_millis(50);

/// How long to wait until the terminal may be cage's again.
const NOT_YET: Duration = Duration::from_millis(20);

/// What happens to the user's input, besides being passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The detach keys were held back.
    Keys,
    /// Input was discarded because the client is stuck.
    Discarded,
}

/// Passes the input of the user's terminal on to a pseudo-terminal until `ended` is closed or `on_input` breaks. What comes after
/// the keys for which it breaks is not passed on, and not read either unless it came with them. Returns whether the user's terminal
/// has gone away before.
///
/// # Errors
/// When the system refuses to wait.
pub fn pass_input(
    terminal: impl AsFd,
    pty: &Pty,
    ended: &PipeReader,
    filter: &mut KeyFilter,
    mut on_input: impl FnMut(Input) -> ControlFlow<()>,
) -> io::Result<bool> {
    let (mut input, mut waiting) = ([0; 4096], Vec::new());
    let (start, mut last_taken) = (Instant::now(), Duration::ZERO);
    loop {
        let is_full = waiting.len() >= MAX_WAITING;
        let is_stuck = is_full && start.elapsed() >= last_taken + STUCK;
        let wanted = if is_full && !is_stuck { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [
            PollFd::new(ended, PollFlags::IN),
            PollFd::new(&terminal, wanted),
            PollFd::new(pty, PollFlags::OUT),
        ];
        let is_paused = !waiting.is_empty() && pty.is_paused();
        let watched = if waiting.is_empty() || is_paused { 2 } else { 3 };
        let limit = if filter.holds_back() || is_paused { Some(HOLD) } else { is_full.then_some(STUCK) };
        let is_in_time = wait(&mut fds[..watched], limit)?;
        let [has_ended, has_input, takes_input] = fds.map(|fd| fd.revents());
        if !has_ended.is_empty() {
            return Ok(false);
        }
        let (now, before, mut count) = (start.elapsed(), waiting.len(), 0);
        if !has_input.is_empty() {
            let Some(read) = read_input(&terminal, pty, &mut input)? else {
                pass_rest(pty, ended, &mut waiting)?;
                return Ok(true);
            };
            count = read;
        }
        let mut is_pressed = !is_in_time && filter.flush(&mut waiting);
        let mut bytes = input[..count].iter();
        loop {
            if is_pressed {
                pass_rest(pty, ended, &mut waiting)?;
                if on_input(Input::Keys).is_break() {
                    return Ok(false);
                }
            }
            let Some(byte) = bytes.next() else { break };
            is_pressed = filter.feed(*byte, now, &mut waiting);
        }
        if is_stuck && waiting.len() > before {
            waiting.truncate(before);
            let _ = on_input(Input::Discarded);
        }
        let taken = if waiting.is_empty() { 0 } else { pty.write(&waiting) };
        waiting.drain(..taken);
        if takes_input.intersects(PollFlags::HUP | PollFlags::ERR) {
            // The client has closed its terminal, but may go on. It takes no more input.
            waiting.clear();
        }
        if taken > 0 || waiting.is_empty() {
            last_taken = now;
        }
    }
}

/// Reads the user's input, unless it is for another program. Returns as [`read_typed`].
fn read_input(terminal: impl AsFd, pty: &Pty, input: &mut [u8]) -> io::Result<Option<usize>> {
    let turn = pty.hold_input();
    // Without the user's shell the system tells that the terminal is gone.
    if *turn && pty::is_in_background(&terminal) {
        drop(turn);
        thread::sleep(NOT_YET);
        return Ok(Some(0));
    }
    read_typed(&terminal, input)
}

/// Reads what is typed, unless somebody else has read it meanwhile. Returns the number of bytes; `None` when the input has ended, or
/// the terminal is gone.
fn read_typed(terminal: impl AsFd, input: &mut [u8]) -> io::Result<Option<usize>> {
    if !wait(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(Duration::ZERO))? {
        return Ok(Some(0));
    }
    match read(&terminal, input) {
        Ok(0) | Err(Errno::IO) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

/// Passes on the input that is waiting, and gives the client time to do the same before it may be ended.
fn pass_rest(pty: &Pty, ended: &PipeReader, waiting: &mut Vec<u8>) -> io::Result<()> {
    let deadline = Instant::now() + READS;
    loop {
        let taken = pty.write(waiting);
        waiting.drain(..taken);
        let left = deadline.saturating_duration_since(Instant::now());
        let is_paused = !waiting.is_empty() && pty.is_paused();
        let (watched, limit) = match (waiting.is_empty(), is_paused) {
            (true, _) => (1, PASSES_ON),
            (false, true) => (1, HOLD.min(left)),
            (false, false) => (2, left),
        };
        let mut fds = [PollFd::new(ended, PollFlags::IN), PollFd::new(pty, PollFlags::OUT)];
        let is_in_time = wait(&mut fds[..watched], Some(limit))? || is_paused && !left.is_zero();
        let [has_ended, takes_input] = fds.map(|fd| fd.revents());
        if !is_in_time || !has_ended.is_empty() || takes_input.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(());
        }
    }
}

/// Passes lines that are typed on to a pipe, until the user ends the input, or `ended` is closed. Nothing is read in the background, or
/// while a program such as a pager reads single keys.
///
/// # Errors
/// When the system refuses to wait, or the pipe is closed.
pub fn pass_lines(terminal: impl AsFd, mut pipe: impl Write, ended: &PipeReader) -> io::Result<()> {
    let mut input = [0; 4096];
    loop {
        let mut fds = [PollFd::new(ended, PollFlags::IN), PollFd::new(&terminal, PollFlags::IN)];
        wait(&mut fds, None)?;
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        if pty::is_in_background(&terminal) || !pty::reads_lines(&terminal) {
            has_ended(ended, NOT_YET)?;
            continue;
        }
        let Some(count) = read_typed(&terminal, &mut input)? else { return Ok(()) };
        pipe.write_all(&input[..count])?;
    }
}

/// Waits until `ended` is closed, for a limited time. Returns whether it is.
///
/// # Errors
/// When the system refuses to wait.
pub fn has_ended(ended: &PipeReader, limit: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(ended, PollFlags::IN)];
    wait(&mut fds, Some(limit))?;
    Ok(!fds[0].revents().is_empty())
}

/// Passes the output of a pseudo-terminal on to the user's terminal until `ended` is closed and everything is read, and follows the
/// modes that it sets. Between two sequences it shows what comes from `notes`. When the command inside is suspended, so is cage's job,
/// and when it needs the terminal in the background. What comes when cage has left the user's terminal waits, or is discarded.
///
/// # Errors
/// When the system refuses to wait.
pub fn pass_output(
    terminal: impl AsFd,
    pty: &Pty,
    ended: &PipeReader,
    notes: &PipeReader,
    tracker: &Mutex<ModeTracker>,
) -> io::Result<()> {
    let (mut output, mut note) = (vec![0; 64 * 1024], [0; 1024]);
    let (mut is_open, mut is_shown, mut is_between) = (true, true, true);
    let locked = || tracker.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if locked().output() == Output::Held {
            if !has_ended(ended, NOT_YET)? {
                continue;
            }
            end_suspension(&terminal, pty, tracker);
        }
        let note_is = if is_between { PollFlags::IN } else { PollFlags::empty() };
        let mut fds =
            [PollFd::new(ended, PollFlags::IN), PollFd::new(notes, note_is), PollFd::new(pty, PollFlags::IN)];
        wait(&mut fds[..if is_open { 3 } else { 2 }], None)?;
        let [has_ended, has_note, has_output] = fds.map(|fd| fd.revents());
        let turn = pty.hold_output();
        let fate = locked().output();
        if fate == Output::Held {
            continue;
        }
        if has_note.contains(PollFlags::IN) {
            let count = read(notes, &mut note).unwrap_or(0);
            let _ = show(&terminal, &note[..count]);
        }
        if has_output.is_empty() {
            if has_ended.is_empty() {
                continue;
            }
            return Ok(());
        }
        match read_all(pty, &mut output) {
            Ok(count) if count > 0 => {
                pty.note_output();
                let output = &output[..count];
                let mut tracker = locked();
                tracker.feed(output);
                let before = tracker.keep_titles(is_between);
                is_between = tracker.is_between_sequences();
                let is_suspended =
                    tracker.take_suspension() || fate == Output::Beside && tracker.needs_terminal();
                drop(tracker);
                // Without a terminal the rest is still read, so that the client doesn't wait.
                if fate != Output::Discarded {
                    is_shown = is_shown
                        && show(&terminal, before.as_bytes()).and_then(|()| show(&terminal, output)).is_ok();
                }
                drop(turn);
                if is_suspended && fate != Output::Discarded {
                    pty::suspend_job();
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The client has closed its terminal: Linux says EIO, others the end.
            _ => is_open = false,
        }
    }
}

/// Decides about the last output of a client that ended before cage was continued.
fn end_suspension(terminal: impl AsFd, pty: &Pty, tracker: &Mutex<ModeTracker>) {
    let _turn = pty.hold_output();
    let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
    if pty::is_in_background(&terminal) {
        tracker.give_up();
    } else {
        let _ = show(&terminal, tracker.return_to_terminal().as_bytes());
    }
}

/// Discards what the terminal has sent until now because of modes that were undone just before, such as pointer movements, or as
/// answers to a program: asks it for an answer and reads until that. A program may have asked the same, so many `times`.
pub fn discard_reports(times: usize) {
    let (question, answer): (&[u8], &[u8]) = (b"\x1b[5n", b"\x1b[0n");
    let (start, mut input, mut end, mut answers) = (Instant::now(), [0; 4096], Vec::new(), 0);
    let mut is_open = show(stdout(), question).is_ok();
    while is_open && answers <= times {
        let mut fds = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        let is_in_time = wait(&mut fds, Some(ANSWER.saturating_sub(start.elapsed()))).unwrap_or(false);
        let count = if is_in_time { read(stdin(), &mut input).unwrap_or(0) } else { 0 };
        end.extend_from_slice(&input[..count]);
        answers += end.windows(answer.len()).filter(|part| *part == answer).count();
        end.drain(..end.len().saturating_sub(answer.len() - 1));
        is_open = count > 0;
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
///
/// # Errors
/// When the terminal has gone away.
pub fn show(terminal: impl AsFd, mut output: &[u8]) -> io::Result<()> {
    while !output.is_empty() {
        match write(&terminal, output) {
            Ok(count) => output = &output[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                wait(&mut [PollFd::new(&terminal, PollFlags::OUT)], None)?;
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

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write as _, pipe};
    use std::os::fd::OwnedFd;
    use std::thread;

    use super::*;
    use crate::host::detach_keys::DetachKeys;

    /// Passes input on while `work` types, with whether the keys are to stop it, and returns what `work` returned, the input's
    /// events, and the time that passing took on the processor.
    fn passing<T>(
        stops: bool,
        work: impl FnOnce(&mut PipeWriter, OwnedFd, &mut PipeReader) -> T,
    ) -> (T, Vec<Input>, Duration) {
        let (pty, client) = Pty::open(false).unwrap();
        let ((mut keyboard, mut typed), (ended, end)) = (pipe().unwrap(), pipe().unwrap());
        let input = keyboard.try_clone().unwrap();
        thread::scope(|scope| {
            let passed = scope.spawn(move || {
                let mut events = Vec::new();
                let gone =
                    pass_input(input, &pty, &ended, &mut KeyFilter::new(&DetachKeys::default()), |input| {
                        events.push(input);
                        if stops && input == Input::Keys {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    });
                assert!(!gone.unwrap());
                // Only Linux tells.
                let time = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
                let time = time.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default();
                (events, Duration::from_nanos(time))
            });
            let result = work(&mut typed, client, &mut keyboard);
            drop(end);
            let (events, time) = passed.join().unwrap();
            (result, events, time)
        })
    }

    fn received(client: &OwnedFd) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let mut fds = [PollFd::new(client, PollFlags::IN)];
        let has_some = wait(&mut fds, Some(Duration::from_millis(300))).unwrap();
        let count = if has_some { read(client, &mut bytes).unwrap() } else { 0 };
        bytes[..count].to_vec()
    }

    #[test]
    fn nothing_is_passed_on_after_the_keys() {
        let ((), events, _) = passing(true, |typed, client, keyboard| {
            typed.write_all(b"before").unwrap();
            assert_eq!(received(&client), b"before");
            typed.write_all(b"\x1ctouch file\r").unwrap();
            assert_eq!(received(&client), b"");
            // What is typed later is left for the user's shell.
            typed.write_all(b"later\r").unwrap();
            assert_eq!(received(&client), b"");
            let mut left = [0; 6];
            io::Read::read_exact(keyboard, &mut left).unwrap();
            assert_eq!(&left, b"later\r");
        });
        assert_eq!(events, [Input::Keys]);
    }

    #[test]
    fn what_is_typed_before_the_keys_is_passed_on_first() {
        let typed_at_once = |text: &[u8]| {
            let ((pty, client), (ended, _end)) = (Pty::open(false).unwrap(), pipe().unwrap());
            let (keyboard, mut typed) = pipe().unwrap();
            typed.write_all(&[text, b"\x1cafter"].concat()).unwrap();
            thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut all = Vec::new();
                    while all.len() < text.len() {
                        let more = received(&client);
                        assert!(!more.is_empty(), "only {} bytes", all.len());
                        all.extend(more);
                    }
                    all
                });
                let mut filter = KeyFilter::new(&DetachKeys::default());
                pass_input(keyboard, &pty, &ended, &mut filter, |_| ControlFlow::Break(())).unwrap();
                assert_eq!(reader.join().unwrap(), text);
            });
            assert_eq!(received(&client), b"");
        };
        typed_at_once(b"before\r");
        // A paste that is longer than what a pseudo-terminal holds.
        typed_at_once(&b"x".repeat(40_000));
    }

    #[test]
    fn the_keys_are_seen_behind_input_that_is_not_read() {
        let (count, events, _) = passing(false, |typed, client, _| {
            // More than a pipe, a pseudo-terminal and the buffer hold.
            let text = [b'x'; 4096];
            for _ in 0..40 {
                typed.write_all(&text).unwrap();
            }
            typed.write_all(b"\x1c").unwrap();
            thread::sleep(Duration::from_millis(500));
            let mut count = 0;
            loop {
                let bytes = received(&client);
                if bytes.is_empty() {
                    break count;
                }
                assert!(bytes.iter().all(|byte| *byte == b'x'));
                count += bytes.len();
            }
        });
        assert!(count >= MAX_WAITING, "{count}");
        assert_eq!(events[0], Input::Discarded);
        assert_eq!(events.iter().filter(|event| **event == Input::Keys).count(), 1);
    }

    #[test]
    fn no_input_is_lost_while_a_slow_client_reads() {
        let input: Vec<u8> = (0..300_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
        let (read, events, _) = passing(false, |typed, client, _| {
            thread::scope(|scope| {
                scope.spawn(|| typed.write_all(&input).unwrap());
                let mut all = Vec::new();
                while all.len() < input.len() {
                    let more = received(&client);
                    assert!(!more.is_empty());
                    all.extend(more);
                }
                all
            })
        });
        assert!(read == input);
        assert_eq!(events, []);
    }

    #[test]
    fn a_client_that_closed_its_terminal_costs_no_time() {
        let ((), events, time) = passing(false, |typed, client, _| {
            drop(client);
            typed.write_all(b"text\x1c").unwrap();
            thread::sleep(Duration::from_millis(500));
        });
        assert_eq!(events, [Input::Keys]);
        assert!(time < Duration::from_millis(100), "{time:?}");
    }

    #[test]
    fn a_note_is_not_shown_in_the_middle_of_a_sequence() {
        let ((pty, client), tracker) = (Pty::open(false).unwrap(), Mutex::new(ModeTracker::default()));
        let ((ended, end), (notes, mut note)) = (pipe().unwrap(), pipe().unwrap());
        let (terminal, screen) = pipe().unwrap();
        let shows = |text: &str| {
            let mut fds = [PollFd::new(&terminal, PollFlags::IN)];
            let (mut all, mut bytes) = (Vec::new(), [0; 100]);
            while wait(&mut fds, Some(Duration::from_millis(300))).unwrap() {
                let count = read(&terminal, &mut bytes).unwrap();
                all.extend_from_slice(&bytes[..count]);
            }
            assert_eq!(String::from_utf8_lossy(&all), text);
        };
        thread::scope(|scope| {
            scope.spawn(|| pass_output(screen, &pty, &ended, &notes, &tracker).unwrap());
            write(&client, b"text\x1b[3").unwrap();
            shows("text\x1b[3");
            note.write_all(b"note").unwrap();
            shows("");
            write(&client, b"1m").unwrap();
            shows("1mnote");
            note.write_all(b"another").unwrap();
            shows("another");
            drop(end);
        });
    }
}
