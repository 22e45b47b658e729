//! Failed engine commands: which kind of failure it is, and what the user can do about it.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::error::Failure;
use crate::engine::command::Invocation;

/// Returns whether `error` is an engine's failure of this kind.
pub fn is_trouble(error: &anyhow::Error, trouble: Trouble) -> bool {
    error.downcast_ref::<EngineError>().is_some_and(|error| error.trouble() == trouble)
}

/// Returns what the user can do about an error, if anything is known.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.advice().map(str::to_owned);
    }
    let engine = error.downcast_ref::<EngineError>()?;
    let hint = match engine.trouble() {
        Trouble::Unreachable => "start it, or choose another with `--runtime` or CAGE_RUNTIME",
        Trouble::PermissionDenied => {
            "add yourself to the engine's group (`sudo usermod -aG docker $USER`, then log in again), \
             or use rootless podman: `cage --runtime podman …`"
        }
        Trouble::PortTaken => "stop what listens there, or publish another host port with `-p`",
        Trouble::DiskFull => {
            "free some space: `cage list` shows cages, `docker system df` or `podman system df` what takes the room"
        }
        Trouble::NoSuchImage => {
            "an image name without a slash is local and never pulled: build it, or set CAGE_IMAGE to an image that can be pulled"
        }
        Trouble::NoInit => "install the engine's init: `docker-init` (tini) or `catatonit`",
        Trouble::NoAgent => {
            "start an SSH agent, or turn its forwarding on where the engine is in a virtual machine"
        }
        Trouble::NotShared => {
            "share the directory with the engine's virtual machine, or move the project to where it is"
        }
        Trouble::TooOld => "without root, podman 4.3 or newer can",
        Trouble::OtherProcessor => {
            "set CAGE_IMAGE to an image for this machine, or let the engine emulate the other kind (binfmt_misc, QEMU)"
        }
        Trouble::DirectoryGone => {
            "the project directory was replaced while the cage ran; `cage restart` mounts the new one"
        }
        Trouble::TimedOut => {
            "the engine or this machine may be busy: try again, with `--verbose` to see each engine command"
        }
        Trouble::NotRunning => "the image's own command ended: `docker run --rm -it IMAGE` shows why",
        Trouble::NameTaken | Trouble::NoSuchContainer | Trouble::Other => return None,
    };
    Some(hint.to_owned())
}

/// What the engines say when there is no such container, or nothing at all of that name.
const MISSING_CONTAINER: [&str; 3] = ["no such container", "no such object", "no container with name"];

/// What they say when there is no such image.
const MISSING_IMAGE: [&str; 2] = ["no such image", "image not known"];

/// A runtime command that failed: its command line, its status and its own words.
#[derive(Debug)]
pub struct EngineError {
    program: String,
    command: String,
    status: String,
    words: String,
    timed_out: bool,
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
    /// The command took longer than its time limit.
    TimedOut,
    /// Something else.
    Other,
}

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
            timed_out: false,
        }
    }

    /// The failure of a command that could not be started.
    pub fn not_started(invocation: &Invocation, error: &io::Error) -> Self {
        Self {
            program: invocation.name.clone(),
            command: invocation.brief(),
            status: format!("it did not start: {error}"),
            words: String::new(),
            timed_out: false,
        }
    }

    /// The failure of a command that took longer than `limit`.
    pub fn timed_out(invocation: &Invocation, limit: Duration) -> Self {
        Self {
            program: invocation.name.clone(),
            command: invocation.brief(),
            status: format!("no answer within {} s", limit.as_secs()),
            words: String::new(),
            timed_out: true,
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
        if self.timed_out {
            Trouble::TimedOut
        } else if says(&["permission denied while trying to connect"]) {
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

impl std::error::Error for EngineError {}

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

/// What an engine that made a container says of an image for another kind of processor: `WARNING: The requested image's
/// platform (linux/amd64) does not match the detected host platform (linux/arm64/v8) and …`; podman's words are similar.
pub fn other_platform(stderr: &[u8]) -> Option<String> {
    let words = String::from_utf8_lossy(stderr);
    let line = words.lines().find(|line| line.contains("platform (") && line.contains("does not match"))?;
    Some(line.trim_start_matches("WARNING: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
