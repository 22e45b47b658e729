//! The terminals in which commands of `cage shell` and `cage run` are running in a cage: a file for each, named after cage's process,
//! in `~/.local/state/cage/NAME.terminals`. Engines forget such commands when a container ends.

use std::fs::{self, DirEntry};
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::process::{Pid, test_kill_process};

use crate::base::file;
use crate::host::machine::Host;

/// The content of the file of a terminal that has ended with the cage.
const ENDED: &str = "ended";

/// The directory for a cage.
#[derive(Debug)]
pub struct OpenTerminals(PathBuf);

/// A terminal that is open. Dropping this closes it.
pub struct OpenTerminal {
    path: PathBuf,
    ended_with_cage: bool,
}

impl OpenTerminals {
    /// Returns the directory of the cage `name`; `None` without a directory for cage's files.
    pub fn of(host: &Host, name: &str) -> Option<Self> {
        host.state_file(name, "terminals").map(Self)
    }

    /// Notes the terminal of this process. Without a note it is not counted.
    pub fn open(&self) -> OpenTerminal {
        let path = self.0.join(std::process::id().to_string());
        let _ = file::private_dir(&self.0).and_then(|()| fs::write(&path, ""));
        OpenTerminal { path, ended_with_cage: false }
    }

    /// Returns how many terminals have ended with the cage since `start`, or are about to, and forgets them.
    pub fn take_ended(&self, start: SystemTime) -> usize {
        let is_open = |entry: &DirEntry| {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            pid.is_some_and(|pid| test_kill_process(pid).is_ok())
        };
        // Without the word cage was killed.
        let has_ended = |entry: &DirEntry| {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let content = fs::read_to_string(entry.path());
            content.is_ok_and(|word| word == ENDED) && written.is_ok_and(|written| written >= start)
        };
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let count = entries.filter(|entry| is_open(entry) || has_ended(entry)).count();
        let _ = fs::remove_dir_all(&self.0);
        count
    }
}

impl OpenTerminal {
    /// Leaves the note for the command that counts the terminals.
    pub fn ends_with_cage(&mut self) {
        self.ended_with_cage = true;
        let _ = fs::write(&self.path, ENDED);
    }
}

impl Drop for OpenTerminal {
    fn drop(&mut self) {
        if !self.ended_with_cage {
            let _ = fs::remove_file(&self.path);
            // The last one takes the directory along.
            let _ = self.path.parent().map(fs::remove_dir);
        }
    }
}
