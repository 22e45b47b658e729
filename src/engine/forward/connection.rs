//! One connection between a program on this machine and a bridge in the container, through a client of the engine.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::base::text;

/// The time a program has to close the connection after the server has, so that it can read the rest.
const LINGER: Duration = Duration::from_secs(1);

/// The size of a read, in bytes.
const CHUNK: usize = 64 * 1024;

/// The limit for text from stderr and for one line of it, in bytes. The text can come from the container.
pub const WORDS: usize = 2048;

/// The stack size of a thread, in bytes: there are many threads, and they use little of it.
pub const STACK: usize = 128 * 1024;

/// The stdin of `cleanup.sh`, which ends processes in the container. Errors don't matter: once the script has exited, the processes
/// have ended, too.
#[derive(Debug)]
pub struct Cleanup(pub Mutex<Option<ChildStdin>>);

/// The outcome of a connection, as far as it says something about the port.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A server accepted the connection.
    Answered,
    /// Nothing listens on the port.
    Refused,
    /// The bridge could not be started, with the engine's error.
    Failed(String),
}

/// A connection in progress.
#[derive(Debug)]
pub struct Connection {
    program: TcpStream,
    cleanup: Arc<Cleanup>,
    state: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The ID of the bridge's process.
    process: Option<u32>,
    /// The program's side of the connection is closed.
    cut: bool,
    /// The number of bytes written to the program.
    delivered: u64,
    /// The number of bytes that the server has sent, once it has sent all.
    total: Option<u64>,
    refused: bool,
    words: String,
}

impl Cleanup {
    fn end(&self, process: u32) {
        if let Some(stdin) = lock(&self.0).as_mut() {
            let _ = writeln!(stdin, "{process}");
        }
    }

    /// Closes stdin, which ends all remaining processes. Never blocks, even if `cleanup.sh` was stopped in the container.
    pub fn finish(&self) {
        if let Ok(mut stdin) = self.0.try_lock() {
            stdin.take();
        }
    }
}

impl Connection {
    /// Makes a connection from the socket of a program.
    pub fn new(program: TcpStream, cleanup: Arc<Cleanup>) -> Self {
        Self { program, cleanup, state: Mutex::default() }
    }

    /// Copies both directions until the bridge has exited, and with it `client`. Returns `None` if the connection was cut.
    pub fn run(&self, mut client: Child) -> Option<Outcome> {
        let (stdin, stdout, stderr) = (client.stdin.take()?, client.stdout.take()?, client.stderr.take()?);
        let status = thread::scope(|scope| {
            let thread = || thread::Builder::new().stack_size(STACK);
            // The sender is dropped when the program has sent everything.
            let (sending, sent) = mpsc::channel::<()>();
            let up = thread().spawn_scoped(scope, move || {
                self.send(stdin);
                drop(sending);
            });
            let down = thread().spawn_scoped(scope, || self.receive(stdout));
            if up.is_err() || down.is_err() {
                self.cut();
            }
            self.read_messages(stderr);
            let status = client.wait();
            drop(down.map(thread::ScopedJoinHandle::join));
            let _ = self.program.shutdown(Shutdown::Write);
            let _ = sent.recv_timeout(LINGER);
            let _ = self.program.shutdown(Shutdown::Both);
            status
        });
        let state = lock(&self.state);
        if state.cut {
            None
        } else if state.delivered > 0 || status.is_ok_and(|status| status.success()) {
            Some(Outcome::Answered)
        } else if state.refused {
            Some(Outcome::Refused)
        } else {
            // The processes of a container that stops end without a message.
            state.words.lines().last().map(|line| Outcome::Failed(text::name(line)))
        }
    }

    /// Closes the connection at once and ends the bridge.
    pub fn cut(&self) {
        let mut state = lock(&self.state);
        if !state.cut {
            state.cut = true;
            let _ = self.program.shutdown(Shutdown::Both);
            // A bridge that has not printed its ID yet is ended when it does.
            if let Some(process) = state.process {
                self.cleanup.end(process);
            }
        }
    }

    /// Copies from the program to the bridge. `io::copy` would delay small messages from a socket to a pipe.
    fn send(&self, stdin: ChildStdin) {
        let mut chunk = vec![0; CHUNK];
        // A bridge that has exited reads nothing more, but its last output may still be on the way to the program, so the
        // rest of the program's data is read and dropped.
        let mut stdin = Some(stdin);
        loop {
            match (&self.program).read(&mut chunk) {
                Ok(0) => return,
                Ok(size) => stdin = stdin.filter(|mut stdin| stdin.write_all(&chunk[..size]).is_ok()),
                Err(_) => return self.cut(),
            }
        }
    }

    /// Copies from the bridge to the program.
    fn receive(&self, mut stdout: ChildStdout) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(size @ 1..) = stdout.read(&mut chunk) {
            if (&self.program).write_all(&chunk[..size]).is_err() {
                self.cut();
                // A client whose output isn't read exits, but its bridge doesn't.
                let _ = io::copy(&mut stdout, &mut io::sink());
                return;
            }
            let mut state = lock(&self.state);
            state.delivered += size as u64;
            self.pass_end_on(&state);
        }
    }

    /// Reads stderr, the bridge's messages or the client's errors, until both have exited.
    fn read_messages(&self, stderr: ChildStderr) {
        let mut stderr = BufReader::with_capacity(WORDS, stderr);
        let mut line = Vec::new();
        while matches!(stderr.by_ref().take(WORDS as u64).read_until(b'\n', &mut line), Ok(size) if size > 0)
        {
            self.read_message(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    fn read_message(&self, line: &str) {
        let mut state = lock(&self.state);
        if let (Ok(process), None) = (line.parse(), state.process) {
            state.process = Some(process);
            if state.cut {
                self.cleanup.end(process);
            }
        } else if line == "refused" {
            state.refused = true;
        } else if let Some(Ok(total)) = line.strip_prefix("end ").map(str::parse) {
            state.total = Some(total);
            self.pass_end_on(&state);
        } else if state.words.len() < WORDS {
            state.words.push_str(line);
            state.words.push('\n');
        }
    }

    /// Tells the program that the server has sent everything, once the program has it: the order of stdout and stderr isn't
    /// defined.
    fn pass_end_on(&self, state: &Progress) {
        if state.total == Some(state.delivered) {
            let _ = self.program.shutdown(Shutdown::Write);
        }
    }
}

/// Locks a mutex. No panic can leave the values here half changed, so a poisoned lock is fine.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
