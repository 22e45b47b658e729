//! Linked git worktrees and submodules: their `.git` is a file that names a directory elsewhere, without which git
//! doesn't work in the cage.
//!
//! A program in the cage can write that file. cage therefore accepts the directory only if it lies outside the project, is a
//! repository, and itself names this project as its working tree. cage never runs git.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::git_config;
use crate::base::file;
use crate::base::text::name;

/// The git directory that a project needs besides its own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitDir {
    /// The project has no `.git`.
    None,
    /// The repository is inside the project.
    Inside,
    /// The repository is outside the project.
    Outside {
        /// The directory with the repository, which the cage mounts at the same path.
        common: String,
        /// The working tree's own directory in it, which for a submodule is the same.
        own: PathBuf,
    },
    /// The reason why cage doesn't follow `.git`.
    Refused(String),
}

impl GitDir {
    /// Returns the directory outside the project that the cage mounts, if there is one.
    pub fn outside(&self) -> Option<&str> {
        match self {
            Self::Outside { common, .. } => Some(common),
            Self::None | Self::Inside | Self::Refused(_) => None,
        }
    }

    /// Reads the project's `.git`.
    pub fn of(project: &Path) -> Self {
        let file = project.join(".git");
        // A link is not followed: git itself creates only a file or a directory.
        match fs::symlink_metadata(&file) {
            Err(error) if is_absent(&error) => return Self::None,
            Err(error) => return Self::Refused(format!("it can't be read: {error}")),
            Ok(metadata) if !metadata.is_file() => return Self::Inside,
            Ok(_) => {}
        }
        match follow(project, &file) {
            Ok((common, own)) => Self::Outside { common, own },
            Err(why) => Self::Refused(why),
        }
    }
}

/// Returns the directory that a project's `.git` file names, whether or not it belongs to the project. No file there is opened.
pub fn named(project: &Path) -> Option<PathBuf> {
    let text = read_line(&project.join(".git")).ok()??;
    fs::canonicalize(project.join(text.strip_prefix("gitdir: ")?)).ok()
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Returns the repository that `.git` names and the working tree's own directory in it, or the reason why cage doesn't accept it.
fn follow(project: &Path, file: &Path) -> Result<(String, PathBuf), String> {
    let text = read_line(file)?.ok_or("it is gone")?;
    let target = text.strip_prefix("gitdir: ").ok_or("it doesn't say `gitdir:`")?;
    let git_dir = fs::canonicalize(project.join(target));
    let target = name(target);
    let git_dir = git_dir.map_err(|error| format!("{target}: {error}"))?;
    if git_dir.starts_with(project) {
        return Err(format!("{target} is in the project"));
    }
    if fs::canonicalize(working_tree(&git_dir)?).ok().as_deref() != Some(file) {
        return Err(format!("{target} belongs to another working tree"));
    }
    let common = match read_line(&git_dir.join("commondir"))? {
        Some(common) => {
            fs::canonicalize(git_dir.join(common)).map_err(|error| format!("{target}: {error}"))?
        }
        None => git_dir.clone(),
    };
    // git keeps a worktree's directory in `worktrees` of the common directory, so that a program that can write the first
    // can write the second as well. If any other place were accepted, one cage could choose what another one mounts.
    let worktrees =
        git_dir.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "worktrees"));
    let is_kept_there = worktrees.and_then(Path::parent) == Some(&common);
    if (common != git_dir && !is_kept_there) || project.starts_with(&common) {
        return Err(format!("{target} has its objects elsewhere"));
    }
    // git keeps the repositories of submodules in that of the project above.
    if common == git_dir && !git_dir.iter().any(|name| name == "modules") {
        return Err(format!("{target} is the repository of another project"));
    }
    // A directory of the user's own that is no repository, perhaps with everything of theirs in it.
    if !is_repository(&common) {
        return Err(format!("{} is no repository", name(&common.to_string_lossy())));
    }
    let common = common.into_os_string().into_string().map_err(|_| "its path is not valid UTF-8")?;
    Ok((common, git_dir))
}

/// Returns whether git takes a directory for a repository.
pub fn is_repository(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

/// Returns whether a directory has nothing in it but what git keeps in a repository: code in a cage can make a repository of a
/// directory with other files.
/// <https://git-scm.com/docs/gitrepository-layout>
pub fn has_only_git_files(dir: &Path) -> bool {
    const NAMES: [&str; 24] = [
        "HEAD",
        "AUTO_MERGE",
        "BISECT_LOG",
        "COMMIT_EDITMSG",
        "annex",
        "branches",
        "config",
        "config.worktree",
        "description",
        "gc.log",
        "gc.pid",
        "git-daemon-export-ok",
        "hooks",
        "index",
        "info",
        "lfs",
        "logs",
        "modules",
        "objects",
        "packed-refs",
        "refs",
        "rr-cache",
        "shallow",
        "worktrees",
    ];
    let is_gits = |name: &OsStr| {
        let name = name.as_bytes();
        NAMES.iter().any(|known| known.as_bytes() == name)
            || [b"_HEAD".as_slice(), b"_MSG", b".lock"].iter().any(|end| name.ends_with(end))
    };
    fs::read_dir(dir)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| is_gits(&entry.file_name()))))
}

/// Returns the `.git` file of the working tree that a git directory says it belongs to.
fn working_tree(git_dir: &Path) -> Result<PathBuf, String> {
    // A linked worktree's directory names that file.
    if let Some(file) = read_line(&git_dir.join("gitdir"))? {
        return Ok(git_dir.join(file));
    }
    // A submodule's directory names the working tree in its configuration.
    let config = read_small(&git_dir.join("config"))?.unwrap_or_default();
    let is_worktree = |entry: &git_config::Entry| {
        entry.section == "core" && entry.subsection.is_none() && entry.name == "worktree"
    };
    let worktree = git_config::entries(config.as_bytes()).filter(is_worktree).last();
    let worktree = worktree.and_then(|entry| entry.value).ok_or("its directory names no working tree")?;
    Ok(git_dir.join(OsStr::from_bytes(&worktree)).join(".git"))
}

/// Reads the only line of a small file; `None` if the file doesn't exist. Like git, keeps blanks at the end of the line.
fn read_line(file: &Path) -> Result<Option<String>, String> {
    let Some(text) = read_small(file)? else { return Ok(None) };
    let line = text.trim_end_matches(['\r', '\n']);
    if line.contains('\n') {
        return Err(format!("{} has more than one line", file.display()));
    }
    Ok(Some(line.to_owned()))
}

/// Reads a small regular file, which a program in a cage may be replacing meanwhile; `None` if it doesn't exist.
fn read_small(file: &Path) -> Result<Option<String>, String> {
    file::read_small("file", file, OFlags::NOFOLLOW).map_err(|error| error.to_string())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "git makes the trees that these tests look at")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    struct Trees(tempfile::TempDir);

    impl Trees {
        fn new() -> Self {
            let trees = Self(tempfile::tempdir().unwrap());
            trees.git(".", &["init", "-q", "main"]);
            trees.git("main", &["commit", "-q", "--allow-empty", "-m", "first"]);
            trees
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn git(&self, dir: &str, args: &[&str]) {
            let status = Command::new("git")
                .current_dir(self.path(dir))
                .args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"])
                .args(args)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .status();
            assert!(status.unwrap().success());
        }

        fn look(&self, dir: &str) -> GitDir {
            GitDir::of(&fs::canonicalize(self.path(dir)).unwrap())
        }

        fn outside(&self, common: &str, own: &str) -> GitDir {
            let common = self.path(common).to_str().unwrap().to_owned();
            GitDir::Outside { common, own: self.path(own) }
        }

        fn refused(&self, dir: &str) -> bool {
            matches!(self.look(dir), GitDir::Refused(_))
        }
    }

    #[test]
    fn an_ordinary_repository_needs_no_other_directory() {
        let trees = Trees::new();
        assert_eq!(trees.look("main"), GitDir::Inside);
        assert_eq!(trees.look("."), GitDir::None);
    }

    #[test]
    fn a_linked_worktree_needs_the_common_directory() {
        let trees = Trees::new();
        trees.git("main", &["worktree", "add", "-q", "../linked"]);
        assert_eq!(trees.look("linked"), trees.outside("main/.git", "main/.git/worktrees/linked"));
        trees.git(".", &["clone", "-q", "--bare", "main", "bare.git"]);
        trees.git("bare.git", &["worktree", "add", "-q", "../of-bare", "-b", "new"]);
        assert_eq!(trees.look("of-bare"), trees.outside("bare.git", "bare.git/worktrees/of-bare"));
    }

    #[test]
    fn a_submodule_needs_its_directory_in_the_superproject() {
        let trees = Trees::new();
        trees.git(".", &["init", "-q", "super"]);
        trees.git("super", &["submodule", "--quiet", "add", trees.path("main").to_str().unwrap(), "sub"]);
        assert_eq!(
            trees.look("super/sub"),
            trees.outside("super/.git/modules/sub", "super/.git/modules/sub")
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_rather_than_ignored() {
        let trees = Trees::new();
        trees.git("main", &["worktree", "add", "-q", "../linked"]);
        let git_dir = trees.path("main/.git/worktrees/linked");
        for file in [git_dir.join("commondir"), git_dir.join("gitdir"), trees.path("linked/.git")] {
            let text = fs::read(&file).unwrap();
            let large = "x".repeat(100_000);
            for broken in [b"\xff\n".as_slice(), b"a\nb\n", large.as_bytes()] {
                fs::write(&file, broken).unwrap();
                assert!(trees.refused("linked"), "{}", file.display());
            }
            fs::write(&file, text).unwrap();
            assert_eq!(
                trees.look("linked"),
                trees.outside("main/.git", "main/.git/worktrees/linked"),
                "the control"
            );
        }
        // A directory with a name that no file system takes can't be looked at.
        let too_long = trees.path(&"x".repeat(300));
        assert!(matches!(GitDir::of(&too_long), GitDir::Refused(_)));
    }

    #[test]
    fn a_file_that_points_elsewhere_is_not_followed() {
        let trees = Trees::new();
        trees.git("main", &["worktree", "add", "-q", "../linked"]);
        fs::create_dir(trees.path("evil")).unwrap();
        let point = |target: &Path| {
            fs::write(trees.path("evil/.git"), format!("gitdir: {}\n", target.display())).unwrap();
        };
        fs::copy(trees.path("linked/.git"), trees.path("evil/.git")).unwrap();
        assert!(trees.refused("evil"), "that directory belongs to another worktree");
        point(&trees.path("main/.git"));
        assert!(trees.refused("evil"), "a repository's own directory names no working tree");
        point(Path::new("/etc"));
        assert!(trees.refused("evil"));
        point(Path::new("/nonexistent"));
        assert!(trees.refused("evil"));
        // A directory in the project that names the project, and any directory as the common one.
        fs::create_dir(trees.path("evil/fake")).unwrap();
        fs::write(trees.path("evil/fake/gitdir"), trees.path("evil/.git").to_str().unwrap()).unwrap();
        fs::write(trees.path("evil/fake/commondir"), "/etc\n").unwrap();
        point(&trees.path("evil/fake"));
        assert!(trees.refused("evil"));
        // The same directory outside the project, where another cage may write.
        fs::rename(trees.path("evil/fake"), trees.path("fake")).unwrap();
        point(&trees.path("fake"));
        assert!(trees.refused("evil"));
        // The common directory is above it.
        fs::create_dir_all(trees.path("other/deep")).unwrap();
        fs::rename(trees.path("fake"), trees.path("other/deep/fake")).unwrap();
        fs::write(trees.path("other/deep/fake/commondir"), "../..\n").unwrap();
        point(&trees.path("other/deep/fake"));
        assert!(trees.refused("evil"));
        fs::remove_file(trees.path("evil/.git")).unwrap();
        symlink(trees.path("linked/.git"), trees.path("evil/.git")).unwrap();
        assert_eq!(trees.look("evil"), GitDir::Inside, "a link is not followed");
    }
}
