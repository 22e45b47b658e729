//! The limits of a scan, and the reasons why it did not see everything.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::display;

/// The number of reasons that a report gives for being incomplete.
const MAX_GAPS: usize = 3;

/// The remaining budget of a scan, and the reasons for gaps in its report.
#[derive(Debug)]
pub struct Limits {
    deadline: Instant,
    is_late: Cell<bool>,
    entries: Cell<usize>,
    bytes: Cell<u64>,
    findings: usize,
    /// Whether only small files are read.
    is_quick: bool,
    gaps: RefCell<Vec<String>>,
}

impl Limits {
    /// Starts a scan that reads at most so many directory entries and bytes of files, and keeps at most so many findings.
    pub fn new(time: Duration, entries: usize, bytes: u64, findings: usize) -> Self {
        let deadline = Instant::now() + time;
        let (entries, bytes) = (Cell::new(entries), Cell::new(bytes));
        Self {
            deadline,
            is_late: Cell::new(false),
            entries,
            bytes,
            findings,
            is_quick: false,
            gaps: RefCell::default(),
        }
    }

    /// Reads small files only, for a scan that a user doesn't notice.
    pub fn quick(self) -> Self {
        Self { is_quick: true, ..self }
    }

    /// Returns whether only small files are read.
    pub fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Records why a part of the project was not read: the report is incomplete.
    pub fn note_gap(&self, why: impl Into<String>) {
        let (why, mut gaps) = (why.into(), self.gaps.borrow_mut());
        if gaps.len() < MAX_GAPS && !gaps.contains(&why) {
            gaps.push(why);
        }
    }

    /// Records that a file or directory could not be read, unless it does not exist.
    pub fn note_error(&self, path: &Path, error: Errno) {
        if is_absent(error) {
            return;
        }
        let path = display::name(path);
        self.note_gap(match error {
            Errno::AGAIN => format!("{path} can't be read while another program holds a lease on it"),
            _ => format!("{path} can't be read: {error}"),
        });
    }

    /// Returns why the report is incomplete, if it is.
    pub fn gaps(&self) -> Option<String> {
        let gaps = self.gaps.borrow();
        (!gaps.is_empty()).then(|| gaps.join("; "))
    }

    /// Takes one directory entry from the budget; `false` if none is left.
    pub fn take_entry(&self) -> bool {
        let left = self.entries.get();
        // Reading the clock costs as much as reading an entry.
        if left.is_multiple_of(64) && self.is_late() {
            return false;
        }
        if left == 0 {
            self.note_gap("there are too many files");
            return false;
        }
        self.entries.set(left - 1);
        true
    }

    /// Takes up to `wanted` bytes from the budget and returns how many.
    pub fn take_bytes(&self, wanted: u64) -> u64 {
        let left = self.bytes.get();
        let taken = wanted.min(left);
        self.bytes.set(left - taken);
        taken
    }

    /// Returns whether another finding can be kept besides `count` others.
    pub fn has_room_for_finding(&self, count: usize) -> bool {
        let has_room = count < self.findings;
        if !has_room {
            self.note_gap("there are too many findings");
        }
        has_room
    }

    /// Reads the clock and returns whether the time is over.
    pub fn is_late(&self) -> bool {
        if !self.is_late.get() && Instant::now() >= self.deadline {
            self.is_late.set(true);
            self.note_gap("it took too long");
        }
        self.is_late.get()
    }

    /// Returns whether an earlier look at the clock said that the time is over.
    pub fn was_late(&self) -> bool {
        self.is_late.get()
    }
}

/// Returns whether an error means that nothing is at a path, or only behind a link that is not followed on purpose. A
/// name that the file system can't hold is absent, too.
pub fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::ILSEQ)
}
