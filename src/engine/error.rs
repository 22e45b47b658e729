//! Failed engine commands: which kind of failure it is, and what the user can do about it.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::error::Failure;
use crate::engine::command::Invocation;
use crate::engine::trouble;
pub use crate::engine::trouble::Trouble;
use crate::host::systemd::missing_session;

/// Returns whether `error` is an engine's failure of this kind.
pub fn is_trouble(error: &anyhow::Error, trouble: Trouble) -> bool {
    error.downcast_ref::<EngineError>().is_some_and(|error| error.trouble == trouble)
}

/// Returns what the user can do about an error, if anything is known.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.advice().map(str::to_owned);
    }
    error.downcast_ref::<EngineError>().map(|error| error.hint.to_owned()).filter(|hint| !hint.is_empty())
}

/// The most that is kept of a command's messages, in bytes: their end. A program in a cage may write without end.
const MAX_WORDS: usize = 4096;

/// The number of lines of them that an error has.
const FEW_LINES: usize = 10;

/// A failed engine command: its command line, its status and its message.
#[derive(Debug)]
pub struct EngineError {
    /// The kind of the failure. If the message isn't recognised, there is no explanation and no hint.
    pub trouble: Trouble,
    /// The engine's message.
    pub words: String,
    explanation: String,
    hint: &'static str,
    command: String,
    status: String,
}

impl EngineError {
    /// Returns the failure of a command that ended with `status`.
    pub fn new(invocation: &Invocation, status: ExitStatus, stderr: &[u8]) -> Self {
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => status.to_string(),
        };
        let end = &stderr[stderr.len().saturating_sub(MAX_WORDS)..];
        let words = String::from_utf8_lossy(end).trim().to_owned();
        let trouble = trouble::recognise(&words, &invocation.args);
        Self::explained(invocation, trouble, status, words)
    }

    /// Returns the failure of a command that could not be started.
    pub fn not_started(invocation: &Invocation, error: &io::Error) -> Self {
        let status = format!("it did not start: {error}");
        Self::explained(invocation, Trouble::Other, status, String::new())
    }

    /// Returns the failure of a command that took longer than `limit`.
    pub fn timed_out(invocation: &Invocation, limit: Duration) -> Self {
        let status = format!("no answer within {} s", limit.as_secs());
        Self::explained(invocation, Trouble::TimedOut, status, String::new())
    }

    fn explained(invocation: &Invocation, trouble: Trouble, status: String, words: String) -> Self {
        let (explanation, hint) = explain(trouble, invocation, &words);
        Self { trouble, words, explanation, hint, command: invocation.brief(), status }
    }

    /// Returns the command, its status and the engine's words, at most this many lines of them.
    pub fn details(&self, lines: usize) -> String {
        let call = format!("`{}`: {}", self.command, self.status);
        let words: Vec<&str> = self.words.lines().collect();
        let last = &words[words.len().saturating_sub(lines)..];
        [&[call.as_str()], last].concat().join("\n")
    }
}

impl std::error::Error for EngineError {}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of these, cage's own line says all; the engine's words are for `--verbose`.
        let is_plain =
            matches!(self.trouble, Trouble::PortTaken | Trouble::Unreachable | Trouble::PermissionDenied);
        let details = if is_plain { String::new() } else { self.details(FEW_LINES) };
        let lines = [self.explanation.as_str(), &details];
        f.write_str(&lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
    }
}

/// Returns a description of a failure and a hint for the user; either may be empty.
fn explain(trouble: Trouble, invocation: &Invocation, words: &str) -> (String, &'static str) {
    let unreachable = invocation.runtime.kind.unreachable(&invocation.runtime.name);
    let elsewhere =
        trouble::no_answer(words).map(|line| format!("{} does not answer: {line}", invocation.runtime.name));
    let forbidden = format!("you have no permission to use {}", invocation.runtime.name);
    let taken = trouble::taken_port(words).map(|port| format!("port {port} is taken"));
    let refused = trouble::taken_port(words).map(|port| format!("port {port} can't be published"));
    let no_session = missing_session();
    let (explanation, hint) = match trouble {
        Trouble::Unreachable if elsewhere.is_some() => (
            elsewhere.as_deref().unwrap_or_default(),
            "start it, or check its address: DOCKER_HOST, CONTAINER_HOST, `docker context ls`",
        ),
        Trouble::Unreachable => {
            (unreachable.as_str(), "start it, or choose another with `--runtime` or CAGE_RUNTIME")
        }
        Trouble::PermissionDenied => (
            forbidden.as_str(),
            "add yourself to the engine's group (`sudo usermod -aG docker $USER`, then log in again), \
             or use rootless podman: `cage --runtime podman …`",
        ),
        Trouble::PortTaken => (
            taken.as_deref().unwrap_or("a published port is taken"),
            "stop what listens there, or publish another host port with `-p`",
        ),
        Trouble::PortRefused => (
            refused.as_deref().unwrap_or("a port can't be published"),
            "publish a port above 1023 with `-p`, at an address of this machine",
        ),
        Trouble::DiskFull => (
            "",
            "free some space: `cage list` shows cages, `docker system df` or `podman system df` what uses the space",
        ),
        Trouble::NoSuchImage => (
            "the image is not on this machine",
            "an image name without a slash is local and never pulled: build it, or choose another with `--image` or CAGE_IMAGE",
        ),
        Trouble::NoInit => ("", "install the engine's init: `docker-init` (tini) or `catatonit`"),
        Trouble::NoSuchUser => {
            ("there is no such user or group in the cage", "name one of its /etc/passwd, or a number")
        }
        Trouble::NoController => (
            "the engine can't enforce a limit that the cage is to have",
            "leave the limit out, or give the engine the means to enforce it: `cage doctor` tells how",
        ),
        Trouble::NoSession => no_session.as_ref().map_or(
            ("", "install crun or runc; `podman info` shows podman's own words"),
            |(missing, remedy)| (missing.as_str(), *remedy),
        ),
        Trouble::NoAgent => (
            "the SSH agent's socket can't be mounted; `cage restart --no-ssh` leaves it out",
            "start an SSH agent, or turn on agent forwarding to the engine's virtual machine",
        ),
        Trouble::NotShared => (
            "the engine can't see a directory that is to be mounted; in a virtual machine, it sees only \
             directories that are shared, usually your home",
            "share the directory with the engine's virtual machine, or move the project to a shared directory",
        ),
        Trouble::TooOld => (
            "this podman can't map you to the image's user",
            "update podman to 4.3 or newer, or use it as root",
        ),
        Trouble::OtherProcessor => (
            "the image is made for another kind of processor than this machine's",
            "set CAGE_IMAGE to an image for this machine, or let the engine emulate the other kind (binfmt_misc, QEMU)",
        ),
        Trouble::DirectoryGone => (
            "the project directory is not the one that the cage has mounted",
            "the project directory was replaced while the cage ran; `cage restart` mounts the new one",
        ),
        Trouble::TimedOut => (
            "",
            "the engine or this machine may be busy: try again, with `--verbose` to see each engine command",
        ),
        Trouble::NotRunning => (
            if invocation.is_exec() { "the cage stopped at once" } else { "" },
            "the image's own command ended: `docker run --rm -it IMAGE`, or podman's, shows the reason",
        ),
        Trouble::NameTaken | Trouble::NoSuchContainer | Trouble::NoFreezer | Trouble::Other => ("", ""),
    };
    (explanation.to_owned(), hint)
}

/// Returns the engine's warning that an image is for another kind of processor: `WARNING: The requested image's platform
/// (linux/amd64) does not match the detected host platform (linux/arm64/v8) and …`; podman's is similar.
pub fn other_platform(stderr: &[u8]) -> Option<String> {
    let words = String::from_utf8_lossy(stderr);
    let line = words.lines().find(|line| line.contains("platform (") && line.contains("does not match"))?;
    Some(line.trim_start_matches("WARNING: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::Runtime;
    use crate::engine::dialect::Dialect;

    #[test]
    fn words_without_end_are_cut() {
        let invocation = Runtime::sample(Dialect::Docker).command(["exec", "x"]);
        let words = ["x".repeat(1 << 20).as_bytes(), "ä\nError: no\n".as_bytes()].concat();
        let error = EngineError::new(&invocation, ExitStatus::from_raw(256), &words);
        assert!(error.words.len() <= MAX_WORDS && error.words.ends_with("ä\nError: no"));
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
}
