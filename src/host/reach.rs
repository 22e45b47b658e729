//! The directories of this machine that cages can write, as far as cage has seen them.
//!
//! The engine knows them, but a program in one of them must not be run before the engine is asked. So a command that makes a cage
//! keeps the answer in `~/.local/state/cage`, where no cage can write.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::host::git_pattern;
use crate::host::machine::Host;
use crate::host::places::system_dir;

/// The start of the names of these files; an engine and a label follow.
const START: &str = "writable.";

/// Places of this machine that code in a cage can write.
#[derive(Debug, Clone, Default)]
pub struct Reach(Vec<PathBuf>);

impl FromIterator<PathBuf> for Reach {
    fn from_iter<T: IntoIterator<Item = PathBuf>>(places: T) -> Self {
        Self(places.into_iter().collect())
    }
}

impl Reach {
    /// Returns the place that a path is in, goes through or leads to, whether `..` goes up from what a link leads to, as for the kernel,
    /// or is removed as text, as by programs in Go.
    pub fn place_of(&self, path: &Path) -> Option<&Path> {
        let ways_of = |path: &Path| {
            [path.to_owned(), file::resolved(path)].into_iter().chain(file::links(path)).collect::<Vec<_>>()
        };
        let mut ways = ways_of(path);
        let plain = file::lexical(path);
        if plain != path {
            ways.extend(ways_of(&plain));
        }
        let is_way = |place: &&PathBuf| ways.iter().any(|way| way.starts_with(place));
        self.0.iter().find(is_way).map(PathBuf::as_path)
    }

    /// Returns whether a path with wildcards in its names, as for ssh, can mean a file in one of these places.
    pub fn may_hold(&self, pattern: &Path) -> bool {
        let fits = |name: &OsStr, pattern: &OsStr| {
            git_pattern::matches(pattern.as_encoded_bytes(), name.as_encoded_bytes(), false)
        };
        self.0.iter().any(|place| {
            place.iter().count() < pattern.iter().count()
                && place.iter().zip(pattern).all(|(name, pattern)| fits(name, pattern))
        })
    }

    /// Returns whether a file or link exists and code in a cage can write it.
    pub fn has(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok() && self.place_of(path).is_some()
    }
}

impl Host {
    /// Checks that the user's settings and cage's own files are not where a cage can write, where a variable of an activated
    /// environment may lead: in the project that the user is in or has named with `--directory`, or in another place that cage has seen.
    ///
    /// # Errors
    /// When they are.
    pub fn check_own_places(&self, named: Option<&Path>) -> Result<()> {
        let Some(cwd) = &self.cwd else { return Ok(()) };
        let named = named.map(|named| file::real(&cwd.join(named)));
        let is_project =
            |dir: &&Path| *dir == cwd || Some(*dir) == named.as_deref() || dir.join(".git").exists();
        let dirs = cwd.ancestors().chain(named.iter().flat_map(|named| named.ancestors()));
        let projects = dirs.filter(is_project).filter(|dir| self.may_be_a_project(dir));
        let projects: Reach = projects.map(Path::to_owned).chain(self.reach()?).collect();
        let state = self.path_variable("XDG_STATE_HOME").and_then(|_| self.state_dir());
        for (name, place) in [("HOME", self.home.clone()), ("XDG_STATE_HOME", state)] {
            let project = place.as_ref().and_then(|place| projects.place_of(place));
            ensure!(
                project.is_none(),
                Failure::new(format!(
                    "{name} leads into {}, which code in a cage can write",
                    text::escape(&project.unwrap_or(Path::new("")).to_string_lossy())
                ))
                .hint(format!("unset {name}, or name a directory outside of the project"))
            );
        }
        Ok(())
    }

    /// Reads the places that cages of all engines can write.
    ///
    /// # Errors
    /// When a file is there and can't be read: a program there would be taken for harmless.
    pub fn reach(&self) -> Result<Vec<PathBuf>> {
        let mut places = Vec::new();
        let own = self.state_dir();
        // Code in a cage may be able to write the directory that a variable names, so those of other homes count, too. The user can't
        // list all of them.
        let is_usable = |dir: &PathBuf| own.as_ref() == Some(dir) || fs::read_dir(dir).is_ok();
        for dir in self.state_dirs().iter().filter(|dir| is_usable(dir)) {
            places.extend(places_in(dir)?);
        }
        Ok(places)
    }

    /// Keeps the places that the cages of an engine can write, besides those that are kept already and still exist: what code in a
    /// cage has planted stays when the cage is removed. A place with the whole home or system in it is not kept, as nothing would
    /// be left to run.
    pub fn keep_reach(&self, engine: &str, places: impl IntoIterator<Item = String>) {
        let home = self.home.as_deref().map(file::real);
        let is_limited = |place: &Path| {
            system_dir(place).is_none() && !home.as_ref().is_some_and(|home| home.starts_with(place))
        };
        let kept = self
            .reach()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|place| place.into_os_string().into_string().ok());
        let places = places.into_iter().chain(kept);
        let places: BTreeSet<String> =
            places.filter(|place| is_limited(Path::new(place)) && Path::new(place).exists()).collect();
        let Some(dir) = self.state_dir() else { return };
        let path = dir.join(format!("{START}{engine}.{}", self.label));
        let Ok(text) = serde_json::to_string(&places) else { return };
        let is_kept = fs::read_to_string(&path).map_or(places.is_empty(), |kept| kept == text);
        if !is_kept {
            // Without the file, cage distrusts a program there only while its project is the current one.
            let _ = file::write_private(&path, &text);
        }
    }
}

/// Reads the places that are kept in a directory.
fn places_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let files = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        files => files.with_context(|| format!("cannot read {}", text::escape(&dir.to_string_lossy())))?,
    };
    let mut places = Vec::new();
    for entry in files.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(START)) {
        let read = || {
            serde_json::from_str::<Vec<PathBuf>>(&fs::read_to_string(entry.path())?)
                .map_err(anyhow::Error::from)
        };
        let shown = || format!("cannot read {}: remove it", text::escape(&entry.path().to_string_lossy()));
        places.extend(read().with_context(shown)?);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_with_parents_is_read_as_by_the_kernel_and_as_text() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("project/deep")).unwrap();
        fs::create_dir_all(root.join("elsewhere/deep")).unwrap();
        symlink(root.join("project/deep"), root.join("to-project")).unwrap();
        symlink(root.join("elsewhere/deep"), root.join("to-elsewhere")).unwrap();
        let reach: Reach = [root.join("project")].into_iter().collect();
        for path in ["project/x", "nowhere/../project/x", "to-elsewhere/../project/x", "to-project/../x"] {
            assert_eq!(reach.place_of(&root.join(path)), Some(root.join("project").as_path()), "{path}");
        }
        for path in ["projects", "to-elsewhere/../x"] {
            assert_eq!(reach.place_of(&root.join(path)), None, "{path}");
        }
    }
}
