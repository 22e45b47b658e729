//! Errors as the user reads them: what is wrong, and what to do about it.

use std::fmt;

use crate::engine::runner::{EngineError, Trouble};

/// A failure that cage found itself.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure that names the thing that is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What the user can do about `error`, if that is known.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.hint.clone();
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
        Trouble::NotRunning => "the image's own command ended: `docker run --rm -it IMAGE` shows why",
        Trouble::NameTaken | Trouble::NoSuchContainer | Trouble::Other => return None,
    };
    Some(hint.to_owned())
}
