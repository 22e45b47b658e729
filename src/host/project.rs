//! The project directory, checked, and the name of its cage.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::base::error::Failure;
use crate::base::name::{is_mountable, is_name_char};
use crate::base::{file, text};
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::host::places;

/// The longest container name, in bytes: it is the hostname too, and Linux takes 64 (`__NEW_UTS_LEN`).
const MAX_NAME: usize = 64;

/// A directory that is, or may become, the project of a cage.
#[derive(Debug, Clone)]
pub struct Project {
    /// The canonical path: one directory is one cage, however it was reached.
    pub path: String,
    /// The name of its cage, which is also the container's hostname.
    pub name: String,
    /// The directory's inode number, which tells it from another one at the same path.
    pub inode: u64,
    /// The directory's owner and group.
    pub owner: Ids,
    /// The path by which it was reached, with any links.
    pub reached: PathBuf,
}

impl Project {
    /// The project at `directory`, or where cage was started.
    ///
    /// # Errors
    /// When there is no such directory, or an engine would change its path.
    pub fn locate(host: &Host, directory: Option<&Path>) -> Result<Self> {
        let path = match (directory, &host.cwd) {
            (Some(directory), _) if directory.is_absolute() => directory.to_owned(),
            (Some(directory), Some(cwd)) => cwd.join(directory),
            (None, Some(cwd)) => cwd.clone(),
            (_, None) => {
                return Err(Failure::new("the current directory no longer exists")
                    .hint("`cd` to a directory that does, or name a cage that `cage list` shows")
                    .into());
            }
        };
        // The shell's directory, whose path may contain links; the system only knows the resolved path.
        let stands = host.path_variable("PWD").filter(|pwd| {
            pwd.is_absolute()
                && host
                    .cwd
                    .as_deref()
                    .is_some_and(|cwd| fs::canonicalize(pwd).ok() == fs::canonicalize(cwd).ok())
        });
        let reached = stands
            .map_or(path.clone(), |pwd| directory.map_or(pwd.to_owned(), |directory| pwd.join(directory)));
        let shown = directory.unwrap_or(&path).display().to_string();
        let unusable =
            |why: &str| Failure::new(format!("cannot use directory {}: {why}", text::escape(&shown)));

        let path = fs::canonicalize(&path).map_err(|error| unusable(&error.to_string()))?;
        let metadata = fs::metadata(&path).map_err(|error| unusable(&error.to_string()))?;
        ensure!(metadata.is_dir(), unusable("it is not a directory"));
        let Ok(path) = path.into_os_string().into_string() else {
            // docker replaces such bytes without a word and mounts another directory.
            return Err(unusable("its path is not valid UTF-8").hint("rename the directory").into());
        };
        ensure!(is_mountable(&path), unusable("engines can't read a path with \\r\\n in it"));
        Ok(Self {
            name: cage_name(&path),
            path,
            inode: metadata.ino(),
            owner: Ids { uid: metadata.uid(), gid: metadata.gid() },
            reached,
        })
    }

    /// Checks that the directory may be a project. `dangerous` allows directories that need `--allow-dangerous-dir`.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, host: &Host, dangerous: bool) -> Result<()> {
        let shown = text::escape(&self.path);
        if let Some(why) = places::system_dir(Path::new(&self.path)) {
            // It is mounted at its own path, over what the image has there: with `/etc` the cage's users would be the host's,
            // and a change to them too. So there is no flag for it.
            return Err(Failure::new(format!("{shown} can't be a project: {why}"))
                .hint("choose the directory that you work in; a cage can change everything in it")
                .into());
        }
        let danger = if dangerous { None } else { self.danger(host) };
        match danger {
            None => Ok(()),
            Some(why) => Err(Failure::new(format!("{shown} can't be a project: {why}"))
                .hint("choose the directory that you work in; --allow-dangerous-dir if you mean it")
                .into()),
        }
    }

    /// Returns the reason why the directory needs `--allow-dangerous-dir`, if it does.
    fn danger(&self, host: &Host) -> Option<String> {
        let path = Path::new(&self.path);
        if host.homes().any(|home| file::real(home).starts_with(path)) {
            return Some("your whole home directory is in it, with your keys".to_owned());
        }
        if places::is_shared(path) {
            return Some("it is not yours alone".to_owned());
        }
        if let Some(how) = host.secret_dirs().iter().find_map(|secret| overlap(path, secret)) {
            return Some(format!("{how}, which is not for others"));
        }
        if let Some(how) = host.dotfiles().find_map(|dotfile| overlap(path, &dotfile)) {
            return Some(format!("{how}, which counts on this machine as soon as it is written"));
        }
        if let Some(link) = host.link_into(path) {
            let shown = text::escape(&link.to_string_lossy());
            return Some(format!("{shown} leads there, and counts on this machine as soon as it is written"));
        }
        let socket = host.sockets().find(|socket| file::real(socket).starts_with(path))?;
        Some(format!("the socket {} is in it", text::escape(&socket.to_string_lossy())))
    }

    /// The paths of the directories above it that could have a cage, nearest first.
    pub fn above(&self) -> impl Iterator<Item = &str> {
        Path::new(&self.path).ancestors().skip(1).filter_map(Path::to_str).filter(|path| *path != "/")
    }

    /// Returns a path as it is called in the cage: the script named projects after a path with links.
    pub fn inside(&self, path: &str) -> String {
        let below = Path::new(path).strip_prefix(file::real(&self.dir())).ok();
        below.map_or(path.to_owned(), |below| {
            file::lexical(&self.dir().join(below)).to_string_lossy().into_owned()
        })
    }

    /// The path as a `Path`.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }
}

/// Returns how a directory and a place overlap, if they do, with the links in the place's path resolved or not.
fn overlap(path: &Path, place: &Path) -> Option<String> {
    let real = file::real(place);
    let is_link = real.as_os_str() != place.as_os_str();
    let ways = [place, &real];
    let mut ways = ways.iter().take(if is_link { 2 } else { 1 });
    let shown = || text::escape(&place.to_string_lossy());
    if ways.clone().any(|way| file::is_in(path, way)) {
        return Some(format!("it is {} or in it", shown()));
    }
    let way = ways.find(|way| file::is_in(way, path))?;
    Some(format!("{} {}", shown(), if *way == place { "is in it" } else { "leads into it" }))
}

/// The name of the cage for the project at `path`: `cage-<basename>-<8 hex digits of the path's SHA-256>`. A basename
/// that an engine would refuse, or that is too long for a hostname, is made legal and short; the hash tells it apart.
pub fn cage_name(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or_default();
    let hash = &hex::encode(Sha256::digest(path))[..8];
    let room = MAX_NAME - "cage--".len() - hash.len();
    let legal = !base.is_empty() && base.chars().all(is_name_char);
    if legal && base.len() <= room {
        return format!("cage-{base}-{hash}");
    }
    let words: Vec<&str> = base.split(|c| !is_name_char(c)).filter(|word| !word.is_empty()).collect();
    let mut base = words.join("-");
    base.truncate(room);
    let base = base.trim_matches(['-', '.', '_']);
    format!("cage-{}-{hash}", if base.is_empty() { "project" } else { base })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::name::is_engine_name;

    #[test]
    fn the_name_is_the_one_that_users_know() {
        assert_eq!(cage_name("/Users/aakash/src/cage"), "cage-cage-5d780152");
    }

    #[test]
    fn a_legal_and_short_basename_stays_byte_for_byte() {
        for base in ["a", "My_App.v2", ".dotfiles", "-dash", "..", "x".repeat(50).as_str()] {
            let name = cage_name(&format!("/p/{base}"));
            assert_eq!(&name[5..name.len() - 9], base);
        }
    }

    #[test]
    fn any_other_basename_is_made_legal_and_short() {
        let base = |base: &str| {
            let name = cage_name(&format!("/p/{base}"));
            assert!(is_engine_name(&name) && name.len() <= MAX_NAME, "{name}");
            name[5..name.len() - 9].to_owned()
        };
        assert_eq!(base("my app"), "my-app");
        assert_eq!(base("-it's a:b,c=\"d\"\n"), "it-s-a-b-c-d");
        assert_eq!(base("été"), "t");
        assert_eq!(base("日本"), "project");
        assert_eq!(base(""), "project");
        assert_eq!(base(&"long".repeat(50)), "longlonglonglonglonglonglonglonglonglonglonglonglo");
        assert_eq!(base("\u{1b}[31m"), "31m");
    }

    #[test]
    fn paths_that_look_alike_once_cleaned_are_different_cages() {
        assert_ne!(cage_name("/p/a b"), cage_name("/p/a:b"));
    }

    #[test]
    fn a_system_directory_is_no_project_and_a_dangerous_one_only_when_asked() {
        let host =
            Host::sample(&[("SSH_AUTH_SOCK", "/home/me/agents/one"), ("XDG_RUNTIME_DIR", "/run/user/1000")]);
        let check = |path: &str, dangerous: bool| {
            let project = Project {
                path: path.into(),
                name: cage_name(path),
                inode: 1,
                owner: Ids::ROOT,
                reached: path.into(),
            };
            project.check(&host, dangerous).map_err(|error| error.to_string())
        };
        for path in ["/", "/etc", "/usr/bin", "/proc/1", "/run", "/dev/shm/x"] {
            assert!(check(path, false).is_err() && check(path, true).is_err(), "{path}");
        }
        let dangerous = [
            "/tmp",
            "/home",
            "/home/me",
            "/root",
            "/home/me/.ssh",
            "/home/me/.ssh/keys",
            "/home/me/.config",
            "/home/me/.config/cage",
            "/home/me/.local",
            "/home/me/.gnupg",
            "/var/lib/docker",
            "/var/lib/docker/volumes",
            "/home/me/.local/share",
            "/run/user/1000",
            "/home/me/agents",
            "/home/me/.config/nvim",
            "/home/me/.config/nvim/lua",
            "/home/me/.claude",
            "/home/me/bin/tool",
            "/home/me/.cargo",
            "/home/me/.local/share/nvim/site",
            "/home/me/.local/lib",
            "/home/me/.nvm",
            "/home/me/.mozilla/firefox",
            "/home/me/.local/share/keyrings",
            "/home/me/.config/google-chrome",
        ];
        for path in dangerous {
            assert!(check(path, false).is_err(), "{path}");
            assert_eq!(check(path, true), Ok(()), "{path}");
        }
        let fine = [
            "/home/me/app",
            "/tmp/app",
            "/etc/nixos",
            "/usr/src/linux",
            "/root/app",
            "/homes",
            "/home/mel",
            "/home/me/.config/mine",
            "/home/me/binary",
            "/home/me/.sshd",
            "/home/me/agents/app",
            "/var/www",
        ];
        for path in fine {
            assert_eq!(check(path, false), Ok(()));
        }
        let why = |path| check(path, false).unwrap_err();
        let home = "/home/me can't be a project: your whole home directory is in it, with your keys";
        assert_eq!(why("/home/me"), home);
        assert_eq!(
            why("/home/me/agents"),
            "/home/me/agents can't be a project: the socket /home/me/agents/one is in it"
        );
    }

    #[test]
    fn neither_are_the_homes_behind_root() {
        let mut host = Host::sample(&[]);
        let check = |host: &Host, path: &str| {
            let (name, reached) = (cage_name(path), path.into());
            let project = Project { path: path.into(), name, inode: 1, owner: Ids::ROOT, reached };
            project.check(host, false).is_ok()
        };
        host.home = Some("/root".into());
        let places = ["/home/me", "/home/me/.ssh", "/home/me/.config/nvim", "/home/me/.local/state/cage"];
        for path in places {
            assert!(check(&host, path), "{path}: the control, nobody's home");
        }
        host.other_homes.push("/home/me".into());
        for path in places.into_iter().chain(["/root/.ssh"]) {
            assert!(!check(&host, path), "{path}");
        }
        assert!(check(&host, "/home/me/app") && check(&host, "/root/app"));
    }

    #[test]
    fn a_deleted_current_directory_is_said() {
        let mut host = Host::sample(&[]);
        host.cwd = None;
        let error = Project::locate(&host, None).unwrap_err().to_string();
        assert_eq!(error, "the current directory no longer exists");
    }

    proptest! {
        #[test]
        fn every_path_has_a_name_that_engines_take(path in "/[^\0]{0,300}") {
            let name = cage_name(&path);
            prop_assert!(is_engine_name(&name) && name.len() <= MAX_NAME, "{name}");
            prop_assert_eq!(name, cage_name(&path));
        }
    }
}
