//! Starting processes: the only module that does. It knows command lines, not engines.
#![expect(clippy::disallowed_methods, reason = "this is the one module that starts processes")]

use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use super::command::Invocation;
use super::error::EngineError;
use crate::base::console;

/// The most that is kept of a command's output, in bytes; a thousand inspected containers take less. Code in a cage may
/// print without end; beyond this, cage closes the pipe, which ends the command.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

/// Reads the client's process ID from stdin, and waits for another line, which cage writes when it no longer needs this. The client
/// may lead a process group.
const WATCH: &str = r#"read -r client; [ "$client" ] || exit; read -r _ && exit
kill -HUP -- "-$client" || kill -HUP "$client"; [ $# = 0 ] || exec "$@""#;

/// Runs command lines.
#[derive(Debug, Clone, Copy)]
pub struct Runner {
    /// Whether to echo each command line on stderr as it runs.
    pub verbose: bool,
    /// How long a command whose output is captured may run.
    pub limit: Option<Duration>,
}

/// The three standard streams of a process that [`Runner::start`] starts.
#[derive(Debug)]
pub enum Streams {
    /// cage's own; with a pipe for stdin if what is `typed` is to be passed on, and in a process group of its own if it is to be
    /// `apart`, so that no signal of the user's terminal reaches the process.
    Own {
        /// Whether stdin is a pipe.
        typed: bool,
        /// Whether the process has its own group.
        apart: bool,
    },
    /// A terminal, which is not the process's controlling terminal, for stdin and stdout, and a pipe for stderr. The process is in
    /// a group of its own, so that no signal of the user's terminal reaches it.
    Terminal(OwnedFd),
    /// A pipe for each, in a process group of its own, so that Ctrl-C doesn't reach the process.
    Piped,
}

/// Stops a captured command from another thread.
#[derive(Debug, Default)]
pub struct Cancel(Mutex<Cancelled>);

#[derive(Debug, Default)]
struct Cancelled {
    now: bool,
    group: Option<Pid>,
}

impl Cancel {
    /// Kills the command that runs, and every later one as soon as it starts.
    pub fn cancel(&self) {
        self.change(|state| state.now = true);
    }

    /// Returns whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    /// Remembers the process group that runs now; `None` once its leader is about to be reaped.
    fn runs(&self, group: Option<Pid>) {
        self.change(|state| state.group = group);
    }

    fn change(&self, change: impl FnOnce(&mut Cancelled)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if let (true, Some(group)) = (state.now, state.group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Runner {
    /// Runs a command and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it doesn't start or fails.
    pub fn run(self, invocation: &Invocation) -> Result<String, EngineError> {
        Ok(String::from_utf8_lossy(&self.run_for_output(invocation)?.stdout).into_owned())
    }

    /// Runs a command and returns all that it printed.
    ///
    /// # Errors
    /// When it doesn't start or fails.
    pub fn run_for_output(self, invocation: &Invocation) -> Result<Output, EngineError> {
        succeeded(invocation, self.capture(invocation)?)
    }

    /// Runs a command and captures its output, whatever its status.
    ///
    /// # Errors
    /// When it doesn't start, or doesn't end in time.
    pub fn capture(self, invocation: &Invocation) -> Result<Output, EngineError> {
        let waits = || format!("waiting for {}", invocation.runtime.name);
        // Without a terminal only the steps that are known to be slow are worth a line.
        let message = invocation.slow.map(str::to_owned).or_else(|| console::terminal().stderr.then(waits));
        self.captured(invocation, &Cancel::default(), message.as_deref())
    }

    /// Runs a command and captures its output, unless it is cancelled. Shows nothing, since a program may have the terminal
    /// meanwhile.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn capture_unless(self, invocation: &Invocation, cancel: &Cancel) -> Result<Output, EngineError> {
        self.captured(invocation, cancel, None)
    }

    /// Runs a command and captures its output. `message` is for a user who has to wait.
    fn captured(
        self,
        invocation: &Invocation,
        cancel: &Cancel,
        message: Option<&str>,
    ) -> Result<Output, EngineError> {
        let input = invocation.stdin.as_ref().map(|stdin| stdin.data.as_slice());
        self.echo(invocation);
        let mut command = command(invocation);
        // Ctrl-C doesn't reach another process group. If it ended the client, the engine would still finish the request, and cage
        // would not know what to undo.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let limit = self.limit.into_iter().chain(invocation.within).min();
        let timer = Cancel::default();
        let output = thread::scope(|scope| {
            // Dropping a sender tells its thread that the command has ended.
            let ((_shown, when_shown), (_timed, when_timed)) = (mpsc::channel(), mpsc::channel::<()>());
            if let Some(message) = message {
                spawn(scope, move || console::tell_while(message, &when_shown))?;
            }
            if let Some(limit) = limit {
                let timer = &timer;
                spawn(scope, move || {
                    if when_timed.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                        timer.cancel();
                    }
                })?;
            }
            let mut child = command.spawn()?;
            cancel.runs(pid(&child));
            timer.runs(pid(&child));
            let (written, stdout, stderr) = feed(&mut child, input);
            cancel.runs(None);
            let status = child.wait()?;
            timer.runs(None);
            written.map(|()| Output { status, stdout, stderr })
        });
        match limit {
            Some(limit) if timer.is_cancelled() => Err(EngineError::timed_out(invocation, limit)),
            _ => output.map_err(|error: io::Error| EngineError::not_started(invocation, &error)),
        }
    }

    /// Runs a command with its output shown on stderr.
    ///
    /// # Errors
    /// When it doesn't start or fails.
    pub fn show(self, invocation: &Invocation) -> Result<(), EngineError> {
        self.echo(invocation);
        let status = io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|stderr| command(invocation).stdin(Stdio::null()).stdout(stderr).status())
            .map_err(|error| EngineError::not_started(invocation, &error))?;
        if status.success() { Ok(()) } else { Err(EngineError::new(invocation, status, b"")) }
    }

    /// Starts a command that runs while cage does something else, and gives it its env file, if it has one.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start(self, invocation: &Invocation, streams: Streams) -> Result<Child, EngineError> {
        self.echo(invocation);
        let start = move || {
            let Some(env_file) = &invocation.env_file else {
                return connect(command(invocation), streams)?.spawn();
            };
            let (reader, mut writer) = io::pipe()?;
            rustix::io::fcntl_setfd(&reader, FdFlags::empty())?;
            let path = format!("/dev/fd/{}", reader.as_raw_fd());
            let mut invocation = invocation.clone();
            invocation.args.splice(1..1, ["--env-file".to_owned(), path]);
            let child = connect(command(&invocation), streams)?.spawn()?;
            drop(reader);
            // A client that doesn't read it has failed, and says why.
            let _ = writer.write_all(&env_file.data);
            Ok(child)
        };
        start().map_err(|error: io::Error| EngineError::not_started(invocation, &error))
    }

    fn echo(self, invocation: &Invocation) {
        if self.verbose {
            console::echo(&invocation.to_string());
        }
    }
}

/// A process that waits for cage to be killed. Dropping this ends it.
#[derive(Debug)]
pub struct Watch(Option<Child>);

impl Watch {
    /// Starts the process. When cage is killed, it ends the client and runs `then`. To be called before there is a client: if that
    /// uses the terminal from the background, all of cage's job is stopped, and a process that is just being started may be among
    /// them, from where it is never continued.
    pub fn new(then: Option<&Invocation>) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WATCH, "sh"]);
        match then {
            Some(then) => {
                let variables = then.runtime.variables.iter().map(|(name, value)| (name, value));
                shell.arg(&then.runtime.program).args(&then.args).envs(variables);
            }
            // The user's variables may lead the shell to libraries in the project.
            None => drop(shell.env_clear()),
        }
        shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Without it the client stays when cage is killed.
        Self(shell.process_group(0).spawn().ok())
    }

    /// Tells which client is to be ended.
    pub fn follow(&mut self, client: &Child) {
        self.write(&format!("{}\n", client.id()));
    }

    fn write(&mut self, line: &str) {
        let pipe = self.0.as_mut().and_then(|shell| shell.stdin.as_mut());
        let _ = pipe.map(|pipe| pipe.write_all(line.as_bytes()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The second line if there is a client.
        self.write("\n");
        let _ = self.0.as_mut().map(Child::wait);
    }
}

/// Returns a process's ID.
pub fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Starts a thread in a scope. When there can't be another thread, it returns an error, while `scope.spawn` panics.
///
/// # Errors
/// When the system refuses another thread.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work)
}

/// Returns the process to start, with variables and a directory from which it can't start a program of the project.
fn command(invocation: &Invocation) -> Command {
    let mut command = Command::new(&invocation.runtime.program);
    command
        .args(&invocation.args)
        .envs(invocation.runtime.variables.iter().map(|(name, value)| (name, value)));
    if !invocation.stays {
        command.current_dir("/");
    }
    command
}

fn connect(mut command: Command, streams: Streams) -> io::Result<Command> {
    match streams {
        Streams::Own { typed, apart } => {
            if typed {
                command.stdin(Stdio::piped());
            }
            if apart {
                command.process_group(0);
            }
            return Ok(command);
        }
        Streams::Terminal(terminal) => command.stdin(terminal.try_clone()?).stdout(terminal),
        Streams::Piped => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
    };
    command.stderr(Stdio::piped()).process_group(0);
    Ok(command)
}

fn succeeded(invocation: &Invocation, output: Output) -> Result<Output, EngineError> {
    if output.status.success() {
        Ok(output)
    } else {
        // docker's `exec` prints its own errors to stdout.
        let words =
            if invocation.is_exec() && output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(EngineError::new(invocation, output.status, words))
    }
}

/// Writes a command's input, then reads its stdout and stderr to the end.
fn feed(child: &mut Child, input: Option<&[u8]>) -> (io::Result<()>, Vec<u8>, Vec<u8>) {
    let written = match (child.stdin.take(), input) {
        (Some(mut pipe), Some(input)) => pipe.write_all(input),
        _ => Ok(()),
    };
    // A command that ended without reading has a status that says why.
    let written = written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    });
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| match spawn(scope, || read_some(stderr)) {
        Ok(stderr) => (written, read_some(stdout), stderr.join().unwrap_or_default()),
        // The pipe of stderr is closed by now, so that the command doesn't block on it.
        Err(error) => (written.and(Err(error)), read_some(stdout), Vec::new()),
    })
}

fn read_some(stream: Option<impl Read>) -> Vec<u8> {
    let mut read = Vec::new();
    if let Some(stream) = stream {
        // The command's status tells whether this was everything.
        let _ = stream.take(MAX_OUTPUT).read_to_end(&mut read);
    }
    read
}
