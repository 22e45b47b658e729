//! The state of a project before its first cage, in `~/.local/state/cage/NAME.baseline`. It stays when that cage is removed: a new
//! cage would otherwise take what code in the former one left for the user's own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::audit::{self, Outside, Record, Scope};
use crate::base::{console, text};
use crate::cage::existing::Cage;
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::host::worktree::GitDir;

/// The kind of the file.
const KIND: &str = "baseline";

/// A project as it was before its first cage.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// The path of the project.
    project: String,
    /// The inode number of the directory, and the nanosecond of its creation: they tell it from another one at its path.
    directory: (u64, Option<u64>),
    /// The directory's owner and group.
    owner: (u32, u32),
    /// The repository outside of the project that git needed.
    #[serde(default)]
    repository: Option<String>,
    /// The text and the time of the record of findings.
    seen: String,
    since: i64,
}

impl Baseline {
    /// Returns the kept state of a project, or that of now. `old` is the cage to be replaced, which has a record; `repository` is the
    /// one outside that git needs.
    ///
    /// # Errors
    /// When the file can't be read: what is new could then be taken for old.
    pub fn of(host: &Host, project: &Project, old: Option<&Cage>, repository: Option<&str>) -> Result<Self> {
        let kept = Self::kept(host, project)?;
        let record = old.and_then(Cage::record).or_else(|| kept.as_ref().map(Self::record));
        let Record { label: seen, since } = record.unwrap_or_else(|| scan(host, project));
        let owner = kept.as_ref().map_or((project.owner.uid, project.owner.gid), |kept| kept.owner);
        let repository = kept.map_or_else(|| repository.map(str::to_owned), |kept| kept.repository);
        let directory = (project.inode, creation(Path::new(&project.path)));
        Ok(Self { project: project.path.clone(), directory, owner, repository, seen, since })
    }

    /// Returns the path and the text of a project's file, unless it has this text.
    pub fn to_file(&self, host: &Host, project: &Project) -> Option<(PathBuf, String)> {
        let (path, text) = (host.state_file(&project.name, KIND)?, serde_json::to_string(self).ok()?);
        (fs::read_to_string(&path).ok().as_ref() != Some(&text)).then_some((path, text))
    }

    /// Returns the kept state of a project, also of one that was moved here; `None` if there was no cage or another directory.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn kept(host: &Host, project: &Project) -> Result<Option<Self>> {
        let Some(dir) = host.state_dir() else { return Ok(None) };
        let directory = (project.inode, creation(Path::new(&project.path)));
        let is_same = |kept: &Self| kept.directory == directory;
        if let Some(kept) = host.state_file(&project.name, KIND).map_or(Ok(None), |path| read(&path))? {
            return Ok(Some(kept).filter(is_same));
        }
        let moved = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let moved = moved.filter(|path| path.extension().is_some_and(|kind| kind == KIND));
        let is_here =
            |kept: &Self| is_same(kept) && directory.1.is_some() && !Path::new(&kept.project).exists();
        Ok(moved.filter_map(|path| read(&path).ok().flatten()).find(is_here))
    }

    /// Returns the project's git directory, or why its repository is not used: code in a cage can write the file that names it.
    pub fn check_repository(&self, git: GitDir) -> GitDir {
        match git.outside() {
            Some(common) if self.repository.as_deref() != Some(common) => GitDir::Refused(format!(
                "{} was not its repository before its first cage (--allow-nested uses it)",
                text::name(common)
            )),
            _ => git,
        }
    }

    /// Returns the record of findings.
    pub fn record(&self) -> Record {
        Record { label: self.seen.clone(), since: self.since }
    }

    /// Returns the owner that the directory had. Warns root if it has another now.
    pub fn owner(&self, host: &Host, project: &Project) -> Ids {
        let (owner, now) = (Ids { uid: self.owner.0, gid: self.owner.1 }, project.owner);
        if host.ids.uid == 0 && host.sudo_user.is_none() && owner.uid != now.uid {
            let file = host.state_file(&project.name, KIND).unwrap_or_default();
            console::warn(&format!(
                "{} belonged to {owner} before its first cage and belongs to {now} now. cage acts for {owner}; \
                 if you gave it to {now}, remove {}",
                text::escape(&project.path),
                text::escape(&file.to_string_lossy())
            ));
        }
        owner
    }
}

fn read(path: &Path) -> Result<Option<Baseline>> {
    let shown = || format!("cannot read {}: remove it", text::escape(&path.to_string_lossy()));
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => serde_json::from_str(&read.with_context(shown)?).with_context(shown).map(Some),
    }
}

/// Returns when a directory was created, if the file system knows.
fn creation(path: &Path) -> Option<u64> {
    let created = fs::metadata(path).and_then(|metadata| metadata.created()).ok()?;
    u64::try_from(created.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Records the findings in a project.
fn scan(host: &Host, project: &Project) -> Record {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A finding that this scan misses counts as new later.
    let findings = audit::scan(&project.dir(), Outside::of(host), Scope::Top).findings;
    Record::new(&findings, i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
