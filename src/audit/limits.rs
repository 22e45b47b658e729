//! The budget of one scan, and the reasons why it did not see everything.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// The number of reasons that a report gives for being incomplete.
const MAX_GAPS: usize = 3;

/// The most that one scan may take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The time in which a scan must end.
    pub time: Duration,
    /// The number of directory entries to read.
    pub entries: usize,
    /// The number of bytes to read from files.
    pub bytes: u64,
    /// The number of findings to keep.
    pub findings: usize,
}

/// What is left of a budget, and what the scan had to leave out.
#[derive(Debug)]
pub struct Limits {
    deadline: Instant,
    is_late: Cell<bool>,
    entries: Cell<usize>,
    bytes: Cell<u64>,
    max_findings: usize,
    gaps: RefCell<Vec<String>>,
}

impl Limits {
    /// Starts the clock.
    pub fn new(budget: Budget) -> Self {
        Self {
            deadline: Instant::now() + budget.time,
            is_late: Cell::new(false),
            entries: Cell::new(budget.entries),
            bytes: Cell::new(budget.bytes),
            max_findings: budget.findings,
            gaps: RefCell::default(),
        }
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
        let path = path.display();
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
        if left == 0 {
            if !self.is_late() {
                self.note_gap("there are too many files");
            }
            return false;
        }
        self.entries.set(left - 1);
        // Reading the clock costs as much as reading an entry.
        if left.is_multiple_of(64) && self.is_late() {
            self.entries.set(0);
            return false;
        }
        true
    }

    /// Takes up to `wanted` bytes from the budget and returns how many.
    pub fn take_bytes(&self, wanted: u64) -> u64 {
        let left = self.bytes.get();
        let taken = wanted.min(left);
        self.bytes.set(left - taken);
        taken
    }

    /// Returns whether one more finding can be kept, given the number of those there are.
    pub fn has_room_for_finding(&self, count: usize) -> bool {
        let has_room = count < self.max_findings;
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
