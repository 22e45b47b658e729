//! What the engine has of cage's: cages, the home, the image, and how much room they take.

use std::path::Path;

use anyhow::Result;

use crate::engine::container::{Container, Image};
use crate::engine::runner::Runner;
use crate::engine::runtime::{Runtime, Volume};
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::unused::Unused;

/// What there is.
#[derive(Debug, Default)]
pub struct Store {
    /// All cages.
    pub cages: Vec<Container>,
    /// The image for new cages.
    pub image: Option<Image>,
    /// The shared home.
    pub home: Option<Volume>,
}

/// How much room things take, in bytes, as far as the engine told in time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Disk {
    /// What cages have written besides project and home.
    pub cages: Option<u64>,
    /// The shared home.
    pub home: Option<u64>,
    /// The homes of single projects.
    pub own_homes: Option<u64>,
    /// What is left where the engine keeps all of it.
    pub free: Option<u64>,
}

impl Store {
    /// Asks for it.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn ask(host: &Host, runtime: &Runtime, runner: Runner) -> Result<Self> {
        let found = runtime.labelled(runner, &host.label)?;
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let mut cages = runtime.containers(runner, &ids)?;
        cages.retain(|cage| cage.project(&host.label).is_some());
        let image = runtime.images(runner, &[&host.image])?.into_iter().next();
        Ok(Self { cages, image, home: runtime.volume(runner, &host.home_volume)? })
    }

    /// The cage of a project.
    pub fn cage_of(&self, project: &Project) -> Option<&Container> {
        self.cages.iter().find(|cage| cage.name == project.name)
    }
}

impl Disk {
    /// Asks for it; what isn't answered is not known.
    pub fn ask(host: &Host, runtime: &Runtime, runner: Runner, store: &Store, root: Option<&Path>) -> Self {
        let ids: Vec<&str> = store.cages.iter().map(|cage| cage.id.as_str()).collect();
        let cages = if ids.is_empty() { Some(0) } else { runtime.sizes(runner, &ids).ok() };
        let volumes = runner.run(&runtime.command(["system", "df", "--verbose"])).ok();
        let volumes = volumes.map(|said| volume_sizes(&said));
        let sum = |wanted: &dyn Fn(&str) -> bool| {
            let sizes = volumes.as_ref()?.iter().filter(|(name, _)| wanted(name)).map(|(_, size)| *size);
            Some(sizes.fold(0, u64::saturating_add))
        };
        let own = format!("{}-", host.home_volume);
        Self {
            cages,
            home: sum(&|name| name == host.home_volume),
            own_homes: sum(&|name| {
                name.starts_with(&own) && store.cages.iter().any(|cage| cage.place_of(name).is_some())
            }),
            free: root.and_then(free),
        }
    }
}

/// What may go, as far as the engine tells in time.
pub fn unused(host: &Host, runtime: &Runtime, runner: Runner, store: &Store) -> Unused {
    Unused::find(host, runtime, runner, &store.cages).unwrap_or_else(|_| {
        let mut unused = Unused::default();
        unused.find_cages(host, &store.cages);
        unused
    })
}

fn free(root: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(root).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The volumes in what both engines print for `system df --verbose`: rows of a name, a number of containers, and a size.
fn volume_sizes(said: &str) -> Vec<(String, u64)> {
    let rows = said.lines().skip_while(|line| !line.starts_with("VOLUME NAME")).skip(1);
    let mut sizes = Vec::new();
    for row in rows {
        let mut words = row.split_whitespace();
        let (Some(name), Some(_), Some(size), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            break;
        };
        let Some(size) = bytes(size) else { break };
        sizes.push((name.to_owned(), size));
    }
    sizes
}

/// A size as the engines write it, `4.681kB`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are rounded already")]
fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((number * factor).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_volumes_are_read_from_both_engines() {
        let docker = "Images space usage:\n\nREPOSITORY   TAG\nx  y  1MB\n\nLocal Volumes space usage:\n\n\
                      VOLUME NAME   LINKS     SIZE\ncage-home     3         1.234GB\ncage-home-a   0         0B\n\n\
                      Build cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE\na b 7GB\n";
        let podman =
            "Local Volumes space usage:\n\nVOLUME NAME  LINKS       SIZE\nme-home      1           4.681kB\n";
        let sizes =
            |said| volume_sizes(said).into_iter().map(|(name, size)| format!("{name} {size}")).collect();
        let told: [Vec<String>; 2] = [sizes(docker), sizes(podman)];
        assert_eq!(
            told,
            [vec!["cage-home 1234000000".to_owned(), "cage-home-a 0".into()], vec!["me-home 4681".into()]]
        );
        assert!(volume_sizes("").is_empty());
        for rubbish in ["", "B", "1", "1XB", "nanGB", "-"] {
            assert!(bytes(rubbish).is_none_or(|size| size == 0), "{rubbish}");
        }
    }
}
