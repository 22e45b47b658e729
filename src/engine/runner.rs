//! One runtime command line, and the only starter of processes.
#![expect(clippy::disallowed_methods, reason = "this is the one module that starts processes")]

use std::fmt::{self, Write as _};
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::console;

/// A command line of the runtime, before it runs.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: PathBuf,
    name: String,
    args: Vec<String>,
    stdin: Option<Secret>,
    env_file: Option<Secret>,
    slow: Option<&'static str>,
    within: Option<Duration>,
}

/// Text for a command to read, which must not be among its arguments, with a shell command that prints the same.
#[derive(Clone)]
pub struct Secret {
    /// What the command reads.
    pub text: String,
    /// How a shell gets at it.
    pub source: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Invocation {
    /// `program`, called `name` when it is shown, with these arguments.
    pub fn new<A: Into<String>>(program: PathBuf, name: String, args: impl IntoIterator<Item = A>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program, name, args, stdin: None, env_file: None, slow: None, within: None }
    }

    /// Gives the command something to read.
    #[must_use]
    pub fn stdin(mut self, stdin: Option<Secret>) -> Self {
        self.stdin = stdin;
        self
    }

    /// Gives the command an env file, as a descriptor of its own: its standard input is somebody else's. Only
    /// [`Runner::exec`] does that.
    #[must_use]
    pub fn env_file(mut self, env_file: Option<Secret>) -> Self {
        self.env_file = env_file;
        self
    }

    /// Says what the command does, which is told if it takes long.
    #[must_use]
    pub fn slow(mut self, what: &'static str) -> Self {
        self.slow = Some(what);
        self
    }

    /// Ends the command if it takes longer than this.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// The command line without the text of scripts, which would hide what went wrong.
    fn brief(&self) -> String {
        let short = |arg: &String| if arg.contains('\n') { "'…'".to_owned() } else { quote(arg) };
        let line: Vec<String> =
            std::iter::once(quote(&self.name)).chain(self.args.iter().map(short)).collect();
        let all = line.join(" ");
        // What the engine said about it would be lost below more; `--verbose` shows all of it.
        if all.len() > 150 { format!("{} …", line[..2.min(line.len())].join(" ")) } else { all }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command
    }

    /// The command with its env file, which it reads from `pipe`.
    fn command_with(&self, pipe: &PipeReader) -> io::Result<Command> {
        rustix::io::fcntl_setfd(pipe, FdFlags::empty())?;
        let (verb, args) = self.args.split_at(1);
        let mut command = Command::new(&self.program);
        command.args(verb).arg("--env-file").arg(format!("/dev/fd/{}", pipe.as_raw_fd())).args(args);
        Ok(command)
    }
}

/// The command line as a shell takes it.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stdin) = &self.stdin {
            write!(f, "{} | ", stdin.source)?;
        }
        f.write_str(&quote(&self.name))?;
        let (verb, args) = self.args.split_at(1.min(self.args.len()));
        verb.iter().try_for_each(|verb| write!(f, " {}", quote(verb)))?;
        if let Some(secret) = &self.env_file {
            write!(f, " --env-file <({})", secret.source)?;
        }
        args.iter().try_for_each(|arg| write!(f, " {}", quote(arg)))
    }
}

/// Quotes a word for a shell. What would act on a terminal is written with the shell's `$'…'` escapes, which bash, zsh
/// and busybox know, so that a command line is harmless to look at.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    if !word.chars().any(console::is_unsafe) {
        return shell_words::quote(word).into_owned();
    }
    let mut quoted = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if console::is_unsafe(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string can't fail.
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// Signals that would end cage. While a plan is carried out they are only noted, so that what is half done can be undone;
/// otherwise they do what they always do.
#[derive(Debug)]
pub struct Interrupts {
    idle: Arc<AtomicBool>,
    noted: Arc<AtomicBool>,
}

impl Interrupts {
    /// Does `work` without being ended by a signal, and tells it whether one came.
    pub fn hold<T>(&self, work: impl FnOnce(&AtomicBool) -> T) -> T {
        self.idle.store(false, Ordering::Relaxed);
        let result = work(&self.noted);
        self.idle.store(true, Ordering::Relaxed);
        result
    }
}

/// Runs invocations.
#[derive(Debug, Clone, Copy)]
pub struct Runner {
    /// Echo each command line on stderr as it runs?
    pub verbose: bool,
    /// The signals that were ignored when cage started, a bit each from 1 on.
    pub ignored: u64,
    /// When a command whose output is captured is ended, if it hasn't by itself.
    pub until: Option<Instant>,
}

impl Runner {
    /// Runs a command that must succeed, and returns what it printed.
    pub fn run(self, invocation: &Invocation) -> Result<String, EngineError> {
        let output = self.capture(invocation)?;
        if output.status.success() {
            let creates = invocation.args.first().is_some_and(|verb| verb == "create");
            if let Some(mismatch) = other_platform(&output.stderr).filter(|_| creates) {
                console::warn(&format!("{mismatch} (it is slow, if it runs at all)"));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(EngineError::new(invocation, output.status, &output.stderr))
        }
    }

    /// Runs a command that must succeed, and then one that reads what it printed.
    pub fn pipe(self, from: &Invocation, to: &Invocation) -> Result<(), EngineError> {
        let printed = self.capture(from)?;
        if !printed.status.success() {
            return Err(EngineError::new(from, printed.status, &printed.stderr));
        }
        let output = self.capture_fed(to, Some(&printed.stdout))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(EngineError::new(to, output.status, &output.stderr))
        }
    }

    /// Runs a command and captures what it prints, whatever its status.
    pub fn capture(self, invocation: &Invocation) -> Result<Output, EngineError> {
        self.capture_fed(invocation, invocation.stdin.as_ref().map(|stdin| stdin.text.as_bytes()))
    }

    fn capture_fed(self, invocation: &Invocation, input: Option<&[u8]>) -> Result<Output, EngineError> {
        self.echo(invocation);
        let mut command = invocation.command();
        // In a process group of its own, so that Ctrl-C doesn't reach it: an engine goes on with what its client asked for
        // before it ended, and then nobody would know what there is to undo.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let started = command.spawn();
        let output = thread::scope(|scope| {
            // Hung up when the command has ended.
            let (_running, ended) = mpsc::channel();
            if let Some(what) = invocation.slow {
                scope.spawn(move || console::tell_while(what, &ended));
            }
            started.and_then(|child| {
                // Hung up when the command has ended, too.
                let (_running, ended) = mpsc::channel();
                let within = invocation.within.map(|time| Instant::now() + time);
                let until = self.until.into_iter().chain(within).min();
                if let (Some(until), Some(client)) = (until, id(&child)) {
                    scope.spawn(move || end_at(until, client, &ended));
                }
                feed(child, input)
            })
        });
        output.map_err(|error| EngineError::not_started(invocation, &error))
    }

    /// Runs a command that must succeed, with its output shown on stderr as it comes.
    pub fn show(self, invocation: &Invocation) -> Result<(), EngineError> {
        self.echo(invocation);
        let status = io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|stderr| invocation.command().stdin(Stdio::null()).stdout(stderr).status())
            .map_err(|error| EngineError::not_started(invocation, &error))?;
        if status.success() { Ok(()) } else { Err(EngineError::new(invocation, status, b"")) }
    }

    /// Runs a client that takes over the terminal. Its stderr is kept back: with a terminal attached, everything from
    /// inside comes on stdout, and stderr has only the client's own complaints. A signal that is to end cage ends the
    /// client, and the container goes on. `meanwhile` runs once the client has the terminal, whose size it is then made to
    /// pass on again.
    pub fn attach(
        self,
        invocation: &Invocation,
        meanwhile: Option<&Invocation>,
    ) -> Result<(ExitStatus, EngineError), EngineError> {
        self.echo(invocation);
        let not_started = |error| EngineError::not_started(invocation, &error);
        let mut signals = Signals::new(self.listens_to()).map_err(not_started)?;
        let handle = signals.handle();
        let terminal = SavedTerminal::new();
        let child = invocation.command().stderr(Stdio::piped()).spawn().map_err(not_started)?;
        let client = id(&child);
        let ended = AtomicBool::new(false);
        let output = thread::scope(|scope| {
            if let Some(meanwhile) = meanwhile {
                scope.spawn(|| {
                    terminal.wait_for_change(&ended);
                    // The container may not run yet.
                    for _ in 0..5 {
                        let done = self.capture(meanwhile).is_ok_and(|output| output.status.success());
                        if done || ended.load(Ordering::Relaxed) {
                            break;
                        }
                        thread::sleep(Duration::from_millis(100));
                    }
                    if let Some(client) = client.filter(|_| !ended.load(Ordering::Relaxed)) {
                        let _ = kill_process(client, Signal::WINCH);
                    }
                });
            }
            scope.spawn(|| {
                for number in &mut signals {
                    // With a terminal docker's client ignores SIGTERM. An interrupt is for what runs inside.
                    if let (Some(client), SIGHUP | SIGTERM) = (client, number) {
                        let _ = kill_process(client, Signal::HUP);
                    }
                }
            });
            let output = child.wait_with_output();
            ended.store(true, Ordering::Relaxed);
            handle.close();
            output
        });
        let output = output.map_err(not_started)?;
        terminal.restore();
        Ok((output.status, EngineError::new(invocation, output.status, &output.stderr)))
    }

    /// Runs a client that connects the streams here with a command in a container, and returns that command's exit code.
    /// Signals that come meanwhile, a hangup above all, are passed to the command by `signal` with their name.
    pub fn exec(self, client: &Invocation, signal: &Invocation) -> Result<u8, EngineError> {
        self.echo(client);
        let not_started = |error| EngineError::not_started(client, &error);
        let mut signals = Signals::new(self.listens_to()).map_err(not_started)?;
        let handle = signals.handle();
        let terminal = SavedTerminal::new();
        let (mut child, mut secret) = start_with_secret(client).map_err(not_started)?;
        let (status, passed) = thread::scope(|scope| {
            if let (Some(pipe), Some(env_file)) = (secret.take(), &client.env_file) {
                // A client that doesn't read it has failed, and says why.
                scope.spawn(move || (&pipe).write_all(env_file.text.as_bytes()));
            }
            let passing = scope.spawn(|| {
                let mut passed = false;
                for number in &mut signals {
                    passed |= self.pass_on(signal, number);
                }
                // Those that came with the client's end.
                for number in signals.pending() {
                    passed |= self.pass_on(signal, number);
                }
                passed
            });
            let status = child.wait();
            handle.close();
            (status, passing.join().unwrap_or(false))
        });
        let status = status.map_err(not_started)?;
        terminal.restore();
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(u8::try_from(code).unwrap_or(1)),
            (None, number) => {
                console::leave_program();
                if !passed {
                    self.pass_on(signal, SIGHUP);
                }
                Ok(u8::try_from(128 + number.unwrap_or(0)).unwrap_or(1))
            }
        }
    }

    /// Starts a client whose three streams are the caller's to connect. In a process group of its own, so that Ctrl-C doesn't
    /// reach it: what it stands for would go on.
    pub fn open(self, client: &Invocation) -> Result<Child, EngineError> {
        self.echo(client);
        let mut command = client.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.spawn().map_err(|error| EngineError::not_started(client, &error))
    }

    /// A stream that can be read from, without waiting, once a signal has come that would end cage.
    pub fn signals(self) -> io::Result<UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for number in self.listens_to() {
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
        }
        Ok(reader)
    }

    /// The signals that cage passes on: not those that were ignored when it started, as `nohup` has it.
    fn listens_to(self) -> impl Iterator<Item = i32> {
        [SIGHUP, SIGTERM, SIGINT, SIGQUIT]
            .into_iter()
            .filter(move |number| self.ignored >> (number - 1) & 1 == 0)
    }

    /// Lets signals be noted that would end cage.
    pub fn interrupts(self) -> Interrupts {
        let interrupts =
            Interrupts { idle: Arc::new(AtomicBool::new(true)), noted: Arc::new(AtomicBool::new(false)) };
        for number in self.listens_to() {
            // Without these the signal does what it always does.
            let _ = signal_hook::flag::register_conditional_default(number, Arc::clone(&interrupts.idle));
            let _ = signal_hook::flag::register(number, Arc::clone(&interrupts.noted));
        }
        interrupts
    }

    fn pass_on(self, signal: &Invocation, number: i32) -> bool {
        let mut signal = signal.clone();
        signal.args.push(number.to_string());
        self.run(&signal).is_ok()
    }

    fn echo(self, invocation: &Invocation) {
        if self.verbose {
            console::echo(&invocation.to_string());
        }
    }
}

/// How long to wait for a client to take the terminal over. One that finds it raw already never changes it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The terminal as it was before a client took it over. A client that is killed leaves it raw.
struct SavedTerminal(Option<Termios>);

impl SavedTerminal {
    fn new() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Waits until a client has taken the terminal over, which it does just before it connects, or has `ended`.
    fn wait_for_change(&self, ended: &AtomicBool) {
        let modes = |terminal: &Termios| terminal.local_modes;
        let before = self.0.as_ref().map(modes);
        let deadline = Instant::now() + PATIENCE;
        while !ended.load(Ordering::Relaxed)
            && Instant::now() < deadline
            && tcgetattr(io::stdin()).ok().as_ref().map(modes) == before
        {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn restore(&self) {
        if let Some(modes) = &self.0 {
            // A terminal that has gone away needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

/// What an engine that made a container says of an image for another kind of processor: `WARNING: The requested image's
/// platform (linux/amd64) does not match the detected host platform (linux/arm64/v8) and …`; podman's words are similar.
fn other_platform(stderr: &[u8]) -> Option<String> {
    let words = String::from_utf8_lossy(stderr);
    let line = words.lines().find(|line| line.contains("platform (") && line.contains("does not match"))?;
    Some(line.trim_start_matches("WARNING: ").to_owned())
}

/// Starts a command, with the end of a pipe into which its env file is to be written, if it has one.
fn start_with_secret(invocation: &Invocation) -> io::Result<(Child, Option<PipeWriter>)> {
    if invocation.env_file.is_none() {
        return Ok((invocation.command().spawn()?, None));
    }
    let (reader, writer) = io::pipe()?;
    Ok((invocation.command_with(&reader)?.spawn()?, Some(writer)))
}

fn id(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends a process group at that time, unless `ended` is hung up before.
fn end_at(until: Instant, group: Pid, ended: &mpsc::Receiver<()>) {
    let left = until.saturating_duration_since(Instant::now());
    if ended.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn feed(mut child: Child, input: Option<&[u8]>) -> io::Result<Output> {
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        match pipe.write_all(input) {
            // The command ended without reading: its status says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = thread::scope(|scope| {
        let stderr = scope.spawn(|| read_some(stderr));
        (read_some(stdout), stderr.join().unwrap_or_default())
    });
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// The most that is kept of what a command prints, in bytes: what a thousand containers are like takes less. It may be what
/// somebody in a cage prints without end; then nobody reads any more, and the command ends of that.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

fn read_some(stream: Option<impl Read>) -> Vec<u8> {
    let mut read = Vec::new();
    if let Some(stream) = stream {
        // What could be read is as good as it gets: the command's status tells whether it is all.
        let _ = stream.take(MAX_OUTPUT).read_to_end(&mut read);
    }
    read
}

/// A runtime command that failed: its command line, its status and its own words.
#[derive(Debug)]
pub struct EngineError {
    program: String,
    command: String,
    status: String,
    words: String,
}

/// What kind of failure it was, as far as the words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The engine does not answer.
    Unreachable,
    /// The engine's socket may not be opened by this user.
    PermissionDenied,
    /// There is no container of that name or ID.
    NoSuchContainer,
    /// There is no image of that name here, and it was not to be pulled.
    NoSuchImage,
    /// Another container has the name.
    NameTaken,
    /// Something on the host listens on a published port.
    PortTaken,
    /// The engine's disk is full.
    DiskFull,
    /// The container's first process has ended.
    NotRunning,
    /// The engine's init program is not installed.
    NoInit,
    /// The SSH agent's socket can't be mounted.
    NoAgent,
    /// A directory that was to be mounted is not where the engine looks for it.
    NotShared,
    /// The image is made for another kind of processor.
    OtherProcessor,
    /// This podman is too old to map users.
    TooOld,
    /// The directory that was mounted has been deleted on the host.
    DirectoryGone,
    /// Something else.
    Other,
}

/// What the engines say when there is no such container, or nothing at all of that name.
const MISSING_CONTAINER: [&str; 3] = ["no such container", "no such object", "no container with name"];

/// What they say when there is no such image.
const MISSING_IMAGE: [&str; 2] = ["no such image", "image not known"];

impl EngineError {
    /// The failure of a command that ended with `status`.
    pub fn new(invocation: &Invocation, status: ExitStatus, stderr: &[u8]) -> Self {
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => status.to_string(),
        };
        Self {
            program: invocation.name.clone(),
            command: invocation.brief(),
            status,
            words: String::from_utf8_lossy(stderr).trim().to_owned(),
        }
    }

    fn not_started(invocation: &Invocation, error: &io::Error) -> Self {
        Self {
            program: invocation.name.clone(),
            command: invocation.brief(),
            status: format!("it did not start: {error}"),
            words: String::new(),
        }
    }

    /// What the engine said.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// What kind of failure this is. The texts are docker's from 20.10 to 29 and podman's from 4 to 5; where one can't
    /// be recognised, only a hint is lost.
    pub fn trouble(&self) -> Trouble {
        let words = self.words.to_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
        if says(&["permission denied while trying to connect"]) {
            Trouble::PermissionDenied
        } else if says(&[
            "cannot connect to the docker daemon",
            "failed to connect to the docker api",
            "error during connect",
            "cannot connect to podman",
            "unable to connect to podman",
        ]) {
            Trouble::Unreachable
        } else if says(&["possible container breakout", "outside of container mount namespace"]) {
            Trouble::DirectoryGone
        } else if says(&["already in use by", "name is already in use"]) {
            Trouble::NameTaken
        } else if says(&["port is already allocated", "address already in use", "ports are not available"]) {
            Trouble::PortTaken
        } else if says(&["no space left on device"]) {
            Trouble::DiskFull
        } else if says(&["docker-init", "container-init binary not found"]) {
            Trouble::NoInit
        } else if says(&["/run/host-services/ssh-auth.sock"]) || (says(&["/cage/cage-"]) && says(&[".agent"]))
        {
            Trouble::NoAgent
        } else if says(&["bind source path does not exist", "mounts denied", "statfs /"]) {
            Trouble::NotShared
        } else if says(&["keep-id"]) {
            Trouble::TooOld
        } else if says(&["exec format error"]) {
            Trouble::OtherProcessor
        } else if says(&["is not running", "exec sessions on running containers"]) {
            Trouble::NotRunning
        } else if says(&MISSING_IMAGE) {
            Trouble::NoSuchImage
        } else if says(&MISSING_CONTAINER) {
            Trouble::NoSuchContainer
        } else {
            Trouble::Other
        }
    }

    /// Is all that went wrong that something asked for doesn't exist?
    pub fn is_only_of_missing_things(&self) -> bool {
        let words = self.words.to_lowercase();
        let missing =
            |line: &str| MISSING_CONTAINER.iter().chain(&MISSING_IMAGE).any(|text| line.contains(text));
        matches!(self.trouble(), Trouble::NoSuchContainer | Trouble::NoSuchImage | Trouble::Other)
            && words.lines().any(missing)
            && words.lines().all(|line| missing(line) || !line.starts_with("error"))
    }

    /// The address that was taken, if this is about one: `127.0.0.1:3000`.
    fn taken_port(&self) -> Option<&str> {
        let is_address =
            |word: &&str| word.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        self.words.split_whitespace().map(|word| word.trim_end_matches([':', ','])).find(is_address)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trouble() {
            Trouble::Unreachable if self.program.contains("docker") => {
                writeln!(f, "Docker is not running. Start Docker (or colima/podman) first.")?;
            }
            Trouble::Unreachable => writeln!(f, "{} does not answer", self.program)?,
            Trouble::PermissionDenied => writeln!(f, "you have no permission to use {}", self.program)?,
            Trouble::NoSuchImage => writeln!(f, "the image is not on this machine")?,
            Trouble::PortTaken => match self.taken_port() {
                Some(port) => writeln!(f, "port {port} is taken")?,
                None => writeln!(f, "a published port is taken")?,
            },
            Trouble::NotRunning if self.command.contains(" exec ") => {
                writeln!(f, "the cage stopped at once")?;
            }
            Trouble::NoAgent => {
                writeln!(f, "the SSH agent's socket can't be mounted; `cage restart --no-ssh` does without")?;
            }
            Trouble::NotShared => {
                writeln!(
                    f,
                    "the engine can't see a directory that is to be mounted; one in a virtual machine sees only \
                     what is shared with that, most often your home"
                )?;
            }
            Trouble::TooOld => writeln!(f, "this podman can't map you to the image's user")?,
            Trouble::OtherProcessor => {
                writeln!(f, "the image is made for another kind of processor than this machine's")?;
            }
            Trouble::DirectoryGone => {
                writeln!(f, "the project directory is not the one that the cage has mounted")?;
            }
            _ => {}
        }
        write!(f, "`{}`: {}", self.command, self.status)?;
        if self.words.is_empty() { Ok(()) } else { write!(f, "\n{}", self.words) }
    }
}

impl std::error::Error for EngineError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_line_is_what_a_shell_takes() {
        let words =
            ["--plain=a,b:c", "=zsh", "two words", "it's", "$HOME", "", "a\nb", "\u{1b}[31m'\\", "\u{202e}x"];
        let line = words.map(quote).join(" ");
        assert_eq!(
            line,
            r"--plain=a,b:c '=zsh' 'two words' 'it'\''s' '$HOME' '' $'a\012b' $'\033[31m\'\\' $'\342\200\256x'"
        );
        let printed = Command::new("bash").args(["-c", &format!("printf '%s|' {line}")]).output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), words.map(|w| format!("{w}|")).concat());
    }

    #[test]
    fn what_a_command_reads_is_never_shown() {
        let stdin = Secret { text: "TOKEN=secret".into(), source: "cat file".into() };
        let invocation =
            Invocation::new("/bin/docker".into(), "docker".into(), ["create"]).stdin(Some(stdin));
        assert_eq!(invocation.to_string(), "cat file | docker create");
        assert!(!format!("{invocation:?}").contains("secret"));
    }

    #[test]
    fn an_image_for_another_processor_is_told() {
        let docker = "WARNING: The requested image's platform (linux/amd64) does not match the detected host platform \
                      (linux/arm64/v8) and no specific platform was requested\n";
        let podman =
            "WARNING: image platform (linux/amd64) does not match the expected platform (linux/arm64)\n";
        for words in [docker, podman] {
            assert!(
                other_platform(words.as_bytes()).unwrap().contains("platform (linux/amd64) does not match")
            );
        }
        assert_eq!(
            other_platform(b"WARNING: IPv4 forwarding is disabled. Networking will not work.\n"),
            None
        );
    }

    fn said(words: &str) -> EngineError {
        let invocation = Invocation::new("/bin/docker".into(), "docker".into(), ["x"]);
        EngineError::new(&invocation, ExitStatus::from_raw(256), words.as_bytes())
    }

    #[test]
    fn failures_are_recognised_on_every_engine() {
        for (words, trouble) in [
            (
                "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
                Trouble::Unreachable,
            ),
            (
                "failed to connect to the docker API at unix:///x.sock; check if the path is correct",
                Trouble::Unreachable,
            ),
            (
                "Cannot connect to Podman. Please verify your connection to the Linux system",
                Trouble::Unreachable,
            ),
            (
                "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
                Trouble::PermissionDenied,
            ),
            (
                "permission denied while trying to connect to the docker API at unix:///x",
                Trouble::PermissionDenied,
            ),
            ("Error response from daemon: No such container: x", Trouble::NoSuchContainer),
            ("Error: inspecting object: no such container x", Trouble::NoSuchContainer),
            ("Error: no such object: \"x\"", Trouble::NoSuchContainer),
            ("Error: No such image: x", Trouble::NoSuchImage),
            ("Error: x: image not known", Trouble::NoSuchImage),
            ("Conflict. The container name \"/x\" is already in use by container \"y\"", Trouble::NameTaken),
            (
                "the container name \"x\" is already in use by ID. that name is already in use",
                Trouble::NameTaken,
            ),
            ("Bind for 127.0.0.1:3000 failed: port is already allocated", Trouble::PortTaken),
            ("mkdir /var/lib/docker/x: no space left on device", Trouble::DiskFull),
            ("exec: \"docker-init\": executable file not found in $PATH", Trouble::NoInit),
            ("container-init binary not found on the host: stat x/catatonit", Trouble::NoInit),
            ("Error response from daemon: Container 61ef is not running", Trouble::NotRunning),
            (
                "Error: can only create exec sessions on running containers: container state improper",
                Trouble::NotRunning,
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /run/host-services/ssh-auth.sock",
                Trouble::NoAgent,
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /home/me/.local/state/cage/cage-x.agent",
                Trouble::NoAgent,
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /srv/app",
                Trouble::NotShared,
            ),
            ("Mounts denied: \nThe path /srv/app is not shared from the host", Trouble::NotShared),
            ("Error: statfs /srv/app: no such file or directory", Trouble::NotShared),
            ("exec /bin/sh: exec format error", Trouble::OtherProcessor),
            ("something else", Trouble::Other),
        ] {
            assert_eq!(said(words).trouble(), trouble, "{words}");
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let docker = "driver failed programming external connectivity on endpoint cage-x: \
                      Bind for 127.0.0.1:3000 failed: port is already allocated";
        let podman =
            "cannot listen on the TCP port: listen tcp4 127.0.0.1:3000: bind: address already in use";
        for words in [docker, podman] {
            assert!(said(words).to_string().starts_with("port 127.0.0.1:3000 is taken\n"), "{}", said(words));
        }
    }

    proptest! {
        #[test]
        fn every_word_is_quoted_for_a_shell(word in any::<String>()) {
            let quoted = quote(&word);
            prop_assert!(!quoted.contains(console::is_unsafe));
            if !quoted.starts_with("$'") {
                prop_assert_eq!(shell_words::split(&quoted).unwrap(), [word]);
            }
        }
    }
}
