//! The git directories of a project, and the places elsewhere on this machine that they name: other worktrees, and stores of
//! objects.
//!
//! Code in a cage can write most of these files, so they are read like any other untrusted input, and cage never runs git.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use super::worktree::GitDir;
use crate::base::file;

/// The number of directories that are looked at: of repositories, of worktrees and of stores of objects.
const MOST: usize = 256;

/// A worktree that a repository has besides the one of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worktree {
    /// It is on this machine; this is the path of its `.git` file.
    Here(PathBuf),
    /// It is not on this machine: its path, and the time at which it was registered.
    Gone(PathBuf, SystemTime),
}

/// Returns the git directory of the project, or of a bare repository, and those of its submodules.
pub fn of(project: &Path, git: &GitDir) -> Vec<PathBuf> {
    let is_repository = |dir: &PathBuf| is_dir(dir) && is_dir(&dir.join("objects"));
    // The script named projects after paths with links.
    let project = &file::real(project);
    let file = project.join(".git");
    let common = match git {
        GitDir::Outside { common, .. } => Some(PathBuf::from(common)),
        GitDir::Inside => Some(file),
        GitDir::None => Some(project.to_owned()),
        // A file that leads to a bare repository in the project itself.
        GitDir::Refused(_) => read(&file)
            .and_then(|text| fs::canonicalize(project.join(text.strip_prefix("gitdir: ")?)).ok())
            .filter(|dir| dir.starts_with(project)),
    };
    let mut found: Vec<PathBuf> = common.into_iter().filter(is_repository).collect();
    // The names of submodules can have slashes.
    let mut rest: Vec<PathBuf> = found.iter().map(|dir| dir.join("modules")).collect();
    let mut looked_at = 0;
    while let Some(dir) = rest.pop().filter(|_| looked_at < MOST) {
        looked_at += 1;
        for dir in directories(&dir) {
            rest.push(if is_repository(&dir) { dir.join("modules") } else { dir.clone() });
            found.extend(Some(dir).filter(is_repository));
        }
    }
    found
}

/// Returns the worktrees that these git directories know, as far as they are outside of the project.
pub fn worktrees(project: &Path, git_dirs: &[PathBuf]) -> Vec<Worktree> {
    let registered = git_dirs.iter().flat_map(|dir| directories(&dir.join("worktrees")));
    registered.take(MOST).filter_map(|registered| worktree(project, &registered)).collect()
}

fn worktree(project: &Path, registered: &Path) -> Option<Worktree> {
    let gitdir = registered.join("gitdir");
    let written = read(&gitdir)?;
    let is_plain = !written.chars().any(char::is_control) && written.ends_with("/.git");
    // A relative path starts at the directory with the file.
    let path = file::lexical(&registered.join(&written));
    let is_plain = is_plain && (path == Path::new(&written) || !written.starts_with('/'));
    if !is_plain || path.starts_with(project) {
        return None;
    }
    let tree = path.parent()?.to_owned();
    if fs::symlink_metadata(&tree).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        let since = fs::symlink_metadata(&gitdir).and_then(|metadata| metadata.modified()).ok()?;
        return Some(Worktree::Gone(tree, since));
    }
    // Only a file that names this very directory belongs to a worktree.
    let back = read(&path)?;
    let back = fs::canonicalize(tree.join(back.strip_prefix("gitdir: ")?)).ok()?;
    (fs::canonicalize(registered).ok()? == back).then_some(Worktree::Here(path))
}

/// Returns the stores of objects that these git directories borrow from, and those that these borrow from in turn.
pub fn alternates(git_dirs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest: Vec<PathBuf> = git_dirs.iter().map(|dir| dir.join("objects")).collect();
    while let Some(objects) = rest.pop().filter(|_| found.len() < MOST) {
        let info = objects.join("info");
        let text = file::read_small("file", &info.join("alternates"), OFlags::NOFOLLOW);
        let Some(text) = text.ok().flatten().filter(|_| is_dir(&info)) else { continue };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let store = file::lexical(&objects.join(line));
            // A place without these directories is no store, whatever the file says.
            let is_store = is_dir(&store.join("info")) || is_dir(&store.join("pack"));
            if is_store
                && !store.to_string_lossy().chars().any(char::is_control)
                && found.insert(store.clone())
            {
                rest.push(store);
            }
        }
    }
    found
}

/// Reads the only line of a small file.
fn read(path: &Path) -> Option<String> {
    let text = file::read_small("file", path, OFlags::NOFOLLOW).ok()??;
    let line = text.trim_end_matches(['\r', '\n']);
    (!line.is_empty()).then(|| line.to_owned())
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Returns the directories in a directory to which no link leads: code in a cage could learn what is elsewhere.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let is_direct = fs::canonicalize(dir).is_ok_and(|real| real == dir);
    let entries = is_direct.then(|| fs::read_dir(dir)).into_iter().flatten().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).take(MOST).collect()
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
            trees.git(".", "init -q main");
            trees.git("main", "commit -q --allow-empty -m first");
            trees
        }

        fn path(&self, path: &str) -> PathBuf {
            file::lexical(&self.0.path().canonicalize().unwrap().join(path))
        }

        fn git(&self, dir: &str, words: &str) {
            let mut command = Command::new("git");
            command.current_dir(self.path(dir)).env("GIT_CONFIG_GLOBAL", "/dev/null");
            command.args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]);
            assert!(command.args(words.split(' ')).status().unwrap().success(), "{words}");
        }

        fn dirs(&self, project: &str) -> Vec<PathBuf> {
            let project = self.path(project);
            of(&project, &GitDir::of(&project))
        }

        /// The worktrees on this machine, and those that are gone, by their names.
        fn worktrees(&self, project: &str) -> (Vec<String>, Vec<String>) {
            let name = |path: &Path| path.strip_prefix(self.path(".")).unwrap().display().to_string();
            let (mut here, mut gone) = (Vec::new(), Vec::new());
            for worktree in worktrees(&self.path(project), &self.dirs(project)) {
                match worktree {
                    Worktree::Here(path) => here.push(name(&path)),
                    Worktree::Gone(path, _) => gone.push(name(&path)),
                }
            }
            here.sort();
            gone.sort();
            (here, gone)
        }
    }

    #[test]
    fn every_other_worktree_of_a_repository_is_found() {
        let trees = Trees::new();
        for words in ["../one", "../deep/er/two", "inside", "../gone", "--lock ../locked"] {
            trees.git("main", &format!("worktree add -q {words}"));
        }
        fs::remove_dir_all(trees.path("gone")).unwrap();
        fs::rename(trees.path("deep"), trees.path("moved")).unwrap();
        let here = ["locked/.git", "one/.git"].map(str::to_owned);
        assert_eq!(trees.worktrees("main"), (here.into(), ["deep/er/two", "gone"].map(str::to_owned).into()));
        // From a worktree the main one is not in the list, and needs no entry.
        assert_eq!(trees.worktrees("one").0, ["locked/.git", "main/inside/.git"]);
        // Relative paths, as git 2.48 writes them.
        let one = trees.path("main/.git/worktrees/one/gitdir");
        fs::write(&one, "../../../../one/.git\n").unwrap();
        fs::write(trees.path("one/.git"), "gitdir: ../main/.git/worktrees/one\n").unwrap();
        assert!(trees.worktrees("main").0.contains(&"one/.git".to_owned()));
        // A bare repository: beside it, and hidden in the project that has all worktrees.
        trees.git(".", "clone -q --bare main bare.git");
        trees.git("bare.git", "worktree add -q ../of-bare -b new");
        assert_eq!(trees.worktrees("bare.git").0, ["of-bare/.git"]);
        assert_eq!(trees.worktrees("of-bare").0, Vec::<String>::new());
        fs::create_dir(trees.path("hidden")).unwrap();
        trees.git("hidden", "clone -q --bare ../main .bare");
        fs::write(trees.path("hidden/.git"), "gitdir: ./.bare\n").unwrap();
        trees.git("hidden", "worktree add -q ../of-hidden -b new");
        assert_eq!(trees.worktrees("hidden").0, ["of-hidden/.git"]);
    }

    #[test]
    fn worktrees_and_stores_of_submodules_are_found() {
        let trees = Trees::new();
        trees.git(".", "init -q super");
        let main = trees.path("main").display().to_string();
        trees.git("super", &format!("submodule --quiet add --name deep/er {main} sub"));
        trees.git("super/sub", "worktree add -q ../../of-sub");
        assert_eq!(trees.worktrees("super").0, ["of-sub/.git"]);
        assert_eq!(trees.worktrees("super/sub").0, ["of-sub/.git"]);
        trees.git(".", "clone -q --shared main second");
        trees.git(".", "clone -q --shared second third");
        let stores = |project: &str| alternates(&trees.dirs(project)).into_iter().collect::<Vec<_>>();
        assert_eq!(
            stores("third"),
            ["main/.git/objects", "second/.git/objects"].map(|path| trees.path(path))
        );
        trees.git("super", &format!("submodule --quiet add --reference ../second {main} other"));
        assert_eq!(stores("super").len(), 2);
        assert_eq!(stores("main"), Vec::<PathBuf>::new());
        let info = trees.path("main/.git/objects/info/alternates");
        fs::write(&info, "# comment\n\n/etc\n/nonexistent\n../../../second/.git/objects\n.\n").unwrap();
        assert_eq!(stores("main"), ["main/.git/objects", "second/.git/objects"].map(|path| trees.path(path)));
    }

    #[test]
    fn a_link_does_not_lead_to_the_worktrees_of_another_repository() {
        let trees = Trees::new();
        trees.git(".", "init -q theirs/secret");
        trees.git("theirs/secret", "commit -q --allow-empty -m first");
        trees.git("theirs/secret", "worktree add -q ../of-secret");
        assert_eq!(trees.worktrees("theirs/secret").0, ["theirs/of-secret/.git"], "the control");
        for (link, target) in [
            ("worktrees", "theirs/secret/.git/worktrees"),
            ("modules", "theirs"),
            ("modules", "theirs/secret"),
        ] {
            let link = trees.path("main/.git").join(link);
            symlink(trees.path(target), &link).unwrap();
            assert_eq!(trees.worktrees("main"), (Vec::new(), Vec::new()), "{target}");
            fs::remove_file(link).unwrap();
        }
        // One level deeper, and of a submodule.
        trees.git("main", "init -q --bare .git/modules/own");
        for link in ["modules/link", "modules/own/modules", "modules/own/worktrees"] {
            let link = trees.path("main/.git").join(link);
            let target = if link.ends_with("worktrees") { "theirs/secret/.git/worktrees" } else { "theirs" };
            symlink(trees.path(target), &link).unwrap();
            assert_eq!(trees.worktrees("main"), (Vec::new(), Vec::new()), "{}", link.display());
            fs::remove_file(link).unwrap();
        }
        trees.git(".", "clone -q --shared main theirs/borrows");
        let info = trees.path("main/.git/objects/info");
        fs::remove_dir(&info).unwrap();
        symlink(trees.path("theirs/borrows/.git/objects/info"), &info).unwrap();
        assert_eq!(alternates(&trees.dirs("main")), BTreeSet::new());
        assert_eq!(alternates(&trees.dirs("theirs/borrows")).len(), 1, "the control");
    }

    #[test]
    fn hostile_entries_are_not_worktrees() {
        let trees = Trees::new();
        trees.git("main", "worktree add -q ../one");
        let gitdir = trees.path("main/.git/worktrees/one/gitdir");
        fs::create_dir_all(trees.path("victim")).unwrap();
        fs::write(trees.path("victim/.git"), "gitdir: /somewhere/else\n").unwrap();
        let victim = trees.path("victim/.git").display().to_string();
        let one = trees.path("one/.git").display().to_string();
        let large = format!("/{}/.git", "x/".repeat(100_000));
        for text in [
            "",
            "/etc\n",
            "/etc/passwd",
            "/.git",
            "/proc/self/cwd/.git",
            &victim,
            &format!("{one}\n{one}\n"),
            &one.replace("/one", "/victim/../one"),
            &format!("{}\u{1b}/.git", trees.path("x").display()),
            &large,
        ] {
            fs::write(&gitdir, text).unwrap();
            assert_eq!(trees.worktrees("main"), (Vec::new(), Vec::new()), "{text:.80}");
        }
        fs::write(&gitdir, [0xff, b'/']).unwrap();
        assert_eq!(trees.worktrees("main").0, Vec::<String>::new());
        fs::remove_file(&gitdir).unwrap();
        fs::write(trees.path("kept"), &one).unwrap();
        symlink(trees.path("kept"), &gitdir).unwrap();
        assert_eq!(trees.worktrees("main").0, Vec::<String>::new());
        fs::remove_file(&gitdir).unwrap();
        fs::write(&gitdir, &one).unwrap();
        assert_eq!(trees.worktrees("main").0, ["one/.git"], "the control");
    }
}
