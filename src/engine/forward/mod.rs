//! Ports of a running container on this machine's 127.0.0.1.
//!
//! For each connection the engine's client runs an `exec` of a [bridge](bridge), a program in the container that connects to
//! the port there with the rights of the container's user. No network between the host and the container is needed.
//!
//! [`Running`] accepts connections, and waits for signals and for the end of the container or of a connection, all in one
//! thread and one `poll`. Each [`Connection`] has a thread per stream of its client; when the client has exited, the
//! connection sends [`Ended`] and wakes the `poll`. One more client runs [`CLEANUP`](bridge::CLEANUP) in the container: it
//! exits when the container stops, and ends bridges that nothing else would.

pub mod bridge;
mod connection;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Resource, getrlimit};

use self::bridge::{Bridge, CLEANUP};
use self::connection::{Cleanup, Connection, Outcome, STACK, WORDS};
use crate::base::console;
use crate::base::error::Failure;
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::error::EngineError;
use crate::engine::runner::{Runner, Streams};
use crate::engine::runtime::Runtime;
use crate::engine::signals::Interrupts;

/// The limit of simultaneous connections. Each has an engine client of about 20 MB. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 200;

/// Descriptors of a connection: its socket and three streams of the client.
const DESCRIPTORS: u64 = 4;

/// Descriptors that cage itself has open, or needs for a moment when it starts a client.
const OTHER_DESCRIPTORS: u64 = 40;

/// The limit for ending the bridges.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ports to forward, and the container that has them.
#[derive(Debug)]
pub struct Forwarding {
    /// The container's name, as shown to the user.
    pub name: String,
    /// The container's ID.
    pub container: String,
    /// The engine's client.
    pub runtime: Runtime,
    /// An environment variable that only bridges have, `NAME=value`.
    pub mark: String,
    /// The program that connects inside the container.
    pub bridge: Bridge,
    /// The ports to forward.
    pub ports: Vec<Port>,
}

/// A port of this machine and the container's port that it leads to.
#[derive(Debug)]
pub struct Port {
    /// The port on 127.0.0.1.
    pub host: u16,
    /// The port in the container.
    pub inside: u16,
    /// Accepts without blocking. None in a dry run.
    pub listener: Option<TcpListener>,
}

impl Forwarding {
    /// Forwards until a signal arrives, which is the normal end. No bridge is left in the container in any case.
    ///
    /// # Errors
    /// When the container stops or is removed.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<u8> {
        let signals = interrupts.stream()?;
        let mut cleanup = runner.start(&self.cleanup(), Streams::Piped)?;
        let mut running = Running::new(self, runner, &mut cleanup)?;
        for port in &self.ports {
            console::info(&format!(
                "127.0.0.1:{} reaches port {} in {}; Ctrl-C ends it",
                port.host, port.inside, self.name
            ));
        }
        let by_signal = running.serve(&signals, interrupts)?;
        running.end(&signals);
        if by_signal { Ok(0) } else { self.fail(runner, cleanup) }
    }

    /// Returns the script of a dry run: a comment that cage itself would listen, and the command for each connection.
    pub fn script(&self) -> String {
        let script = |port: &Port| {
            let host = if port.host == 0 { "any free port".to_owned() } else { port.host.to_string() };
            format!(
                "# cage itself would listen on 127.0.0.1, {host}, and for each connection run this, with the connection as \
                 stdin and stdout:\n{}",
                self.client(port)
            )
        };
        self.ports.iter().map(script).collect::<Vec<_>>().join("\n")
    }

    /// Returns the client that carries a connection. Its working directory exists even if the project's is gone.
    fn client(&self, port: &Port) -> Invocation {
        let exec = ["exec", "--interactive", "--workdir", "/", "--env", &self.mark, &self.container];
        self.runtime.command(exec.map(str::to_owned).into_iter().chain(self.bridge.command(port.inside)))
    }

    /// Returns the client that ends bridges, and exits when the container stops.
    fn cleanup(&self) -> Invocation {
        let exec = ["exec", "--interactive", "--workdir", "/", &self.container];
        self.runtime.command(exec.into_iter().chain(["/bin/sh", "-c", CLEANUP, "sh", &self.mark]))
    }

    /// Returns an error that says why the container or the cleanup client has ended.
    fn fail<T>(&self, runner: Runner, mut cleanup: Child) -> Result<T> {
        let start = Instant::now();
        let end = loop {
            let found = self.runtime.containers(runner, &[&self.container])?;
            match found.first().map(|container| container.state) {
                None => break "was removed or replaced",
                // Processes in a container end before its state changes.
                Some(State::Running | State::Changing) if start.elapsed() < PATIENCE / 2 => {
                    thread::sleep(Duration::from_millis(200));
                }
                Some(State::Running | State::Changing | State::Paused) => {
                    // Code in the container may print without end, or keep the client from ending.
                    let mut words = vec![0; WORDS];
                    let size = cleanup.stderr.as_mut().map_or(Ok(0), |stderr| {
                        ioctl_fionbio(&*stderr, true)?;
                        stderr.read(&mut words)
                    });
                    let _ = cleanup.kill();
                    let status = cleanup.wait()?;
                    bail!(EngineError::new(&self.cleanup(), status, &words[..size.unwrap_or_default()]));
                }
                Some(_) => break "has stopped",
            }
        };
        bail!(Failure::new(format!("{} {end}", self.name)).hint("`cage start` brings it up"))
    }
}

/// A connection that has ended, the index of its port, and its outcome.
type Ended = (Arc<Connection>, usize, Option<Outcome>);

/// A [`Forwarding`] in progress.
struct Running<'a> {
    forwarding: &'a Forwarding,
    runner: Runner,
    cleanup: Arc<Cleanup>,
    /// At its end when the cleanup client has exited, and with it the container.
    cleanup_stdout: ChildStdout,
    connections: Vec<Arc<Connection>>,
    max_connections: usize,
    /// Connections send here, and then write a byte to `wake`, which makes `woken` readable.
    sender: mpsc::Sender<Ended>,
    receiver: mpsc::Receiver<Ended>,
    wake: Arc<UnixStream>,
    woken: UnixStream,
    /// How the last connection of each port ended.
    outcomes: Vec<Option<Outcome>>,
    /// The user was told that connections wait.
    told_full: bool,
}

impl<'a> Running<'a> {
    fn new(forwarding: &'a Forwarding, runner: Runner, cleanup: &mut Child) -> Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        let (sender, receiver) = mpsc::channel();
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS);
        Ok(Self {
            forwarding,
            runner,
            cleanup: Arc::new(Cleanup(Mutex::new(cleanup.stdin.take()))),
            cleanup_stdout: cleanup.stdout.take().context("the cleanup client has no stdout")?,
            connections: Vec::new(),
            max_connections: room.unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS),
            sender,
            receiver,
            wake: Arc::new(wake),
            woken,
            outcomes: forwarding.ports.iter().map(|_| None).collect(),
            told_full: false,
        })
    }

    /// Accepts connections. Returns whether a signal ended this, rather than the container.
    fn serve(&mut self, signals: &UnixStream, interrupts: &Interrupts) -> Result<bool> {
        let forwarding = self.forwarding;
        let listeners: Vec<&TcpListener> =
            forwarding.ports.iter().filter_map(|port| port.listener.as_ref()).collect();
        while !interrupts.came() {
            let is_full = self.connections.len() >= self.max_connections;
            if is_full && !self.told_full {
                self.told_full = true;
                let max = self.max_connections;
                console::info(&format!("{max} connections are open, and more wait until one ends"));
            }
            let mut streams = vec![signals.as_fd(), self.cleanup_stdout.as_fd(), self.woken.as_fd()];
            if !is_full {
                streams.extend(listeners.iter().map(|listener| listener.as_fd()));
            }
            let ready = wait_for(&streams, None)?;
            if ready[0] {
                return Ok(true);
            }
            if ready[1] && !self.container_runs() {
                return Ok(false);
            }
            if ready[2] {
                self.remove_ended();
            }
            for (port, listener) in listeners.iter().enumerate() {
                if ready.get(port + 3) == Some(&true) {
                    self.accept(port, listener);
                }
            }
        }
        Ok(true)
    }

    /// Returns whether the cleanup client still runs. Its output has no meaning.
    fn container_runs(&mut self) -> bool {
        self.cleanup_stdout.read(&mut [0; 1024]).is_ok_and(|size| size > 0)
    }

    fn accept(&mut self, port: usize, listener: &TcpListener) {
        match listener.accept() {
            Ok((program, _)) => self.connect(port, program),
            // The program has given up already.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A resource is used up, for the moment.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }

    fn connect(&mut self, port: usize, program: TcpStream) {
        // Some systems let the socket inherit the listener's flags. Small messages must not wait for each other.
        if program.set_nonblocking(false).and_then(|()| program.set_nodelay(true)).is_err() {
            return;
        }
        let connection = Arc::new(Connection::new(program, Arc::clone(&self.cleanup)));
        // The client starts last: without a thread, nothing would wait for its end.
        let (pass_client, client) = mpsc::channel();
        let (sender, wake, carried) = (self.sender.clone(), Arc::clone(&self.wake), Arc::clone(&connection));
        let carry = move || {
            let outcome = client.recv().ok().and_then(|client| carried.run(client));
            // There is no receiver any more once cage ends.
            let _ = sender.send((carried, port, outcome));
            let _ = (&*wake).write_all(&[0]);
        };
        if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(carry) {
            return self.report(port, Outcome::Failed(error.to_string()));
        }
        self.connections.push(connection);
        let client = self.forwarding.client(&self.forwarding.ports[port]);
        match self.runner.start(&client, Streams::Piped) {
            Ok(client) => drop(pass_client.send(client)),
            Err(error) => self.report(port, Outcome::Failed(error.to_string())),
        }
    }

    fn remove_ended(&mut self) {
        let _ = self.woken.read(&mut [0; 1024]);
        while let Ok((ended, port, outcome)) = self.receiver.try_recv() {
            self.connections.retain(|connection| !Arc::ptr_eq(connection, &ended));
            if let Some(outcome) = outcome {
                self.report(port, outcome);
            }
        }
    }

    /// Tells the user about a problem with a port, once until the outcome there changes.
    fn report(&mut self, port: usize, outcome: Outcome) {
        let (inside, name) = (self.forwarding.ports[port].inside, &self.forwarding.name);
        match (&self.outcomes[port], &outcome) {
            (_, Outcome::Answered)
            | (Some(Outcome::Refused), Outcome::Refused)
            | (Some(Outcome::Failed(_)), Outcome::Failed(_)) => {}
            (Some(Outcome::Answered), Outcome::Refused) => {
                console::info(&format!("nothing listens on port {inside} in {name} any more"));
            }
            (_, Outcome::Refused) => {
                console::info(&format!("nothing listens on port {inside} in {name} yet"));
            }
            (_, Outcome::Failed(words)) => {
                console::warn(&format!("could not connect to port {inside} in {name}: {words}"));
            }
        }
        self.outcomes[port] = Some(outcome);
    }

    /// Ends all connections and their bridges. A second signal stops the waiting.
    fn end(&mut self, signals: &UnixStream) {
        while (&*signals).read(&mut [0; 64]).is_ok_and(|size| size > 0) {}
        let deadline = Instant::now() + PATIENCE;
        self.connections.iter().for_each(|connection| connection.cut());
        while !self.connections.is_empty() && is_readable(&self.woken, signals, deadline) {
            self.remove_ended();
        }
        self.cleanup.finish();
        while is_readable(&self.cleanup_stdout, signals, deadline) && self.container_runs() {}
        if !self.connections.is_empty() {
            let name = &self.forwarding.name;
            console::warn(&format!("some forwarded connections in {name} have not ended"));
        }
    }
}

/// Waits until `stream` can be read. Returns false if a signal or the deadline comes first.
fn is_readable(stream: &impl AsFd, signals: &UnixStream, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    wait_for(&[signals.as_fd(), stream.as_fd()], Some(left)).is_ok_and(|ready| !ready[0] && ready[1])
}

/// Waits until some of the streams can be read, or for the time given, and returns which. It may be none.
fn wait_for(streams: &[BorrowedFd], limit: Option<Duration>) -> Result<Vec<bool>> {
    let mut streams: Vec<PollFd> = streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
    let limit = limit.and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut streams, limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(streams.iter().map(|stream| !stream.revents().is_empty()).collect())
}
