//! Ports of a running container on this machine. Each connection is carried by an `exec` of the engine's client to a program
//! inside that connects to the port there, as whoever works in the cage would; so it needs no network between the two.

pub mod bridge;
mod connection;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use self::bridge::{Bridge, KEEPER};
use self::connection::{Connection, Keeper, Outcome, STACK};
use crate::base::console;
use crate::base::error::Failure;
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::error::EngineError;
use crate::engine::runner::{Runner, Streams};
use crate::engine::runtime::Runtime;
use crate::engine::signals::Interrupts;

/// How many connections there can be at once. Each has a client of the engine's, which takes some 20 MB. More wait in the
/// kernel's queue.
const AT_ONCE: usize = 200;

/// Descriptors of a connection: its socket and a client's three streams.
const PER_CONNECTION: u64 = 4;

/// How long ending what is inside may take before it is left to itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is forwarded, from which container.
#[derive(Debug)]
pub struct Relay {
    /// The container's name, as it is told to the user.
    pub name: String,
    /// Its ID.
    pub container: String,
    /// The runtime that has it.
    pub runtime: Runtime,
    /// A variable that nothing else in the container has, `NAME=value`.
    pub mark: String,
    /// What connects inside.
    pub bridge: Bridge,
    /// The ports.
    pub ways: Vec<Way>,
}

/// A port of this machine that leads to one inside.
#[derive(Debug)]
pub struct Way {
    /// The port on 127.0.0.1.
    pub host: u16,
    /// The port inside.
    pub inside: u16,
    /// Accepts without waiting. None in a dry run.
    pub listener: Option<TcpListener>,
}

impl Relay {
    /// Forwards until a signal comes, which is how it is meant to end.
    ///
    /// # Errors
    /// When the container stops or goes away. Nothing of it is left inside in any case.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<u8> {
        let signals = interrupts.stream()?;
        let mut keeper = runner.start(&self.keeper(), Streams::Piped)?;
        let mut running = Running::new(self, runner, &mut keeper)?;
        for way in &self.ways {
            console::info(&format!(
                "127.0.0.1:{} reaches port {} in {}; Ctrl-C ends it",
                way.host, way.inside, self.name
            ));
        }
        let asked = running.serve(&signals, interrupts)?;
        running.end(&signals);
        if asked { Ok(0) } else { Err(self.why_it_ended(runner, keeper)) }
    }

    /// The same for a reader: what listens is cage itself, but what it runs is a command.
    pub fn script(&self) -> String {
        let mut script = String::new();
        for way in &self.ways {
            let host = if way.host == 0 { "any free port".to_owned() } else { way.host.to_string() };
            // Writing to a string can't fail.
            let _ = writeln!(
                script,
                "# cage itself would listen on 127.0.0.1, {host}, and for each connection run this, its ends being the \
                 connection's:\n{}",
                self.client(way)
            );
        }
        script.trim_end().to_owned()
    }

    /// The client that carries a connection. It doesn't matter whether the project's directory is there any more.
    fn client(&self, way: &Way) -> Invocation {
        let exec = ["exec", "--interactive", "--workdir", "/", "--env", &self.mark, &self.container];
        self.runtime.command(exec.map(str::to_owned).into_iter().chain(self.bridge.command(way.inside)))
    }

    /// The client of what ends processes inside. It ends when the container does.
    fn keeper(&self) -> Invocation {
        let exec = ["exec", "--interactive", "--workdir", "/", &self.container];
        self.runtime.command(exec.into_iter().chain(["/bin/sh", "-c", KEEPER, "sh", &self.mark]))
    }

    fn why_it_ended(&self, runner: Runner, keeper: Child) -> anyhow::Error {
        let start = Instant::now();
        loop {
            let what = match self.runtime.containers(runner, &[&self.container]) {
                Err(error) => return error,
                Ok(found) => match found.first().map(|container| container.state) {
                    None => "was removed or replaced",
                    // What runs in a container ends before the container.
                    Some(State::Running | State::Changing) if start.elapsed() < PATIENCE / 2 => {
                        thread::sleep(Duration::from_millis(200));
                        continue;
                    }
                    Some(State::Running | State::Changing | State::Paused) => {
                        return match keeper.wait_with_output() {
                            Ok(output) => {
                                EngineError::new(&self.keeper(), output.status, &output.stderr).into()
                            }
                            Err(error) => error.into(),
                        };
                    }
                    Some(_) => "has stopped",
                },
            };
            return Failure::new(format!("{} {what}", self.name)).hint("`cage start` brings it up").into();
        }
    }
}

/// What a connection tells when it is over: which it was, to which of the ways, and how it ended.
type Over = (u64, usize, Option<Outcome>);

/// A relay at work.
struct Running<'a> {
    relay: &'a Relay,
    runner: Runner,
    keeper: Arc<Keeper>,
    /// Ends with the keeper.
    keeper_lives: ChildStdout,
    count: u64,
    connections: HashMap<u64, Arc<Connection>>,
    at_once: usize,
    /// Connections send here, and then make `woken` readable.
    over: mpsc::Sender<Over>,
    wake: Arc<UnixStream>,
    were_over: mpsc::Receiver<Over>,
    woken: UnixStream,
    /// How the last connection of each way ended.
    last: Vec<Option<Outcome>>,
    /// It was told that there can't be more connections.
    told_full: bool,
}

impl<'a> Running<'a> {
    fn new(relay: &'a Relay, runner: Runner, keeper: &mut Child) -> Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        let (over, were_over) = mpsc::channel();
        let keeper_lives = keeper.stdout.take().context("the keeper has no stdout")?;
        // Some are open already, and starting a client takes a few more for a moment.
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(40);
        let at_once = usize::try_from(descriptors / PER_CONNECTION).unwrap_or(AT_ONCE).clamp(1, AT_ONCE);
        Ok(Self {
            relay,
            runner,
            keeper: Arc::new(Keeper::new(keeper.stdin.take())),
            keeper_lives,
            count: 0,
            connections: HashMap::new(),
            at_once,
            over,
            wake: Arc::new(wake),
            were_over,
            woken,
            last: relay.ways.iter().map(|_| None).collect(),
            told_full: false,
        })
    }

    /// Accepts connections. Returns whether a signal ended it, rather than the container.
    fn serve(&mut self, signals: &UnixStream, interrupts: &Interrupts) -> Result<bool> {
        let listeners: Vec<&TcpListener> =
            self.relay.ways.iter().filter_map(|way| way.listener.as_ref()).collect();
        while !interrupts.came() {
            if self.connections.len() == self.at_once && !self.told_full {
                self.told_full = true;
                console::info(&format!(
                    "{} connections are open, and more wait until one ends",
                    self.at_once
                ));
            }
            let ready = {
                let mut streams = vec![signals.as_fd(), self.keeper_lives.as_fd(), self.woken.as_fd()];
                if self.connections.len() < self.at_once {
                    streams.extend(listeners.iter().map(|listener| listener.as_fd()));
                }
                wait_for(&streams, None)?
            };
            if ready[0] {
                return Ok(true);
            }
            if ready[1] && !self.keeper_is_alive() {
                return Ok(false);
            }
            if ready[2] {
                self.note_ends();
            }
            for (way, listener) in
                listeners.iter().enumerate().filter(|(way, _)| ready.get(way + 3) == Some(&true))
            {
                match listener.accept() {
                    Ok((program, _)) => self.connect(way, program),
                    // It went away again.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Something is used up: not for ever.
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        }
        Ok(true)
    }

    /// What it says, if it says anything, doesn't matter.
    fn keeper_is_alive(&mut self) -> bool {
        self.keeper_lives.read(&mut [0; 1024]).is_ok_and(|size| size > 0)
    }

    fn connect(&mut self, way: usize, program: TcpStream) {
        // Some systems hand down what a listener is. Small messages are not to wait for one another.
        if program.set_nonblocking(false).and_then(|()| program.set_nodelay(true)).is_err() {
            return;
        }
        let client = match self.runner.start(&self.relay.client(&self.relay.ways[way]), Streams::Piped) {
            Ok(client) => client,
            Err(error) => return self.tell(way, Outcome::Failed(error.to_string())),
        };
        self.count += 1;
        let number = self.count;
        let connection = Arc::new(Connection::new(program, Arc::clone(&self.keeper)));
        let (over, wake) = (self.over.clone(), Arc::clone(&self.wake));
        let carried = Arc::clone(&connection);
        let carry = move || {
            let outcome = carried.run(client);
            drop(carried);
            // Nobody listens any more once cage ends.
            let _ = over.send((number, way, outcome));
            let _ = (&*wake).write_all(&[0]);
        };
        if thread::Builder::new().stack_size(STACK).spawn(carry).is_ok() {
            self.connections.insert(number, connection);
        }
    }

    fn note_ends(&mut self) {
        let _ = self.woken.read(&mut [0; 1024]);
        while let Ok((number, way, outcome)) = self.were_over.try_recv() {
            self.connections.remove(&number);
            if let Some(outcome) = outcome {
                self.tell(way, outcome);
            }
        }
    }

    /// Tells what is wrong with a port, once until something else happens there.
    fn tell(&mut self, way: usize, outcome: Outcome) {
        let (port, name) = (self.relay.ways[way].inside, &self.relay.name);
        match (&self.last[way], &outcome) {
            (_, Outcome::Answered)
            | (Some(Outcome::Refused), Outcome::Refused)
            | (Some(Outcome::Failed(_)), Outcome::Failed(_)) => {}
            (Some(Outcome::Answered), Outcome::Refused) => {
                console::info(&format!("nothing listens on port {port} in {name} any more"));
            }
            (_, Outcome::Refused) => console::info(&format!("nothing listens on port {port} in {name} yet")),
            (_, Outcome::Failed(words)) => {
                console::warn(&format!("could not connect to port {port} in {name}: {words}"));
            }
        }
        self.last[way] = Some(outcome);
    }

    /// Ends what goes on, inside and here. A signal makes it hurry.
    fn end(&mut self, signals: &UnixStream) {
        while (&*signals).read(&mut [0; 64]).is_ok_and(|size| size > 0) {}
        let deadline = Instant::now() + PATIENCE;
        self.connections.values().for_each(|connection| connection.cut());
        while !self.connections.is_empty() && goes_on(signals, &self.woken, deadline) {
            self.note_ends();
        }
        self.keeper.dismiss();
        while goes_on(signals, &self.keeper_lives, deadline) && self.keeper_is_alive() {}
        if !self.connections.is_empty() {
            console::warn(&format!("not everything that was forwarded in {} has ended", self.relay.name));
        }
    }
}

/// Waits until there is something on `stream`, which is `false` if a signal or the deadline comes first.
fn goes_on(signals: &UnixStream, stream: &impl AsFd, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    wait_for(&[signals.as_fd(), stream.as_fd()], Some(left)).is_ok_and(|ready| !ready[0] && ready[1])
}

/// Waits until some of these can be read from, or as long as is said, and tells which. It may be none.
fn wait_for(streams: &[BorrowedFd], at_most: Option<Duration>) -> Result<Vec<bool>> {
    let mut streams: Vec<PollFd> = streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
    let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut streams, at_most.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(streams.iter().map(|stream| !stream.revents().is_empty()).collect())
}
