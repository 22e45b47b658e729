//! The mount points of a cage that lie in other mounts: in the project, in another mounted directory, in the home or in a volume.
//! Engines create missing ones as root, and follow links on the way.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::base::error::Failure;
use crate::base::mount_point::MountPoint;
use crate::base::text::escape;
use crate::cage::existing::Cage;
use crate::engine::args::{Content, Place};

/// The mount points that must exist before a cage starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MountPoints {
    /// Those in directories of this machine.
    pub here: Vec<MountPoint>,
    /// Those in the home: the path below it, and whether it is a file.
    pub in_home: Vec<(String, bool)>,
    /// Volumes besides the home that can be written: name and path. Volumes without a name are new.
    pub volumes: Vec<(String, String)>,
    /// Those in such volumes: the volume's path, and the path below it.
    pub in_volumes: Vec<(String, String)>,
    /// The names of the volumes in which they lie.
    pub outer_volumes: Vec<String>,
}

impl MountPoints {
    /// Finds the mount points among the places at which something is mounted. `home` is the path of the home, a volume.
    ///
    /// # Errors
    /// When a path has `..`, lies below a file, or is there twice.
    pub fn of(home: &str, places: &[Place]) -> Result<Self> {
        let mut points = Self::default();
        for place in places {
            let target = plain(&place.target)?;
            let is_same = |other: &&Place| plain(&other.target).is_ok_and(|other| other == target);
            ensure!(
                places.iter().filter(is_same).count() == 1,
                Failure::new(format!("cannot mount at {} twice", escape(&text(&target))))
                    .hint("mount it elsewhere: the home, the project and its repository are mounts, too")
            );
            if let Content::Volume(name) = &place.content
                && target != Path::new(home)
                && !place.readonly
            {
                points.volumes.push((name.clone(), text(&target)));
            }
            // The mount in which the place lies; the deepest one is mounted last.
            let above = places.iter().filter_map(|above| {
                let way = plain(&above.target).ok()?;
                let rest = target.strip_prefix(&way).ok().filter(|rest| *rest != Path::new(""))?;
                Some((way, rest.to_owned(), above))
            });
            let deepest = above.max_by_key(|(way, ..)| way.components().count());
            let Some((way, rest, above)) = deepest else { continue };
            let is_file = is_file(place);
            match &above.content {
                Content::Path(_) if self::is_file(above) => bail!(
                    Failure::new(format!(
                        "cannot mount at {}: {} is a file",
                        escape(&place.target),
                        escape(&above.target)
                    ))
                    .hint("mount it elsewhere")
                ),
                Content::Path(source) => {
                    let base = Path::new("/").join(source);
                    points.here.push(MountPoint { base, rest, is_file, readonly: above.readonly });
                }
                Content::Volume(_) if way == Path::new(home) => points.in_home.push((text(&rest), is_file)),
                Content::Volume(name) => {
                    points.outer_volumes.extend(Some(name.clone()).filter(|name| !name.is_empty()));
                    points.in_volumes.push((text(&way), text(&rest)));
                }
                Content::Tmpfs | Content::Other => {}
            }
        }
        Ok(points)
    }

    /// Returns whether any lie in what other cages may have, too.
    pub fn may_be_shared(&self) -> bool {
        !self.here.is_empty() || !self.outer_volumes.is_empty()
    }

    /// Returns whether code in a cage can change the way to one of them.
    pub fn are_in_reach_of(&self, cage: &Cage) -> bool {
        self.here.iter().any(|point| cage.can_write(&point.base))
            || self.outer_volumes.iter().any(|name| cage.mount_point_of(name).is_some())
    }

    /// Returns the arguments for the script that prepares the home.
    pub fn words_for_home(&self) -> Vec<String> {
        let word = |(rest, is_file): &(String, bool)| format!("{}:{rest}", if *is_file { "f" } else { "d" });
        self.in_home.iter().map(word).collect()
    }
}

/// Returns whether a file is mounted. A missing source counts as a directory, which docker creates.
fn is_file(place: &Place) -> bool {
    let Content::Path(source) = &place.content else { return false };
    fs::metadata(Path::new("/").join(source)).is_ok_and(|metadata| !metadata.is_dir())
}

/// Returns an absolute path without empty parts and `.`.
fn plain(path: &str) -> Result<PathBuf> {
    let parts = Path::new(path).components();
    if parts.clone().any(|part| part == Component::ParentDir) {
        bail!(
            Failure::new(format!("cannot mount at {}: the path has `..`", escape(path)))
                .hint("write the path without it")
        );
    }
    Ok(parts.collect())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(words: &[(&str, Content)]) -> Result<MountPoints> {
        let place = |(target, content): &(&str, Content)| Place {
            target: (*target).to_owned(),
            content: content.clone(),
            readonly: false,
        };
        MountPoints::of("/home/me", &words.iter().map(place).collect::<Vec<_>>())
    }

    #[test]
    fn the_deepest_mount_above_a_place_has_its_mount_point() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let path = |path: &str| Content::Path(path.to_owned());
        let volume = |name: &str| Content::Volume(name.to_owned());
        let found = points(&[
            ("/home/me", volume("home")),
            ("/p/app", path("/p/app")),
            ("/home/me/.config/x", path("/x")),
            ("/home/me/.netrc", path(file.to_str().unwrap())),
            ("/p/app//node_modules/./", volume("")),
            ("/p/app/node_modules/cache", Content::Other),
            ("/p/app/data", path("/srv/data")),
            ("/p/app/data/deep/er", volume("named")),
            ("/p/app/data/deep/er/x", Content::Other),
            ("/p/application", volume("other")),
        ])
        .unwrap();
        let here = |base: &str, rest: &str| MountPoint {
            base: base.into(),
            rest: rest.into(),
            is_file: false,
            readonly: false,
        };
        let expected = [here("/p/app", "node_modules"), here("/p/app", "data"), here("/srv/data", "deep/er")];
        assert_eq!(found.here, expected);
        let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(found.in_home, [(".config/x".to_owned(), false), (".netrc".to_owned(), true)]);
        let volumes =
            [("", "/p/app/node_modules"), ("named", "/p/app/data/deep/er"), ("other", "/p/application")];
        assert_eq!(found.volumes, pairs(&volumes));
        assert_eq!(
            found.in_volumes,
            pairs(&[("/p/app/node_modules", "cache"), ("/p/app/data/deep/er", "x")])
        );
        assert_eq!(found.outer_volumes, ["named"]);
        let below_a_file = [("/f", path(file.to_str().unwrap())), ("/f/x", volume(""))];
        let twice = [("/home/me", volume("home")), ("/home/./me/", path("/x"))];
        for refused in [&below_a_file[..], &twice, &[("/p/../etc", volume(""))]] {
            assert!(points(refused).is_err(), "{refused:?}");
        }
    }
}
