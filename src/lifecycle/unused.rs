//! What may go: cages whose directory is gone, the homes of such projects, and images that newer ones have taken the place
//! of. What only looks like it is left, with the reason.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;

use crate::base::text;
use crate::engine::container::{Container, Image};
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::project::cage_name;
use crate::lifecycle::create::own_home;
use crate::lifecycle::start::is_local;

/// What may go, and what is left.
#[derive(Debug, Default)]
pub struct Unused {
    /// Cages that don't run and have lost their directory.
    pub cages: Vec<LostCage>,
    /// Homes of single projects that are gone.
    pub homes: Vec<LostHome>,
    /// What `CAGE_IMAGE` was before, and no container uses.
    pub images: Vec<OldImage>,
    /// What stays, each in a sentence.
    pub left: Vec<String>,
}

/// A cage that has lost its directory.
#[derive(Debug)]
pub struct LostCage {
    /// The cage.
    pub container: Container,
    /// Where the directory was.
    pub project: String,
    /// Why it may be somewhere after all.
    pub doubt: Option<String>,
}

/// The home of a project that is gone.
#[derive(Debug)]
pub struct LostHome {
    /// The volume.
    pub volume: String,
    /// Where the project was.
    pub project: String,
    /// Why it may be somewhere after all.
    pub doubt: Option<String>,
}

/// An image that a newer one has taken the place of.
#[derive(Debug)]
pub struct OldImage {
    /// The engine's ID.
    pub id: String,
    /// The day it was made, if it says.
    pub date: Option<String>,
    /// Its size in bytes; other images may share some of it.
    pub size: u64,
}

/// What there is at a project's path.
#[derive(Debug, PartialEq, Eq)]
pub enum Directory {
    /// Something.
    There,
    /// Nothing; with a reason why that may be so only for now.
    Gone(Option<String>),
    /// It can't be looked at.
    Unknown(String),
}

impl Directory {
    /// Looks at a project's path.
    pub fn look(host: &Host, path: &str) -> Self {
        match fs::symlink_metadata(path) {
            Ok(_) => Self::There,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Self::Gone(doubt(host, Path::new(path)))
            }
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// A disk that is not mounted takes a whole tree away, or leaves an empty directory; and the engine of WSL has the cages of
/// all distributions, of which this one sees only its own.
fn doubt(host: &Host, path: &Path) -> Option<String> {
    if host.wsl {
        return Some("another WSL distribution may have it".to_owned());
    }
    if path.parent().is_some_and(has_disks) {
        return Some("it may be on a disk that is not mounted".to_owned());
    }
    let missing = path.ancestors().skip(1).take_while(|dir| !dir.exists()).last();
    if let Some(missing) = missing {
        let missing = text::escape(&missing.to_string_lossy());
        return Some(format!("{missing} is gone, too: is it on a disk that is not mounted?"));
    }
    let parent = path.parent()?;
    let is_empty = fs::read_dir(parent).is_ok_and(|mut entries| entries.next().is_none());
    let parent = text::escape(&parent.to_string_lossy());
    is_empty.then(|| format!("{parent} is empty: is it on a disk that is not mounted?"))
}

/// Is it a directory in which systems mount disks?
fn has_disks(dir: &Path) -> bool {
    let by_person = dir.parent().is_some_and(|dir| ["/media", "/run/media"].map(Path::new).contains(&dir));
    by_person || ["/Volumes", "/mnt", "/media", "/run/media"].map(Path::new).contains(&dir)
}

impl Unused {
    /// Finds it among `cages`, which are all that the engine has of this label.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn find(host: &Host, runtime: &Runtime, runner: Runner, cages: &[Container]) -> Result<Self> {
        let mut unused = Self::default();
        unused.find_cages(host, cages);
        unused.find_homes(host, runtime, runner, cages)?;
        unused.find_images(host, runtime, runner)?;
        Ok(unused)
    }

    /// The cages only, which takes no engine.
    pub fn find_cages(&mut self, host: &Host, cages: &[Container]) {
        for cage in cages {
            let Some(project) = cage.project(&host.label) else { continue };
            let shown = text::escape(project);
            match Directory::look(host, project) {
                Directory::There => {}
                Directory::Unknown(why) => {
                    self.left.push(format!("{} stays: {shown} can't be looked at: {why}", cage.name));
                }
                Directory::Gone(_) if cage.state.is_up() => self.left.push(format!(
                    "{} stays, for it runs, although {shown} is gone: `cage stop {}` ends it",
                    cage.name, cage.name
                )),
                Directory::Gone(doubt) => {
                    let (container, project) = (cage.clone(), project.to_owned());
                    self.cages.push(LostCage { container, project, doubt });
                }
            }
        }
    }

    /// A home is tied to its project by its label, or by the cage that has it. Its name alone has only a digest of the
    /// project's path.
    fn find_homes(
        &mut self,
        host: &Host,
        runtime: &Runtime,
        runner: Runner,
        cages: &[Container],
    ) -> Result<()> {
        let labelled = runtime.labelled_volumes(runner, &host.label)?;
        let mut found: Vec<(String, String)> = labelled
            .into_iter()
            .filter(|(volume, project)| *volume == own_home(host, &cage_name(project)))
            .collect();
        for lost in &self.cages {
            let own = own_home(host, lost.container.cage_name());
            let is_known = found.iter().any(|(volume, _)| *volume == own);
            if lost.container.place_of(&own).is_some() && !is_known {
                found.push((own, lost.project.clone()));
            }
        }
        let going: Vec<&str> = self.cages.iter().map(|lost| lost.container.id.as_str()).collect();
        for (volume, project) in &found {
            let shown = text::escape(project);
            match Directory::look(host, project) {
                Directory::There => {}
                Directory::Unknown(why) => {
                    self.left.push(format!("the home {volume} stays: {shown} can't be looked at: {why}"));
                }
                Directory::Gone(doubt) => {
                    let users = runtime.users_of(runner, "volume", volume)?;
                    if let Some(user) = users.iter().find(|id| !going.contains(&id.as_str())) {
                        self.left.push(format!("the home {volume} stays: container {user} uses it"));
                    } else {
                        let (volume, project) = (volume.clone(), project.clone());
                        self.homes.push(LostHome { volume, project, doubt });
                    }
                }
            }
        }
        let is_own = |name: &String| {
            name.strip_prefix(&host.home_volume)
                .and_then(|rest| rest.strip_prefix('-')?.rsplit_once('-'))
                .is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        for volume in runtime.volumes(runner)?.into_iter().filter(is_own) {
            let is_found = found.iter().any(|(found, _)| *found == volume);
            if !is_found && !cages.iter().any(|cage| cage.place_of(&volume).is_some()) {
                self.left.push(format!(
                    "the home {volume} stays: it doesn't say whose it is; `{} volume rm {volume}` removes it",
                    text::escape(&runtime.name)
                ));
            }
        }
        Ok(())
    }

    fn find_images(&mut self, host: &Host, runtime: &Runtime, runner: Runner) -> Result<()> {
        // Another digest of the same repository may be what another project uses.
        if host.image.contains('@') {
            return Ok(());
        }
        let ids = runtime.nameless_images(runner)?;
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut images = runtime.images(runner, &ids)?;
        if is_local(&host.image) {
            self.left.push(format!(
                "images without a name stay: what the local image {} was before can't be told",
                text::escape(&host.image)
            ));
            return Ok(());
        }
        images.retain(|image| was(image, &host.image));
        for Image { id, date, size, .. } in images {
            if runtime.users_of(runner, "ancestor", &id)?.is_empty() {
                self.images.push(OldImage { id, date, size });
            }
        }
        Ok(())
    }

    /// Is there nothing that may go?
    pub fn is_empty(&self) -> bool {
        self.cages.is_empty() && self.homes.is_empty() && self.images.is_empty()
    }

    /// Leaves what is in doubt.
    pub fn leave_doubtful(&mut self) {
        let mut left = Vec::new();
        let mut is_sure = |name: &str, project: &str, doubt: Option<&String>| {
            left.extend(doubt.map(|doubt| {
                format!(
                    "{name} stays: {} is gone, but {doubt} `cage prune --yes` removes it",
                    text::escape(project)
                )
            }));
            doubt.is_none()
        };
        self.cages.retain(|lost| is_sure(&lost.container.name, &lost.project, lost.doubt.as_ref()));
        self.homes
            .retain(|lost| is_sure(&format!("the home {}", lost.volume), &lost.project, lost.doubt.as_ref()));
        self.left.append(&mut left);
    }

    /// Keeps what still is as it was: a question may have been open for long.
    pub fn look_again(&mut self, host: &Host) {
        let is_gone = |project: &str| matches!(Directory::look(host, project), Directory::Gone(_));
        self.cages.retain(|lost| is_gone(&lost.project));
        self.homes.retain(|lost| is_gone(&lost.project));
    }
}

/// Was `image`, which has no name any more, the one that `reference` means now? docker remembers from which repository an
/// image came, podman the names that it had.
fn was(image: &Image, reference: &str) -> bool {
    let wanted = full_name(reference);
    let repository = |name: &str| full_name(name).rsplit_once(':').map(|(name, _)| name.to_owned());
    let digests = &image.digests;
    let of_repository = |digest: &String| {
        digest.split_once('@').is_some_and(|(name, _)| repository(name) == repository(reference))
    };
    image.tags.is_empty()
        && (!digests.is_empty() && digests.iter().all(of_repository)
            || digests.is_empty() && image.former_names.iter().any(|name| full_name(name) == wanted))
}

/// A name with registry and tag, which docker leaves out where they are its own, and podman doesn't.
fn full_name(name: &str) -> String {
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let name = match name.split_once('/') {
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains(':') { name } else { format!("{name}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_gone_only_when_it_surely_is() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::sample(&[]);
        let at = |path: &str| root.path().join(path).to_str().unwrap().to_owned();
        let look = |path: &str| Directory::look(&host.clone(), &at(path));
        fs::create_dir_all(at("src/other")).unwrap();
        fs::create_dir_all(at("empty")).unwrap();
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        for path in ["src/other", "file", "link"] {
            assert_eq!(look(path), Directory::There, "{path}");
        }
        assert_eq!(look("src/app"), Directory::Gone(None));
        assert_eq!(look("file/app"), Directory::Gone(None));
        let doubt = |path: &str| match look(path) {
            Directory::Gone(Some(doubt)) => doubt.replace(root.path().to_str().unwrap(), ""),
            other => panic!("{other:?}"),
        };
        assert_eq!(doubt("disk/src/app"), "/disk is gone, too: is it on a disk that is not mounted?");
        assert_eq!(doubt("empty/app"), "/empty is empty: is it on a disk that is not mounted?");
        for disk in ["/Volumes/Disk", "/mnt/disk", "/media/disk", "/run/media/me/disk", "/media/me/disk"] {
            assert!(matches!(Directory::look(&host, disk), Directory::Gone(Some(_))), "{disk}");
        }
        assert!(matches!(Directory::look(&host, "/a\0b"), Directory::Unknown(_)));
        let mut wsl = host;
        wsl.wsl = true;
        assert!(matches!(Directory::look(&wsl, &at("src/app")), Directory::Gone(Some(_))));
    }

    fn image(tags: &[&str], digests: &[&str], former_names: &[&str]) -> Image {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Image {
            tags: owned(tags),
            digests: owned(digests),
            former_names: owned(former_names),
            ..Image::sample("sha256:old")
        }
    }

    #[test]
    fn an_old_image_is_known_by_its_repository_or_its_former_name() {
        let reference = "ghcr.io/x/y:latest";
        let digest = "ghcr.io/x/y@sha256:1";
        assert!(was(&image(&[], &[digest], &[]), reference));
        assert!(was(&image(&[], &[digest], &[]), "ghcr.io/x/y"));
        assert!(was(&image(&[], &[], &[reference]), reference));
        assert!(was(&image(&[], &["me/y@sha256:1"], &[]), "docker.io/me/y:1"));
        // It has a name, comes from elsewhere too, or nothing is known of it.
        assert!(!was(&image(&["other:1"], &[digest], &[]), reference));
        assert!(!was(&image(&[], &[digest, "ghcr.io/x/z@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &["ghcr.io/x/yy@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &["localhost:5000/x/y@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &[], &["ghcr.io/x/y:other"]), reference));
        assert!(!was(&image(&[], &[], &[]), reference));
    }

    #[test]
    fn names_are_compared_in_full() {
        assert_eq!(full_name("y"), "docker.io/library/y:latest");
        assert_eq!(full_name("me/y"), "docker.io/me/y:latest");
        assert_eq!(full_name("localhost/y:2"), "localhost/y:2");
        assert_eq!(full_name("127.0.0.1:5000/y"), "127.0.0.1:5000/y:latest");
    }
}
