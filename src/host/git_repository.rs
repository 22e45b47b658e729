//! The facts about a project's repository that decide about the user's identity in it, and about the hosts that it names.
//!
//! Code in a cage can write all of these files. They are read without following links, and only compared with what the user has.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::base::file;
use crate::host::git_config::{Entry, entries};
use crate::host::project::Project;
use crate::host::worktree::{GitDir, is_repository};

/// The number of bytes of a repository's files that are read.
const MAX_SIZE: u64 = 1024 * 1024;

/// The number of directories in which submodules are looked for.
const MAX_MODULES: usize = 1000;

/// The number of their entries that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// The repository of a project.
#[derive(Debug, Default)]
pub struct Repository {
    /// The paths of its directory as git knows them: the real one, and the one by which the project was reached.
    pub paths: Vec<PathBuf>,
    /// The branch that is checked out.
    pub branch: Option<Vec<u8>>,
    /// Its settings, without those of files that it includes.
    pub settings: Vec<Entry>,
    /// The settings of its submodules.
    pub submodules: Vec<Entry>,
}

impl Repository {
    /// Looks at the repository that git finds from the project's directory. A project without one gets the path that its repository
    /// would have.
    pub fn of(project: &Project) -> Self {
        let dir = project.dir();
        let git = GitDir::of(&dir);
        let reached = file::lexical(&project.reached);
        let own = dir.join(".git");
        let (own, paths) = match git {
            GitDir::Outside { ref own, .. } => (own.clone(), vec![own.clone()]),
            GitDir::Inside => {
                // A link that leads out is not followed: the hosts of that repository would be known in the cage.
                let own = Some(file::real(&own)).filter(|real| real.starts_with(&dir)).unwrap_or(own);
                (own.clone(), vec![own, reached.join(".git")])
            }
            GitDir::None if is_repository(&dir) => (dir.clone(), vec![dir.clone(), reached]),
            GitDir::None | GitDir::Refused(_) => {
                let above = above(&dir).map(|above| vec![above]);
                (own.clone(), above.unwrap_or_else(|| vec![own, reached.join(".git")]))
            }
        };
        let common = git.outside().map_or_else(|| own.clone(), PathBuf::from);
        let settings = [common.join("config"), own.join("config.worktree")];
        let mut modules = vec![common.join("modules"), own.join("modules")];
        modules.dedup();
        let modules = modules_in(modules).into_iter().map(|dir| dir.join("config"));
        let mut room = MAX_SIZE;
        Self {
            paths,
            branch: read(&own.join("HEAD"), &mut room).as_deref().and_then(branch).map(<[u8]>::to_vec),
            settings: settings_in(settings, &mut room),
            submodules: settings_in([dir.join(".gitmodules")].into_iter().chain(modules), &mut room),
        }
    }
}

/// Returns the directory of the repository that a directory without one is in.
fn above(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().skip(1).find_map(|above| match GitDir::of(above) {
        GitDir::Inside => Some(file::real(&above.join(".git"))),
        GitDir::Outside { own, .. } => Some(own),
        GitDir::None | GitDir::Refused(_) => None,
    })
}

/// Reads a file of at most `room` bytes to whose path no link leads, and takes its size from the room; `None` if it can't be read.
fn read(path: &Path, room: &mut u64) -> Option<Vec<u8>> {
    let is_real = file::real(path) == path;
    let bytes =
        is_real.then(|| file::read_up_to(*room, "file", path, OFlags::NOFOLLOW).ok().flatten()).flatten()?;
    *room = room.saturating_sub(bytes.len() as u64);
    Some(bytes)
}

fn settings_in(files: impl IntoIterator<Item = PathBuf>, room: &mut u64) -> Vec<Entry> {
    let files = files.into_iter().filter_map(|path| read(&path, room));
    files.flat_map(|bytes| entries(&bytes).collect::<Vec<_>>()).collect()
}

/// Returns the branch that the text of `HEAD` names.
fn branch(head: &[u8]) -> Option<&[u8]> {
    head.strip_prefix(b"ref:")?.trim_ascii().strip_prefix(b"refs/heads/")
}

/// Returns the directories of submodules, and of their submodules. The name of a submodule may have slashes.
fn modules_in(roots: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = roots.into_iter().filter(|root| file::real(root) == *root).collect();
    let mut room = MAX_ENTRIES;
    while let Some(dir) = todo.pop() {
        if found.len() >= MAX_MODULES {
            break;
        }
        if dir.join("HEAD").is_file() {
            todo.push(dir.join("modules"));
        } else {
            let entries: Vec<_> = fs::read_dir(&dir).into_iter().flatten().flatten().take(room).collect();
            room -= entries.len();
            let dirs = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            todo.extend(dirs.map(fs::DirEntry::path));
        }
        found.push(dir);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::machine::Host;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn path(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
        }

        /// Returns the values of all settings.
        fn values(&self) -> Vec<String> {
            let project = Project::locate(&Host::sample(&[]), Some(&self.path("app"))).unwrap();
            let Repository { settings, submodules, .. } = Repository::of(&project);
            let values = settings.into_iter().chain(submodules).filter_map(|entry| entry.value);
            let mut values: Vec<_> = values.map(|value| String::from_utf8(value).unwrap()).collect();
            values.sort();
            values
        }
    }

    fn config(value: &str) -> String {
        format!("[a]\nb = {value}\n")
    }

    #[test]
    fn no_link_is_followed_and_nothing_blocks() {
        let tree = Tree(tempfile::tempdir().unwrap());
        let files = [
            "config",
            "config.worktree",
            "modules/a/config",
            "modules/a/modules/b/c/config",
            "modules/x/y/config",
        ];
        for file in files {
            tree.write(&format!("app/.git/{file}"), &config(file));
            tree.write(&format!("app/.git/{}", file.replace("config", "HEAD")), "ref: refs/heads/x\n");
        }
        tree.write("app/.gitmodules", &config("z"));
        assert_eq!(tree.values(), [&files, ["z"].as_slice()].concat(), "the control");

        tree.write("other/config", &config("other"));
        tree.write("other/HEAD", "");
        let replace = |path: &str, target: &str| {
            fs::rename(tree.path(path), tree.path(&format!("old-{}", path.replace('/', "-")))).unwrap();
            symlink(tree.path(target), tree.path(path)).unwrap();
        };
        replace("app/.git/config", "other/config");
        replace("app/.git/modules/x", "other");
        fs::remove_file(tree.path("app/.gitmodules")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.path("app/.gitmodules"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert_eq!(tree.values(), ["config.worktree", "modules/a/config", "modules/a/modules/b/c/config"]);

        // The repository itself: elsewhere, and in the project.
        replace("app/.git", "other");
        assert_eq!(tree.values(), [""; 0]);
        fs::remove_file(tree.path("app/.git")).unwrap();
        tree.write("app/own/config", &config("own"));
        symlink("own", tree.path("app/.git")).unwrap();
        assert_eq!(tree.values(), ["own"], "the control");
    }

    #[test]
    fn large_files_and_many_directories_are_not_read() {
        let tree = Tree(tempfile::tempdir().unwrap());
        tree.write("app/.git/config", &config(&"x".repeat(2 * 1024 * 1024)));
        for n in 0..MAX_MODULES + 100 {
            fs::create_dir_all(tree.path(&format!("app/.git/modules/d{n}"))).unwrap();
            tree.write(&format!("app/.git/modules/d{n}/config"), &config("x"));
        }
        assert!(tree.values().len() < MAX_MODULES);
    }
}
