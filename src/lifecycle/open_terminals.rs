//! Who is in a cage: a file for each terminal that is attached and each command of `cage shell` and `cage run`, in
//! `~/.local/state/cage/NAME.terminals`. Engines don't report terminals, and forget commands when a container ends.
//!
//! cage holds a lock on the file. The lock ends with the process, so that the file of a killed process no longer counts.

use std::fmt;
use std::fs::{self, DirEntry, File, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::base::text::name;
use crate::base::time;
use crate::host::machine::Host;

/// The content of the file of a terminal that has ended with the cage.
const ENDED: &str = "ended";

/// The precision of the times of files.
const TICK: Duration = Duration::from_millis(20);

/// The directory for a cage.
#[derive(Debug)]
pub struct OpenTerminals(PathBuf);

/// The way in which a user is in a cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A terminal is attached to the first process.
    Attached,
    /// A command has a terminal.
    Terminal,
    /// A command has other streams.
    Streams,
}

/// Someone who is in a cage.
#[derive(Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Whether and how a terminal is connected.
    pub way: Way,
    /// The program, without the path and the arguments, which may be secret.
    pub program: String,
    /// Since when.
    pub since: SystemTime,
}

/// A terminal or command that is open. Dropping this closes it.
pub struct OpenTerminal {
    file: PathBuf,
    /// Holds the lock.
    _lock: Option<File>,
    ended_with_cage: bool,
}

impl Way {
    const ALL: [Self; 3] = [Self::Attached, Self::Terminal, Self::Streams];

    fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Terminal => "terminal",
            Self::Streams => "streams",
        }
    }
}

/// `claude (12m)`.
impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = if self.way == Way::Attached { "attached terminal" } else { &name(&self.program) };
        write!(f, "{program} ({})", time::age(self.since))
    }
}

impl OpenTerminals {
    /// Returns the directory of the cage `name`; `None` without a directory for cage's files.
    pub fn of(host: &Host, name: &str) -> Option<Self> {
        host.state_file(name, "terminals").map(Self)
    }

    /// Notes this process. Without a note it is not counted.
    pub fn open(&self, way: Way, program: &str) -> OpenTerminal {
        let file = self.0.join(std::process::id().to_string());
        let note = || {
            fs::create_dir_all(&self.0)?;
            fs::write(&file, format!("{} {program}", way.name()))?;
            let lock = File::open(&file)?;
            lock.lock()?;
            Ok::<_, std::io::Error>(lock)
        };
        OpenTerminal { _lock: note().ok(), file, ended_with_cage: false }
    }

    /// Returns who is in the cage now, in order of arrival.
    pub fn visitors(&self) -> Vec<Visitor> {
        let mut visitors: Vec<Visitor> = self.entries().filter_map(|entry| visitor(&entry)).collect();
        visitors.sort_by_key(|visitor| visitor.since);
        visitors
    }

    /// Returns when someone last came or left, and whether this process has the terminal that was attached last.
    pub fn is_last(&self) -> (Option<SystemTime>, bool) {
        let changed = fs::metadata(&self.0).and_then(|metadata| metadata.modified()).ok();
        let attached = self.entries().filter_map(|entry| {
            let visitor = visitor(&entry).filter(|visitor| visitor.way == Way::Attached)?;
            Some((visitor.since, entry.file_name()))
        });
        (changed, attached.max().is_some_and(|(_, process)| process == *std::process::id().to_string()))
    }

    /// Returns how many terminals of commands have ended with the cage since `start`, or are about to, and forgets them.
    pub fn take_ended(&self, start: SystemTime) -> usize {
        let is_open = |entry: &DirEntry| visitor(entry).is_some_and(|visitor| visitor.way == Way::Terminal);
        // If the word is missing, that cage process was killed.
        let has_ended = |entry: &DirEntry| {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let content = fs::read_to_string(entry.path());
            content.is_ok_and(|word| word == ENDED) && written.is_ok_and(|written| written + TICK >= start)
        };
        let count = self.entries().filter(|entry| is_open(entry) || has_ended(entry)).count();
        let _ = fs::remove_dir_all(&self.0);
        count
    }

    fn entries(&self) -> impl Iterator<Item = DirEntry> {
        fs::read_dir(&self.0).into_iter().flatten().flatten()
    }
}

/// Reads a file; `None` if its process has ended.
fn visitor(entry: &DirEntry) -> Option<Visitor> {
    let file = File::open(entry.path()).ok()?;
    let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let content = fs::read_to_string(entry.path()).ok().filter(|_| is_held)?;
    let (way, program) = content.split_once(' ')?;
    let way = Way::ALL.into_iter().find(|known| known.name() == way)?;
    let since = entry.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Some(Visitor { way, program: program.to_owned(), since })
}

impl OpenTerminal {
    /// Leaves the note for the command that counts the terminals.
    pub fn ends_with_cage(&mut self) {
        self.ended_with_cage = true;
        let _ = fs::write(&self.file, ENDED);
    }
}

impl Drop for OpenTerminal {
    fn drop(&mut self) {
        if !self.ended_with_cage {
            let _ = fs::remove_file(&self.file);
            // The last one takes the directory along.
            let _ = self.file.parent().map(fs::remove_dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_are_still_there_count() {
        let dir = tempfile::tempdir().unwrap();
        let open = OpenTerminals(dir.path().join("cage-x.terminals"));
        let now = SystemTime::now();
        assert_eq!(open.visitors(), []);
        let here = open.open(Way::Terminal, "claude");
        // Of this process's ID, of another process that runs, and of one that was killed.
        for (name, content) in [("1", "terminal zsh"), ("99999999", "streams npm"), ("7", "ended"), ("8", "")]
        {
            fs::write(open.0.join(name), content).unwrap();
        }
        let visitors = open.visitors();
        assert_eq!(visitors.len(), 1, "{visitors:?}");
        assert_eq!((visitors[0].way, visitors[0].program.as_str()), (Way::Terminal, "claude"));
        assert_eq!(visitors[0].to_string(), "claude (0s)");
        assert_eq!(open.take_ended(now), 2, "the one that is open, and the one that has ended");
        drop(here);
        assert!(!open.0.exists());
    }
}
