//! Linked git worktrees and submodules: their `.git` is a file that points to a directory elsewhere, without which git is
//! dead in the cage.
//!
//! Whoever is in the cage can write that file, so it is followed only where the directory that it names points back at
//! this very project, from outside of it. cage never runs git.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::cage::env_file;

/// What else git needs.
#[derive(Debug, PartialEq, Eq)]
pub enum GitDir {
    /// Nothing: there is no `.git`.
    None,
    /// Nothing: `.git` is a directory.
    Inside,
    /// This directory, at its own path.
    Outside(String),
    /// `.git` points to something that doesn't point back.
    Refused(String),
}

impl GitDir {
    /// Looks at the project's `.git`.
    pub fn of(project: &Path) -> Self {
        let file = project.join(".git");
        // A link is not followed: git makes files and directories only.
        match fs::symlink_metadata(&file) {
            Err(_) => return Self::None,
            Ok(metadata) if !metadata.is_file() => return Self::Inside,
            Ok(_) => {}
        }
        match follow(project, &file) {
            Ok(dir) => Self::Outside(dir),
            Err(why) => Self::Refused(why),
        }
    }
}

fn follow(project: &Path, file: &Path) -> Result<String, String> {
    let text = read_line(file).ok_or("it can't be read")?;
    let target = text.strip_prefix("gitdir: ").ok_or("it doesn't say `gitdir:`")?;
    let git_dir = fs::canonicalize(project.join(target)).map_err(|error| format!("{target}: {error}"))?;
    if git_dir.starts_with(project) {
        return Err(format!("{target} is in the project"));
    }
    let back = if let Some(back) = read_line(&git_dir.join("gitdir")) {
        // A linked worktree's directory names the worktree's `.git`.
        git_dir.join(back)
    } else {
        // A submodule's names its working tree, relative to itself.
        let config = read_small(&git_dir.join("config")).unwrap_or_default();
        let worktree = core_worktree(&config).ok_or_else(|| format!("{target} names no working tree"))?;
        git_dir.join(worktree).join(".git")
    };
    if fs::canonicalize(back).ok().as_deref() != Some(file) {
        return Err(format!("{target} belongs to another working tree"));
    }
    let common = match read_line(&git_dir.join("commondir")) {
        Some(common) => {
            fs::canonicalize(git_dir.join(common)).map_err(|error| format!("{target}: {error}"))?
        }
        None => git_dir.clone(),
    };
    // git keeps a worktree's directory in `worktrees` of the common one, so who can write the first owns the second. If any
    // other place were taken, one cage could name a directory that another one is to get.
    let worktrees =
        git_dir.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "worktrees"));
    let is_kept_there = worktrees.and_then(Path::parent) == Some(&common);
    if (common != git_dir && !is_kept_there) || project.starts_with(&common) {
        return Err(format!("{target} has its objects elsewhere"));
    }
    common.into_os_string().into_string().map_err(|_| "its path is not valid UTF-8".to_owned())
}

/// A small file's only line. What git takes for part of a path is part of it here.
fn read_line(file: &Path) -> Option<String> {
    let text = read_small(file)?;
    let line = text.trim_end_matches(['\r', '\n']);
    (!line.contains('\n')).then(|| line.to_owned())
}

/// A small regular file, which somebody may be replacing by something else meanwhile.
fn read_small(file: &Path) -> Option<String> {
    env_file::read_checked(file, OFlags::NOFOLLOW).ok()?
}

/// The value of `core.worktree`, as git itself writes it into a submodule's configuration.
fn core_worktree(config: &str) -> Option<PathBuf> {
    let mut in_core = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            in_core = line.eq_ignore_ascii_case("[core]");
        } else if let Some((name, value)) = line.split_once('=')
            && in_core
            && name.trim().eq_ignore_ascii_case("worktree")
        {
            return Some(PathBuf::from(value.trim()));
        }
    }
    None
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

        fn outside(&self, path: &str) -> GitDir {
            GitDir::Outside(self.path(path).to_str().unwrap().to_owned())
        }

        fn refused(&self, dir: &str) -> bool {
            matches!(self.look(dir), GitDir::Refused(_))
        }
    }

    #[test]
    fn an_ordinary_repository_has_all_it_needs() {
        let trees = Trees::new();
        assert_eq!(trees.look("main"), GitDir::Inside);
        assert_eq!(trees.look("."), GitDir::None);
    }

    #[test]
    fn a_linked_worktree_needs_the_common_directory() {
        let trees = Trees::new();
        trees.git("main", &["worktree", "add", "-q", "../linked"]);
        assert_eq!(trees.look("linked"), trees.outside("main/.git"));
        trees.git(".", &["clone", "-q", "--bare", "main", "bare.git"]);
        trees.git("bare.git", &["worktree", "add", "-q", "../of-bare", "-b", "new"]);
        assert_eq!(trees.look("of-bare"), trees.outside("bare.git"));
    }

    #[test]
    fn a_submodule_needs_its_directory_in_the_superproject() {
        let trees = Trees::new();
        trees.git(".", &["init", "-q", "super"]);
        trees.git("super", &["submodule", "--quiet", "add", trees.path("main").to_str().unwrap(), "sub"]);
        assert_eq!(trees.look("super/sub"), trees.outside("super/.git/modules/sub"));
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
        assert!(trees.refused("evil"), "the directory points back at another worktree");
        point(&trees.path("main/.git"));
        assert!(trees.refused("evil"), "a repository's own directory points back at nothing");
        point(Path::new("/etc"));
        assert!(trees.refused("evil"));
        point(Path::new("/nonexistent"));
        assert!(trees.refused("evil"));
        // A directory in the project that points back, and names any directory as the common one.
        fs::create_dir(trees.path("evil/fake")).unwrap();
        fs::write(trees.path("evil/fake/gitdir"), trees.path("evil/.git").to_str().unwrap()).unwrap();
        fs::write(trees.path("evil/fake/commondir"), "/etc\n").unwrap();
        point(&trees.path("evil/fake"));
        assert!(trees.refused("evil"));
        // The same outside of it, where another cage may write.
        fs::rename(trees.path("evil/fake"), trees.path("fake")).unwrap();
        point(&trees.path("fake"));
        assert!(trees.refused("evil"));
        // …naming what is above it.
        fs::create_dir_all(trees.path("other/deep")).unwrap();
        fs::rename(trees.path("fake"), trees.path("other/deep/fake")).unwrap();
        fs::write(trees.path("other/deep/fake/commondir"), "../..\n").unwrap();
        point(&trees.path("other/deep/fake"));
        assert!(trees.refused("evil"));
        fs::remove_file(trees.path("evil/.git")).unwrap();
        symlink(trees.path("linked/.git"), trees.path("evil/.git")).unwrap();
        assert_eq!(trees.look("evil"), GitDir::Inside, "a link is no `.git` file");
    }
}
