//! Facts about an image that only its files tell: its user, and files that cages get with changes. They are remembered.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::base::error::Failure;
use crate::base::{file, script, text};
use crate::cage::user::ImageUser;
use crate::engine::mount::Mount;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::Host;

/// The file with the users.
pub const PASSWD: &str = "/etc/passwd";
/// The name that cage gives to a user without one.
pub const NAMELESS: &str = "cage-user";
/// The file with the groups.
pub const GROUP: &str = "/etc/group";

/// The list of files that belong to the image's user outside of the home.
const OUTSIDE: &str = "outside";

/// The number of files from which on [`Outside`] names only the first ones. The script lists one more.
const MANY: usize = 100;

/// Prints the facts.
const ASK: &str = script::body(include_str!("image_facts.sh"));

/// The start of the names of files with remembered facts.
const START: &str = "image.";

/// How long facts are remembered.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Facts about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// The user that the image names.
    pub user: ImageUser,
    /// The owner of the project as seen in a container. It is known only if the user can't write the project, and only where cage
    /// asked.
    pub seen_owner: Option<Ids>,
    /// Those of /etc/passwd, /etc/group, /etc/gitconfig and `/etc/ssh/ssh_known_hosts` that the image has, by path, and the list
    /// [`OUTSIDE`].
    pub files: HashMap<String, Vec<u8>>,
}

/// Files that belong to the image's user outside of the home.
#[derive(Debug, Default)]
pub struct Outside {
    /// The paths of the first ones.
    pub files: Vec<String>,
    /// Whether there are more.
    pub has_more: bool,
}

impl ImageFacts {
    /// Returns a file of the image, if the image has it.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Returns whether the image's /etc/passwd has no row for the user, or one without a home.
    pub fn lacks_user(&self) -> bool {
        let ImageUser { name, home, .. } = &self.user;
        let passwd = String::from_utf8_lossy(self.file(PASSWD).unwrap_or_default());
        let mut rows = passwd.lines().map(|row| row.split(':'));
        let has_home = rows.any(|mut row| row.next() == Some(name) && row.nth(4) == Some(home));
        name == NAMELESS || (*home == home_of(name) && !has_home)
    }

    /// Returns the files that belong to the image's user outside of the home.
    pub fn outside(&self) -> Outside {
        let text = String::from_utf8_lossy(self.file(OUTSIDE).unwrap_or_default());
        // A name with a line break is two names of no files.
        let files = text.lines().filter(|path| path.starts_with('/'));
        let files = files.take(MANY).map(str::to_owned).collect();
        Outside { files, has_more: text.lines().nth(MANY).is_some() }
    }

    /// Returns what is known of the published image without asking: not its files.
    pub fn published() -> Self {
        Self { user: ImageUser::published(), seen_owner: None, files: HashMap::new() }
    }

    /// Asks a short-lived container of the image for the facts, and whether its user can write `directory`.
    ///
    /// # Errors
    /// When the image isn't here, nothing can run in it, or the engine can't see the directory.
    pub fn ask(runtime: &Runtime, runner: Runner, image: &str, directory: Option<&str>) -> Result<Self> {
        Self::ask_and_say(runtime, runner, image, directory).map(|(facts, _)| facts)
    }

    /// Asks like [`ImageFacts::ask`], and returns the answer, too.
    fn ask_and_say(
        runtime: &Runtime,
        runner: Runner,
        image: &str,
        directory: Option<&str>,
    ) -> Result<(Self, Vec<u8>)> {
        let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/"];
        args.extend(script::NO_LIBRARIES);
        let mount = directory.map(|directory| Mount::path(directory, directory).to_flag());
        args.extend(mount.iter().flat_map(|mount| ["--mount", mount]));
        args.extend(["--entrypoint", "/bin/sh", image, "-c", ASK, "sh", directory.unwrap_or_default()]);
        let ask = runtime.command(args).slow("Looking at the image");
        let mut said = Vec::new();
        // A busy podman sometimes loses the output of a short-lived container.
        for _ in 0..3 {
            said = runner.run_for_output(&ask)?.stdout;
            if let Some(facts) = Self::parse(&said) {
                return Ok((facts, said));
            }
        }
        let said = String::from_utf8_lossy(said.split(|c| *c == b'\n').next().unwrap_or_default());
        bail!(
            Failure::new(format!("cannot tell the user of the image from {}", text::name(said.trim())))
                .hint("an image for cage has `id` and a POSIX `/bin/sh`")
        )
    }

    /// Parses what the script prints.
    fn parse(said: &[u8]) -> Option<Self> {
        let mut rest = said;
        let mut line = || {
            let (line, after) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n')?)?;
            rest = &after[1..];
            str::from_utf8(line).ok()
        };
        let (name, uid, gid, home) = (line()?, line()?, line()?, line()?);
        // A number without a name is in root's group, which podman can't map, and the engines set HOME to `/`.
        let gid = if name.is_empty() && gid == "0" { uid } else { gid };
        let name = if name.is_empty() { NAMELESS } else { name };
        let is_home = home.starts_with('/') && home != "/" && !Path::new(home).starts_with("/dev");
        let made = home_of(name);
        let user = ImageUser::parse([name, uid, gid, if is_home { home } else { &made }])?;
        let seen_owner = line()?.parse().ok();
        let mut files = HashMap::new();
        loop {
            let (line, after) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n')?)?;
            let line = str::from_utf8(line).ok()?;
            if line == "end" {
                return Some(Self { user, seen_owner, files });
            }
            let (path, size) = line.rsplit_once(' ')?;
            let (content, after) = after[1..].split_at_checked(size.parse().ok()?)?;
            files.insert(path.to_owned(), content.to_vec());
            rest = after;
        }
    }
}

/// Returns the home of a user without one.
fn home_of(name: &str) -> String {
    format!("/home/{name}")
}

/// A file in cage's private directory with the answer of an image.
///
/// An image's ID is a digest of its content, so that the answer can't change. No cage can write the directory: only the user or
/// root could put other facts there, who could as well replace the image.
pub struct Memory {
    path: PathBuf,
    /// The first line, which tells what the file is about.
    head: String,
}

impl Memory {
    /// Returns the place for the facts about the image with this ID, of the engine at this address.
    pub fn of(host: &Host, runtime: &Runtime, endpoint: &str, image: &str) -> Option<Self> {
        let head = format!("2 {} {} {image}\n", runtime.kind.program(), text::escape(endpoint));
        let name = hex::encode(&Sha256::digest(&head)[..8]);
        Some(Self { path: host.state_dir()?.join(format!("{START}{name}")), head })
    }

    /// Returns the facts, if they are remembered. A file that can't be read or is about something else counts as none.
    pub fn read(&self) -> Option<ImageFacts> {
        let text = file::read_small("remembered image", &self.path, OFlags::NOFOLLOW).ok()??;
        let facts = ImageFacts::parse(text.strip_prefix(&self.head)?.as_bytes())?;
        // The owner is that of a project, not of the image.
        Some(ImageFacts { seen_owner: None, ..facts })
    }

    /// Asks for the facts, and remembers them if they are short text. Forgets old ones of other images.
    ///
    /// # Errors
    /// As [`ImageFacts::ask`].
    pub fn ask(
        &self,
        runtime: &Runtime,
        runner: Runner,
        image: &str,
        directory: Option<&str>,
    ) -> Result<ImageFacts> {
        let (facts, said) = ImageFacts::ask_and_say(runtime, runner, image, directory)?;
        self.path.parent().into_iter().for_each(forget_old);
        if let Ok(said) = String::from_utf8(said) {
            let _ = file::write_private(&self.path, &format!("{}{said}", self.head));
        }
        Ok(facts)
    }
}

/// Removes what was remembered long ago.
fn forget_old(dir: &Path) {
    let is_old = |path: &Path| {
        let changed = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
        changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT))
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(START) && is_old(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialect::Dialect;

    const SAID: &str = "vscode\n501\n20\n/home/vscode\n0:0\n/etc/passwd 9\nroot\nend\n/etc/gitconfig 0\n/etc/group 4\na\nb\nend\n";

    #[test]
    fn the_answer_of_an_image_is_read() {
        let facts = ImageFacts::parse(SAID.as_bytes()).unwrap();
        assert_eq!((&facts.user, facts.seen_owner), (&ImageUser::published(), Some(Ids::ROOT)));
        assert_eq!(facts.file(PASSWD), Some(b"root\nend\n".as_slice()));
        assert_eq!(
            (facts.file("/etc/gitconfig"), facts.file(GROUP)),
            (Some(b"".as_slice()), Some(b"a\nb\n".as_slice()))
        );
        assert_eq!(facts.file("/etc/ssh/ssh_known_hosts"), None);
        let facts = ImageFacts::parse(b"\n7\n7\n/\n\nend\n").unwrap();
        assert_eq!((facts.user.name.as_str(), facts.user.ids.uid, facts.seen_owner), (NAMELESS, 7, None));
        for (name, home, expected, lacks) in [
            ("", "/srv", "/srv", true),
            ("", "/", "/home/cage-user", true),
            ("a", "/", "/home/a", true),
            ("a", "", "/home/a", true),
            ("a", "/dev/null", "/home/a", true),
            ("a", "/h", "/h", false),
            ("a", "/home/a", "/home/a", false),
        ] {
            let row = format!("{name}:x:7:7::{home}:");
            let said = format!("{name}\n7\n7\n{home}\n\n/etc/passwd {}\n{row}end\n", row.len());
            let facts = ImageFacts::parse(said.as_bytes()).unwrap();
            assert_eq!((facts.user.home.as_str(), facts.lacks_user()), (expected, lacks), "{row}");
        }
    }

    #[test]
    fn an_incomplete_answer_is_none() {
        for length in 0..SAID.len() {
            assert_eq!(ImageFacts::parse(&SAID.as_bytes()[..length]), None, "{length}");
        }
        for said in ["a\n1\n1\n/h\n\n/etc/group x\nend\n", "a\n1\n1\n/h\n\n/x 99999999999999999999\nend\n"] {
            assert_eq!(ImageFacts::parse(said.as_bytes()), None, "{said:?}");
        }
    }

    #[test]
    fn facts_are_remembered_for_one_image_of_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        let mut host = Host::sample(&[]);
        host.home = Some(dir.path().to_owned());
        let of = |kind, endpoint, image| Memory::of(&host, &Runtime::sample(kind), endpoint, image).unwrap();
        let memory = of(Dialect::Docker, "unix:///x", "sha256:1");
        assert_eq!(memory.read(), None);
        let write =
            |head: &str, said: &str| file::write_private(&memory.path, &format!("{head}{said}")).unwrap();
        write(&memory.head, SAID);
        let facts = memory.read().unwrap();
        assert_eq!((facts.user.ids.uid, facts.seen_owner), (501, None));
        for other in [
            of(Dialect::Docker, "", "sha256:1"),
            of(Dialect::Podman, "unix:///x", "sha256:1"),
            of(Dialect::Docker, "unix:///x", "sha256:2"),
        ] {
            assert_eq!(other.read(), None);
            write(&other.head, SAID);
            assert_eq!(memory.read(), None, "it is about another image");
        }
        write(&memory.head, &SAID[..50]);
        assert_eq!(memory.read(), None, "it is cut off");
        fs::remove_file(&memory.path).unwrap();
        fs::write(dir.path().join("other"), format!("{}{SAID}", memory.head)).unwrap();
        std::os::unix::fs::symlink(dir.path().join("other"), &memory.path).unwrap();
        assert_eq!(memory.read(), None, "a link is not followed");
    }

    #[test]
    fn only_old_facts_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in [("image.old", 91), ("image.new", 89), ("other.old", 91)] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age * 24 * 60 * 60))
                .unwrap();
        }
        forget_old(dir.path());
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["image.new", "other.old"]);
    }
}
