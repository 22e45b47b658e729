//! One connection: a program on this machine that connected, and a client of the engine's that stands for a process inside.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a program may take to notice that the other side is done, before it is cut off. Cut off at once, it could lose
/// what it hasn't read yet.
const LINGER: Duration = Duration::from_secs(1);

/// What is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// How much of what is said on stderr is kept, in bytes, and how long a line may be: it may come from inside.
const WORDS: usize = 2048;

/// Stacks of threads hold next to nothing, and there are many, in bytes.
pub const STACK: usize = 128 * 1024;

/// Ends processes inside. Whatever it is told once it has ended itself doesn't matter any more.
#[derive(Debug)]
pub struct Keeper(Mutex<Option<ChildStdin>>);

/// How a connection ended, as far as that says something about its port.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A server was there.
    Answered,
    /// Nothing listens.
    Refused,
    /// It could not be tried: the engine's words.
    Failed(String),
}

/// A connection that has begun.
#[derive(Debug)]
pub struct Connection {
    program: TcpStream,
    keeper: Arc<Keeper>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The process inside.
    process: Option<u32>,
    /// The program has gone, or is to go: nobody reads any more.
    gone: bool,
    /// Bytes that the program was given.
    delivered: u64,
    /// How many there are, once the server has ended its half.
    all: Option<u64>,
    refused: bool,
    words: String,
}

impl Keeper {
    /// The process that reads this.
    pub fn new(stdin: Option<ChildStdin>) -> Self {
        Self(Mutex::new(stdin))
    }

    fn end(&self, process: u32) {
        if let Some(stdin) = lock(&self.0).as_mut() {
            let _ = writeln!(stdin, "{process}");
        }
    }

    /// Lets it end, and with it all that is left. Doesn't wait for one that was stopped inside and reads no more.
    pub fn dismiss(&self) {
        if let Ok(mut stdin) = self.0.try_lock() {
            stdin.take();
        }
    }
}

impl Connection {
    /// A program connected.
    pub fn new(program: TcpStream, keeper: Arc<Keeper>) -> Self {
        Self { program, keeper, known: Mutex::default() }
    }

    /// Carries both directions until the process inside has ended, and with it the client that stands for it.
    pub fn run(&self, mut client: Child) -> Option<Outcome> {
        let (stdin, stdout, stderr) = (client.stdin.take()?, client.stdout.take()?, client.stderr.take()?);
        let status = thread::scope(|scope| {
            let thread = || thread::Builder::new().stack_size(STACK);
            // Hung up when the program has nothing more to say.
            let (saying, said_all) = mpsc::channel::<()>();
            let up = thread().spawn_scoped(scope, move || {
                self.up(stdin);
                drop(saying);
            });
            let down = thread().spawn_scoped(scope, || self.down(stdout));
            if up.is_err() || down.is_err() {
                self.cut();
            }
            self.listen(stderr);
            let status = client.wait();
            drop(down.map(thread::ScopedJoinHandle::join));
            let _ = self.program.shutdown(Shutdown::Write);
            let _ = said_all.recv_timeout(LINGER);
            let _ = self.program.shutdown(Shutdown::Both);
            status
        });
        let known = lock(&self.known);
        if known.gone {
            None
        } else if known.delivered > 0 || status.is_ok_and(|status| status.success()) {
            Some(Outcome::Answered)
        } else if known.refused {
            Some(Outcome::Refused)
        } else {
            // A cage that stops ends its processes without a word.
            Some(Outcome::Failed(known.words.trim().to_owned())).filter(|_| !known.words.is_empty())
        }
    }

    /// Ends it, whatever goes on.
    pub fn cut(&self) {
        let mut known = lock(&self.known);
        if !known.gone {
            known.gone = true;
            let _ = self.program.shutdown(Shutdown::Both);
            // Otherwise it is ended once it has told its ID.
            if let Some(process) = known.process {
                self.keeper.end(process);
            }
        }
    }

    /// What the program says goes in. Not with `io::copy`, whose way from a socket to a pipe keeps a small message back.
    fn up(&self, stdin: ChildStdin) {
        let mut chunk = vec![0; CHUNK];
        // A process that has ended doesn't read any more, but what it said may still be on its way to the program, which
        // would lose that if it were cut off for what it says.
        let mut stdin = Some(stdin);
        loop {
            match read(&mut &self.program, &mut chunk) {
                Ok([]) => return,
                Ok(said) => stdin = stdin.filter(|mut stdin| stdin.write_all(said).is_ok()),
                Err(_) => return self.cut(),
            }
        }
    }

    /// What the server says comes out.
    fn down(&self, mut stdout: ChildStdout) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(said) = read(&mut stdout, &mut chunk) {
            if said.is_empty() {
                return;
            }
            if (&self.program).write_all(said).is_err() {
                self.cut();
                // A client that is not read from goes away, and its process stays.
                let _ = io::copy(&mut stdout, &mut io::sink());
                return;
            }
            let mut known = lock(&self.known);
            known.delivered += said.len() as u64;
            self.end_half(&known);
        }
    }

    /// What the process says of itself, or the engine's client of what went wrong, until both have ended.
    fn listen(&self, stderr: ChildStderr) {
        let mut stderr = BufReader::with_capacity(WORDS, stderr);
        let mut line = Vec::new();
        while matches!(stderr.by_ref().take(WORDS as u64).read_until(b'\n', &mut line), Ok(size) if size > 0)
        {
            self.hear(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    fn hear(&self, line: &str) {
        let mut known = lock(&self.known);
        if let (Ok(process), None) = (line.parse(), known.process) {
            known.process = Some(process);
            if known.gone {
                self.keeper.end(process);
            }
        } else if line == "refused" {
            known.refused = true;
        } else if let Some(Ok(all)) = line.strip_prefix("end ").map(str::parse) {
            known.all = Some(all);
            self.end_half(&known);
        } else if known.words.len() < WORDS {
            known.words.push_str(line);
            known.words.push('\n');
        }
    }

    /// Tells the program that the server has ended its half, once it has all of it: stdout and stderr come in no order.
    fn end_half(&self, known: &Known) {
        if known.all == Some(known.delivered) {
            let _ = self.program.shutdown(Shutdown::Write);
        }
    }
}

/// The next chunk; an empty one at the end.
fn read<'a>(stream: &mut impl Read, chunk: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            size => return Ok(&chunk[..size?]),
        }
    }
}

/// Nothing here is ever left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
