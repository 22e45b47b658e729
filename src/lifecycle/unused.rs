//! Cages and homes of deleted projects, and images that newer ones have replaced: what `cage prune` removes and what it keeps.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;

use crate::base::text::escape;
use crate::cage::existing::Cage;
use crate::cage::home::own_home;
use crate::engine::image::{Image, is_local};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::project::cage_name;
use crate::lifecycle::session::Session;

/// The objects that `prune` would remove, and the reasons why it keeps others.
#[derive(Debug, Default)]
pub struct Unused {
    /// Stopped cages without a project directory, then homes of single projects without one.
    pub lost: Vec<Lost>,
    /// Former versions of `CAGE_IMAGE` that no container uses.
    pub images: Vec<Image>,
    /// Why objects are kept, a sentence each.
    pub left: Vec<String>,
}

/// An object of a project without a directory.
#[derive(Debug)]
pub struct Lost {
    /// The object that can be removed.
    pub object: Object,
    /// The path of the directory.
    pub project: String,
    /// Why the directory may still exist.
    pub doubt: Option<String>,
}

/// An object of a project.
#[derive(Debug)]
pub enum Object {
    /// The cage of the project.
    Cage(Box<Cage>),
    /// The volume with the project's own home.
    Home(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cage(cage) => f.write_str(&cage.name),
            Self::Home(volume) => write!(f, "the home {volume}"),
        }
    }
}

/// The state of a project's directory.
#[derive(Debug, PartialEq, Eq)]
enum Directory {
    Exists,
    /// It doesn't exist, perhaps for a temporary reason.
    Gone(Option<String>),
    /// It can't be looked at, for this reason.
    Unknown(String),
}

impl Directory {
    fn look(host: &Host, path: &str) -> Self {
        match fs::symlink_metadata(path) {
            Ok(_) => Self::Exists,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Self::Gone(doubt(host, Path::new(path)))
            }
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// Returns why a missing directory may still exist: a disk that is not mounted hides a whole tree, or leaves an empty
/// directory, and an engine in WSL has the cages of all distributions.
fn doubt(host: &Host, path: &Path) -> Option<String> {
    if host.wsl {
        return Some("another WSL distribution may have it".to_owned());
    }
    let parent = path.parent()?;
    if has_mount_points(parent) {
        return Some("it may be on a disk that is not mounted".to_owned());
    }
    let missing = path.ancestors().skip(1).take_while(|dir| !dir.exists()).last();
    let is_empty = || fs::read_dir(parent).is_ok_and(|mut entries| entries.next().is_none());
    let (dir, state) = match missing {
        Some(missing) => (missing, "is gone, too"),
        None if is_empty() => (parent, "is empty"),
        None => return None,
    };
    let dir = escape(&dir.to_string_lossy());
    Some(format!("{dir} {state}: is it on a disk that is not mounted?"))
}

/// Returns whether systems mount disks in this directory.
fn has_mount_points(dir: &Path) -> bool {
    let of_user = dir.parent().is_some_and(|dir| ["/media", "/run/media"].map(Path::new).contains(&dir));
    of_user || ["/Volumes", "/mnt", "/media", "/run/media"].map(Path::new).contains(&dir)
}

impl Unused {
    /// Finds unused objects. `cages` are all cages of the engine.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn find(session: &Session, runtime: &Runtime, cages: &[Cage]) -> Result<Self> {
        let mut unused = Self::default();
        unused.find_cages(&session.host, cages);
        unused.find_homes(session, runtime, cages)?;
        unused.find_images(session, runtime)?;
        Ok(unused)
    }

    /// Returns the object if the directory of its project is gone. If that can't be known, the object is kept.
    fn lost(&mut self, host: &Host, object: Object, project: &str) -> Option<Lost> {
        match Directory::look(host, project) {
            Directory::Exists => None,
            Directory::Gone(doubt) => Some(Lost { object, project: project.to_owned(), doubt }),
            Directory::Unknown(why) => {
                self.left.push(format!("keeping {object}: cannot look at {}: {why}", escape(project)));
                None
            }
        }
    }

    fn find_cages(&mut self, host: &Host, cages: &[Cage]) {
        for cage in cages {
            let object = Object::Cage(Box::new(cage.clone()));
            let Some(lost) = self.lost(host, object, cage.project()) else { continue };
            if cage.state.is_up() {
                self.left.push(format!(
                    "keeping {0}: it is running, although {1} is gone; `cage stop {0}` stops it",
                    cage.name,
                    escape(&lost.project)
                ));
            } else {
                self.lost.push(lost);
            }
        }
    }

    /// Returns the cages without a directory.
    fn lost_cages(&self) -> impl Iterator<Item = &Cage> {
        self.lost.iter().filter_map(|lost| match &lost.object {
            Object::Cage(cage) => Some(&**cage),
            Object::Home(_) => None,
        })
    }

    fn find_homes(&mut self, session: &Session, runtime: &Runtime, cages: &[Cage]) -> Result<()> {
        let homes = homes_of_projects(session, runtime, self.lost_cages())?;
        for (volume, project) in &homes {
            let object = Object::Home(volume.clone());
            let Some(lost) = self.lost(&session.host, object, project) else { continue };
            let users = runtime.users_of(session.runner, "volume", volume)?;
            if let Some(user) = users.iter().find(|id| self.lost_cages().all(|cage| cage.id != **id)) {
                self.left.push(format!("keeping {}: container {user} uses it", lost.object));
            } else {
                self.lost.push(lost);
            }
        }
        self.left.extend(unknown_homes(session, runtime, &homes, cages)?);
        Ok(())
    }

    fn find_images(&mut self, session: &Session, runtime: &Runtime) -> Result<()> {
        let (runner, reference) = (session.runner, &session.host.image);
        // With a digest in the name, another project may use another digest of the same repository.
        let ids = if reference.contains('@') { Vec::new() } else { runtime.nameless_images(runner)? };
        if is_local(reference) && !ids.is_empty() {
            self.left.push(format!(
                "keeping images without a name: cage can't tell which of them were the local image {}",
                escape(reference)
            ));
            return Ok(());
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for image in runtime.images(runner, &ids)? {
            if was(&image, reference) && runtime.users_of(runner, "ancestor", &image.id)?.is_empty() {
                self.images.push(image);
            }
        }
        Ok(())
    }

    /// Returns whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.images.is_empty()
    }

    /// Keeps the objects that are in doubt.
    pub fn keep_doubtful(&mut self) {
        let left = &mut self.left;
        self.lost.retain(|Lost { object, project, doubt }| {
            left.extend(doubt.iter().map(|doubt| {
                let project = escape(project);
                format!("keeping {object}: {project} is gone, but {doubt} `cage prune --yes` removes it")
            }));
            doubt.is_none()
        });
    }
}

impl Lost {
    /// Returns whether the project is still gone.
    pub fn is_gone(&self, host: &Host) -> bool {
        matches!(Directory::look(host, &self.project), Directory::Gone(_))
    }
}

/// Returns the homes of single projects with the path of each project, from the volume's label or the cage that has the
/// volume. The volume's name has only a hash of the path.
///
/// # Errors
/// When the engine doesn't answer.
pub fn homes_of_projects<'a>(
    session: &Session,
    runtime: &Runtime,
    cages: impl IntoIterator<Item = &'a Cage>,
) -> Result<Vec<(String, String)>> {
    let host = &session.host;
    let mut homes = runtime.labelled_volumes(session.runner, &host.label)?;
    homes.retain(|(volume, project)| *volume == own_home(host, &cage_name(project)));
    for cage in cages {
        let volume = own_home(host, cage.final_name());
        if cage.mount_point_of(&volume).is_some() && !homes.iter().any(|(home, _)| *home == volume) {
            homes.push((volume, cage.project().to_owned()));
        }
    }
    Ok(homes)
}

/// Returns a sentence for each volume that has the name of a project's home, and is neither one of `homes` nor used by a cage.
///
/// # Errors
/// When the engine doesn't answer.
pub fn unknown_homes(
    session: &Session,
    runtime: &Runtime,
    homes: &[(String, String)],
    cages: &[Cage],
) -> Result<Vec<String>> {
    let is_unknown = |volume: &String| {
        is_name_of_home(&session.host, volume)
            && !homes.iter().any(|(home, _)| home == volume)
            && !cages.iter().any(|cage| cage.mount_point_of(volume).is_some())
    };
    let unknown = runtime.volumes(session.runner)?.into_iter().filter(is_unknown);
    let client = escape(&runtime.name);
    Ok(unknown
        .map(|volume| {
            format!(
                "keeping the home {volume}: its project is unknown; `{client} volume rm {volume}` removes it"
            )
        })
        .collect())
}

/// Returns whether a volume's name is that of a project's own home.
fn is_name_of_home(host: &Host, volume: &str) -> bool {
    let rest = volume.strip_prefix(&host.home_volume).and_then(|rest| rest.strip_prefix('-'));
    rest.and_then(|rest| rest.rsplit_once('-'))
        .is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns whether `image`, which has no name any more, was the image that `reference` means now. docker keeps the repository
/// that an image came from, podman its former names.
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

/// Returns an image's name with registry and tag. docker leaves its defaults out, podman doesn't.
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
    fn a_missing_directory_is_in_doubt_if_a_disk_may_be_missing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::sample(&[]);
        let at = |path: &str| root.path().join(path).to_str().unwrap().to_owned();
        let look = |path: &str| Directory::look(&host.clone(), &at(path));
        fs::create_dir_all(at("src/other")).unwrap();
        fs::create_dir_all(at("empty")).unwrap();
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        for path in ["src/other", "file", "link"] {
            assert_eq!(look(path), Directory::Exists, "{path}");
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
    fn an_old_image_is_recognized_by_its_repository_or_former_name() {
        let reference = "ghcr.io/x/y:latest";
        let digest = "ghcr.io/x/y@sha256:1";
        assert!(was(&image(&[], &[digest], &[]), reference));
        assert!(was(&image(&[], &[digest], &[]), "ghcr.io/x/y"));
        assert!(was(&image(&[], &[], &[reference]), reference));
        assert!(was(&image(&[], &["me/y@sha256:1"], &[]), "docker.io/me/y:1"));
        // The image has a name, is from another repository too, or nothing is known about it.
        assert!(!was(&image(&["other:1"], &[digest], &[]), reference));
        assert!(!was(&image(&[], &[digest, "ghcr.io/x/z@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &["ghcr.io/x/yy@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &["localhost:5000/x/y@sha256:1"], &[]), reference));
        assert!(!was(&image(&[], &[], &["ghcr.io/x/y:other"]), reference));
        assert!(!was(&image(&[], &[], &[]), reference));
    }

    #[test]
    fn image_names_get_a_registry_and_a_tag() {
        assert_eq!(full_name("y"), "docker.io/library/y:latest");
        assert_eq!(full_name("me/y"), "docker.io/me/y:latest");
        assert_eq!(full_name("localhost/y:2"), "localhost/y:2");
        assert_eq!(full_name("127.0.0.1:5000/y"), "127.0.0.1:5000/y:latest");
    }
}
