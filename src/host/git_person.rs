//! The user's own settings of git for a repository, as git decides them: from the files of the system and of the user, with the
//! files that these include. cage never runs git.
//!
//! <https://git-scm.com/docs/git-config#_includes>

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use rustix::fs::OFlags;

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::host::git_config::{Entry, all_entries};
use crate::host::git_pattern;
use crate::host::git_repository::Repository;
use crate::host::machine::Host;
use crate::host::reach::Reach;
use crate::host::users::home_of;

/// The number of files that may include each other, as in git.
const MAX_DEPTH: usize = 10;

/// The most bytes that all files together may have.
const MAX_SIZE: u64 = 1024 * 1024;

/// The number of files that are read.
const MAX_FILES: usize = 1000;

/// The user's settings.
#[derive(Debug, Default)]
pub struct Settings {
    /// The settings, in the order in which git reads them.
    pub entries: Vec<Entry>,
    /// The files that were not read because code in a cage can write them.
    pub skipped: Vec<PathBuf>,
}

impl Settings {
    /// Reads the settings that git uses in a repository. `reach` are the places that code in a cage can write.
    ///
    /// # Errors
    /// When a file can't be read, or git would refuse it.
    pub fn read(host: &Host, repository: &Repository, reach: &Reach) -> Result<Self> {
        Self::read_for(host, Some(repository), reach)
    }

    /// Reads the settings that git uses in any repository: includes with a condition count, too.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn read_all(host: &Host, reach: &Reach) -> Result<Self> {
        Self::read_for(host, None, reach)
    }

    fn read_for(host: &Host, repository: Option<&Repository>, reach: &Reach) -> Result<Self> {
        let mut reader =
            Reader { host, repository, reach, settings: Self::default(), files: 0, room: MAX_SIZE };
        for path in files(host) {
            reader.file(&path, 0)?;
        }
        Ok(reader.settings)
    }

    /// Returns the value of a setting without a subsection; the last one counts. An empty value is none.
    ///
    /// # Errors
    /// When the setting has no value, which git refuses.
    pub fn value(&self, section: &str, name: &str) -> Result<Option<&[u8]>> {
        let is_it =
            |entry: &&Entry| entry.section == section && entry.subsection.is_none() && entry.name == name;
        let mut values = self.entries.iter().filter(is_it).map(|entry| entry.value.as_deref());
        ensure!(
            values.clone().all(|value| value.is_some()),
            Failure::new(format!("{section}.{name} has no value"))
        );
        // For git a NUL byte ends a value.
        let last = values.next_back().flatten().and_then(|value| value.split(|c| *c == 0).next());
        Ok(last.filter(|value| !value.is_empty()))
    }

    /// Returns whether a switch without a subsection is on.
    pub fn is_on(&self, section: &str, name: &str) -> bool {
        let is_it =
            |entry: &&Entry| entry.section == section && entry.subsection.is_none() && entry.name == name;
        self.entries.iter().rev().find(is_it).and_then(Entry::boolean) == Some(true)
    }
}

/// Returns the paths of the files that git reads first, in its order.
fn files(host: &Host) -> Vec<PathBuf> {
    let is_set = |name| {
        host.any_variable(name)
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1"))
    };
    let system = host.path_variable("GIT_CONFIG_SYSTEM").unwrap_or(Path::new("/etc/gitconfig")).to_owned();
    let system = (!is_set("GIT_CONFIG_NOSYSTEM")).then_some(system);
    let xdg = host.path_variable("XDG_CONFIG_HOME").filter(|dir| !dir.as_os_str().is_empty());
    let xdg = xdg.map(Path::to_owned).or_else(|| Some(host.home.as_ref()?.join(".config")));
    let own = [xdg.map(|dir| dir.join("git/config")), host.home.as_ref().map(|home| home.join(".gitconfig"))];
    let chosen = host.path_variable("GIT_CONFIG_GLOBAL");
    let global = chosen.map_or_else(|| own.into_iter().flatten().collect(), |chosen| vec![chosen.to_owned()]);
    let files = system.into_iter().chain(global).filter(|path| !path.as_os_str().is_empty());
    // Only git knows the directory that a relative path starts from.
    files.filter(|path| path.is_absolute()).collect()
}

struct Reader<'a> {
    host: &'a Host,
    /// Without one, all conditions are true.
    repository: Option<&'a Repository>,
    reach: &'a Reach,
    settings: Settings,
    /// The number of files that were read.
    files: usize,
    /// The number of bytes that may still be read.
    room: u64,
}

impl Reader<'_> {
    /// Reads a file, if it exists, and those that it includes.
    fn file(&mut self, path: &Path, depth: usize) -> Result<()> {
        if self.reach.has(path) {
            self.settings.skipped.push(path.to_owned());
            return Ok(());
        }
        if file::is_null(path) {
            return Ok(());
        }
        let Some(bytes) = file::read_up_to(self.room, "git's file", path, OFlags::empty())? else {
            return Ok(());
        };
        let refuse =
            |why: &str| Failure::new(format!("git's file {}: {why}", text::escape(&path.to_string_lossy())));
        self.files += 1;
        self.room -= bytes.len() as u64;
        ensure!(depth <= MAX_DEPTH && self.files <= MAX_FILES, refuse("too many files include each other"));
        let Some(entries) = all_entries(&bytes) else {
            bail!(
                refuse("git refuses it because of an error in it")
                    .hint("`git config --list` says where it is")
            );
        };
        for mut entry in entries {
            let included = self.included(path, &entry)?;
            if let Some(included) = &included {
                // Outside of the file nobody knows what a relative path starts from.
                entry.value = Some(included.as_os_str().as_bytes().to_vec());
            }
            self.settings.entries.push(entry);
            if let Some(included) = included {
                self.file(&included, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Returns the file that a setting includes, if its condition is true.
    fn included(&self, file: &Path, entry: &Entry) -> Result<Option<PathBuf>> {
        let is_wanted = match (entry.section.as_str(), &entry.subsection) {
            ("include", None) => true,
            ("includeif", Some(condition)) => self.is_true(file, condition),
            _ => false,
        };
        if !is_wanted || entry.name != "path" {
            return Ok(None);
        }
        let shown = || text::escape(&file.to_string_lossy());
        let Some(value) = &entry.value else {
            bail!(Failure::new(format!(
                "git's file {}: {} has no value",
                shown(),
                text::escape(&entry.key())
            )));
        };
        let value = value.split(|c| *c == 0).next().unwrap_or_default();
        let Some(path) = self.expand(value, false) else {
            let value = text::escape(&String::from_utf8_lossy(value));
            bail!(Failure::new(format!("git's file {}: there is no home for {value}", shown())));
        };
        Ok(Some(file.parent().unwrap_or(Path::new("/")).join(OsStr::from_bytes(&path))))
    }

    /// Replaces `~` and `~user` at the start of a path; `None` if there is no such home. For a pattern git resolves the links in
    /// the path of the user's home.
    fn expand(&self, path: &[u8], is_pattern: bool) -> Option<Vec<u8>> {
        let Some(rest) = path.strip_prefix(b"~") else { return Some(path.to_vec()) };
        let end = rest.iter().position(|c| *c == b'/').unwrap_or(rest.len());
        let (user, below) = rest.split_at(end);
        let home = match (&self.host.home, is_pattern) {
            _ if !user.is_empty() => home_of(user)?,
            (Some(home), true) => file::real(home),
            (home, _) => home.clone()?,
        };
        Some([home.as_os_str().as_bytes(), below].concat())
    }

    /// Returns whether the condition of an `includeIf` in a file is true.
    fn is_true(&self, file: &Path, condition: &[u8]) -> bool {
        let Some(Repository { paths, branch, settings, .. }) = self.repository else { return true };
        let is_url =
            |entry: &&Entry| entry.section == "remote" && entry.subsection.is_some() && entry.name == "url";
        if let Some(pattern) = condition.strip_prefix(b"gitdir:") {
            self.is_at(file, pattern, false, paths)
        } else if let Some(pattern) = condition.strip_prefix(b"gitdir/i:") {
            self.is_at(file, pattern, true, paths)
        } else if let Some(pattern) = condition.strip_prefix(b"onbranch:") {
            branch.as_ref().is_some_and(|branch| git_pattern::matches(&with_all(pattern), branch, false))
        } else if let Some(pattern) = condition.strip_prefix(b"hasconfig:remote.*.url:") {
            let mut urls = settings.iter().filter(is_url).filter_map(|entry| entry.value.as_deref());
            urls.any(|url| git_pattern::matches(pattern, url, false))
        } else {
            false
        }
    }

    /// Returns whether a repository with one of these paths is where a pattern in a file says.
    fn is_at(&self, file: &Path, pattern: &[u8], ignore_case: bool, paths: &[PathBuf]) -> bool {
        let expanded = self.expand(pattern, true).unwrap_or_else(|| pattern.to_vec());
        // What comes before the pattern is compared as it is.
        let (prefix, pattern) = match expanded.strip_prefix(b"./") {
            Some(rest) => {
                let dir = file::real(file);
                let dir = dir.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes();
                ([dir, b"/"].concat(), rest.to_vec())
            }
            None if expanded.starts_with(b"/") => (Vec::new(), expanded),
            None => (Vec::new(), [b"**/", expanded.as_slice()].concat()),
        };
        let pattern = with_all(&pattern);
        paths.iter().any(|path| {
            let path = path.as_os_str().as_bytes();
            path.split_at_checked(prefix.len()).is_some_and(|(start, rest)| {
                let is_same = if ignore_case { start.eq_ignore_ascii_case(&prefix) } else { start == prefix };
                is_same && git_pattern::matches(&pattern, rest, ignore_case)
            })
        })
    }
}

/// Returns a pattern that ends with `**` instead of with a slash.
fn with_all(pattern: &[u8]) -> Vec<u8> {
    let end: &[u8] = if pattern.ends_with(b"/") { b"**" } else { b"" };
    [pattern, end].concat()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "git is what the reader is compared with")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;
    use crate::host::project::Project;

    /// A home with a project, and what git and cage say about it.
    struct Home {
        root: tempfile::TempDir,
        variables: Vec<(&'static str, String)>,
    }

    impl Home {
        fn new() -> Self {
            let home = Self { root: tempfile::tempdir().unwrap(), variables: Vec::new() };
            home.git("work/app", &["init", "-q", "-b", "main"]);
            home
        }

        fn path(&self, path: &str) -> PathBuf {
            self.root.path().canonicalize().unwrap().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn command(&self, dir: &str, args: &[&str]) -> Command {
            let dir = self.root.path().canonicalize().unwrap().join(dir);
            fs::create_dir_all(&dir).unwrap();
            let mut git = Command::new("git");
            git.current_dir(&dir).args(args).env_clear();
            git.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path("")).env("PWD", &dir);
            git.env("GIT_CONFIG_SYSTEM", self.path("system"));
            git.envs(self.variables.iter().map(|(name, value)| (name, value)));
            git
        }

        fn git(&self, dir: &str, args: &[&str]) -> Option<String> {
            let output = self.command(dir, args).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned();
            output.status.success().then_some(text)
        }

        fn read(&self, dir: &str, reach: &Reach) -> Result<Settings> {
            let system = self.path("system").to_str().unwrap().to_owned();
            let variables = self.variables.iter().map(|(name, value)| (*name, value.as_str()));
            let variables: Vec<_> =
                [("GIT_CONFIG_SYSTEM", system.as_str())].into_iter().chain(variables).collect();
            let mut host = Host::sample(&variables);
            host.home = Some(self.path(""));
            let mut project = Project::locate(&host, Some(&self.path(dir))).unwrap();
            project.reached = self.path(dir);
            Settings::read(&host, &Repository::of(&project), reach)
        }

        /// Returns the address that cage finds, after a comparison with git's. It is empty if there is none, `refused` if the
        /// files are.
        #[track_caller]
        fn email(&self, dir: &str) -> String {
            let ours = match self.read(dir, &Reach::default()) {
                Err(_) => "refused".to_owned(),
                Ok(settings) => {
                    String::from_utf8(settings.value("user", "email").unwrap().unwrap_or_default().to_vec())
                        .unwrap()
                }
            };
            let mut git = self.command(dir, &["config", "--get", "user.email"]);
            let output = git.output().unwrap();
            let gits = match output.status.code() {
                Some(0 | 1) => String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned(),
                _ => "refused".to_owned(),
            };
            assert_eq!(ours, gits, "{}", String::from_utf8_lossy(&output.stderr));
            ours
        }

        /// Returns whether a condition is true, for cage and git.
        #[track_caller]
        fn is_true(&self, dir: &str, condition: &str) -> bool {
            self.write("included", "[user]\nemail = included");
            self.write(".gitconfig", &format!("[includeIf \"{condition}\"]\npath = included"));
            self.email(dir) == "included"
        }
    }

    #[test]
    fn files_count_in_gits_order() {
        let mut home = Home::new();
        assert_eq!(home.email("work/app"), "");
        home.write("system", "[user]\nemail = system");
        assert_eq!(home.email("work/app"), "system");
        home.write(".config/git/config", "[user]\nemail = xdg");
        assert_eq!(home.email("work/app"), "xdg");
        home.write(".gitconfig", "[user]\nemail = home");
        assert_eq!(home.email("work/app"), "home");
        home.write(
            ".gitconfig",
            "[user]\nemail = home\n[User]\n\tEmail = \"a # b\" ; c\n[user \"x\"]\nemail = no",
        );
        assert_eq!(home.email("work/app"), "a # b");
        home.write(".gitconfig", "[user]\nemail = home\nemail =");
        assert_eq!(home.email("work/app"), "");
        home.write("elsewhere/git/config", "[user]\nemail = elsewhere");
        home.write(".gitconfig", "");
        home.variables = vec![("XDG_CONFIG_HOME", home.path("elsewhere").to_str().unwrap().to_owned())];
        assert_eq!(home.email("work/app"), "elsewhere");
        home.variables.push(("GIT_CONFIG_GLOBAL", home.path("chosen").to_str().unwrap().to_owned()));
        assert_eq!(home.email("work/app"), "system");
        home.variables.push(("GIT_CONFIG_NOSYSTEM", "1".to_owned()));
        assert_eq!(home.email("work/app"), "");
        home.write("chosen", "[user]\nemail = chosen");
        assert_eq!(home.email("work/app"), "chosen");
        fs::remove_file(home.path("chosen")).unwrap();
        symlink("/dev/null", home.path("chosen")).unwrap();
        assert_eq!(home.email("work/app"), "");
    }

    #[test]
    fn included_files_are_read_where_git_reads_them() {
        let home = Home::new();
        home.write("dir/more", "[user]\nemail = more\n[include]\npath = deep/er");
        let include = |path: &str| {
            home.write(".gitconfig", &format!("[user]\nemail = before\n[include]\npath = {path}"));
            home.email("work/app")
        };
        assert_eq!(include("dir/more"), "more");
        assert_eq!(include("~/dir/more"), "more");
        assert_eq!(include("./dir/../dir/more"), "more");
        assert_eq!(include("dir/none"), "before");
        assert_eq!(include("~nobody-here/x"), "refused");
        assert_eq!(include(""), "refused", "a directory");
        home.write("dir/deep/er", "[user]\nemail = deeper");
        assert_eq!(include("dir/more"), "deeper");
        assert_eq!(include(&format!("\"{}\"", home.path("dir/more").display())), "deeper");
        home.write(".gitconfig", "[include]\npath = dir/more\n[user]\nemail = after");
        assert_eq!(home.email("work/app"), "after");
        home.write(".gitconfig", "[include]\npath");
        assert_eq!(home.email("work/app"), "refused");
        // A path is relative to where the file is found, not to where a link leads.
        fs::rename(home.path("dir"), home.path("dotfiles")).unwrap();
        home.write("dotfiles/gitconfig", "[include]\npath = more");
        fs::remove_file(home.path(".gitconfig")).unwrap();
        symlink(home.path("dotfiles/gitconfig"), home.path(".gitconfig")).unwrap();
        assert_eq!(home.email("work/app"), "");
        home.write("more", "[user]\nemail = beside");
        assert_eq!(home.email("work/app"), "beside");
    }

    #[test]
    fn files_that_git_refuses_are_errors() {
        let home = Home::new();
        for text in ["[include]\npath = .gitconfig", "[user", "[user]\nemail = \"x", "= x"] {
            home.write(".gitconfig", &format!("[user]\nemail = first\n{text}\n"));
            assert_eq!(home.email("work/app"), "refused", "{text}");
        }
        // As deep as git goes, and one deeper.
        for depth in 1..=11 {
            home.write(&format!("f{depth}"), &format!("[include]\npath = f{}", depth + 1));
        }
        home.write(".gitconfig", "[user]\nemail = first\n[include]\npath = f1");
        assert_eq!(home.email("work/app"), "refused");
        fs::remove_file(home.path("f11")).unwrap();
        assert_eq!(home.email("work/app"), "first");
        // Many files that include each other, and one that is too large: git would read them all.
        let many = "[include]\npath = f1\n".repeat(10);
        for depth in 1..=9 {
            home.write(&format!("f{depth}"), &many.replace("f1", &format!("f{}", depth + 1)));
        }
        assert!(home.read("work/app", &Reach::default()).is_err());
        home.write(".gitconfig", &"# x\n".repeat(300_000));
        let error = home.read("work/app", &Reach::default()).unwrap_err().to_string();
        assert!(error.ends_with(".gitconfig: it is larger than 1024 KiB"), "{error}");
    }

    #[test]
    fn conditions_about_the_repositorys_place_are_decided_as_by_git() {
        let home = Home::new();
        let root = home.path("").display().to_string();
        let root = root.trim_end_matches('/');
        symlink(home.path("work"), home.path("link")).unwrap();
        for (condition, expected) in [
            ("gitdir:~/work/".to_owned(), true),
            ("gitdir:~/work".to_owned(), false),
            ("gitdir:~/wor*/".to_owned(), true),
            ("gitdir:~/work/app/.git".to_owned(), true),
            ("gitdir:~/other/".to_owned(), false),
            (format!("gitdir:{root}/work/"), true),
            (format!("gitdir:{root}/*/.git"), false),
            (format!("gitdir:{root}/**/.git"), true),
            (format!("gitdir:{root}/WORK/"), false),
            (format!("gitdir/i:{root}/WORK/"), true),
            ("gitdir/i:~/Work/[A-B]pp/".to_owned(), true),
            ("gitdir:app/".to_owned(), true),
            ("gitdir:work/app/.git".to_owned(), true),
            ("gitdir:pp/".to_owned(), false),
            ("gitdir:app".to_owned(), false),
            ("gitdir:./work/".to_owned(), true),
            ("gitdir/i:./WORK/".to_owned(), true),
            ("gitdir:./app/".to_owned(), false),
            ("gitdir:**".to_owned(), true),
            ("gitdir:".to_owned(), true),
            ("gitdir:~/link/".to_owned(), false),
            ("Gitdir:~/work/".to_owned(), false),
            ("other:x".to_owned(), false),
        ] {
            assert_eq!(home.is_true("work/app", &condition), expected, "{condition}");
        }
        assert!(home.is_true("link/app", "gitdir:~/link/"), "by way of a link");
        assert!(home.is_true("link/app", "gitdir:~/work/"));
        // A condition in an included file counts from there.
        home.write("dir/deep", "[user]\nemail = deep");
        home.write(
            "dir/file",
            "[includeIf \"gitdir:./x/\"]\npath = deep\n[includeIf \"gitdir:../\"]\npath = deep",
        );
        home.write(".gitconfig", "[include]\npath = dir/file");
        assert_eq!(home.email("work/app"), "");
        home.git("dir/x", &["init", "-q"]);
        assert_eq!(home.email("dir/x"), "deep");
    }

    #[test]
    fn worktrees_and_submodules_have_their_directory_elsewhere() {
        let home = Home::new();
        let commit = ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"];
        home.git("work/app", &commit).unwrap();
        home.git("work/app", &["worktree", "add", "-q", "../../trees/one"]).unwrap();
        assert!(home.is_true("trees/one", "gitdir:~/work/"));
        assert!(!home.is_true("trees/one", "gitdir:~/trees/"));
        assert!(home.is_true("trees/one", "gitdir:worktrees/one"));
        assert!(home.is_true("trees/one", "onbranch:one"));
        let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../work/app", "sub"];
        home.git("above", &["init", "-q"]);
        home.git("above", &["remote", "add", "origin", home.path("above").to_str().unwrap()]);
        home.git("above", &add).unwrap();
        assert!(home.is_true("above/sub", "gitdir:modules/sub"));
        assert!(!home.is_true("above/sub", "gitdir:sub/.git"));
        home.git("bare.git", &["init", "-q", "--bare"]);
        assert!(home.is_true("bare.git", "gitdir:~/bare.git"));
        // A directory of a repository, and one without: there git would decide when a repository is made.
        fs::create_dir(home.path("work/app/below")).unwrap();
        assert!(home.is_true("work/app/below", "gitdir:~/work/app/.git"));
        fs::create_dir(home.path("new")).unwrap();
        let new = |condition| {
            home.write(".gitconfig", &format!("[includeIf \"{condition}\"]\npath = included"));
            home.read("new", &Reach::default()).unwrap().value("user", "email").unwrap().is_some()
        };
        assert!(new("gitdir:~/new/") && !new("gitdir:~/work/"));
    }

    #[test]
    fn conditions_about_branches_and_remotes_are_decided_as_by_git() {
        let home = Home::new();
        home.git("work/app", &["remote", "add", "origin", "git@example.com:acme/app.git"]);
        for (condition, expected) in [
            ("onbranch:main", true),
            ("onbranch:ma*", true),
            ("onbranch:main/", false),
            ("hasconfig:remote.*.url:git@example.com:acme/**", true),
            ("hasconfig:remote.*.url:git@example.com:acme/", false),
            ("hasconfig:remote.*.url:*:acme/app.git", true),
            ("hasconfig:remote.*.url:git@example.com:*", false),
            ("hasconfig:remote.*.url:https://**", false),
            ("hasconfig:remote.origin.url:**", false),
        ] {
            assert_eq!(home.is_true("work/app", condition), expected, "{condition}");
        }
        home.git("work/app", &["checkout", "-q", "-b", "team/x"]);
        assert!(home.is_true("work/app", "onbranch:team/"));
    }

    #[test]
    fn files_where_code_in_a_cage_can_write_are_not_read() {
        let home = Home::new();
        home.write("work/app/mine", "[user]\nemail = planted");
        home.write(".gitconfig", "[user]\nemail = mine\n[include]\npath = work/app/mine");
        let read = |reach: &[&str]| {
            let reach = reach.iter().map(|path| home.path(path)).collect();
            let settings = home.read("work/app", &reach).unwrap();
            let email = settings.value("user", "email").unwrap().map(<[u8]>::to_vec);
            (String::from_utf8(email.unwrap_or_default()).unwrap(), settings.skipped.len())
        };
        assert_eq!(read(&[]), ("planted".to_owned(), 0), "the control");
        assert_eq!(read(&["work/app"]), ("mine".to_owned(), 1));
        // By way of a link, whatever it leads to.
        home.write("kept", "[user]\nemail = kept");
        fs::remove_file(home.path("work/app/mine")).unwrap();
        symlink(home.path("kept"), home.path("work/app/mine")).unwrap();
        assert_eq!(read(&["work/app"]), ("mine".to_owned(), 1));
        fs::rename(home.path(".gitconfig"), home.path("work/app/dotfile")).unwrap();
        symlink(home.path("work/app/dotfile"), home.path(".gitconfig")).unwrap();
        assert_eq!(read(&["work/app"]), (String::new(), 1));
    }
}
