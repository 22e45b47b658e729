//! A cage that exists: a container that cage made, and the labels that keep what it was made with.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::create_options::CreateOptions;
use super::ssh_agent::SOCKET;
use crate::audit::Record;
use crate::base::error::Failure;
use crate::engine::container::Container;
use crate::engine::info::{Engine, Product};
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::host::project::{Project, cage_name};

/// The label for the options of the cage.
pub const OPTIONS_LABEL: &str = "cage.options";
/// The label for the names of the variables that some of the options come from.
pub const DEFAULTS_LABEL: &str = "cage.defaults";
/// The label for the image's name as the user wrote it; podman changes it.
pub const IMAGE_LABEL: &str = "cage.image";
/// The label for the inode number of the project directory.
pub const INODE_LABEL: &str = "cage.inode";
/// The label for the image's user.
pub const USER_LABEL: &str = "cage.user";
/// The label for the IDs of the user inside.
pub const OWNER_LABEL: &str = "cage.owner";
/// The label for a digest of the env files.
pub const ENV_LABEL: &str = "cage.env";
/// The label for digests of the findings in the project before its first cage.
pub const SEEN_LABEL: &str = "cage.seen";
/// The label for the variables of the terminal whose values come from the user or the image, and from no terminal.
pub const TERMINAL_LABEL: &str = "cage.terminal";
/// The label for the properties of the engine when it made the cage.
pub const ENGINE_LABEL: &str = "cage.engine";
/// The label for the time of the scan for these findings, in Unix seconds.
pub const SINCE_LABEL: &str = "cage.since";
/// The label for the IDs that the engine maps to the user's, if it maps any. Every cage gets every label, possibly empty: otherwise
/// a label of the same name in the image would apply.
pub const KEEP_ID_LABEL: &str = "cage.keep-id";
/// The suffix of the name of a container that is to replace a cage: it is renamed once the old one is gone.
pub const SUCCESSOR: &str = ".new";

/// The words about a cage that the bash script of the same name made.
pub const MADE_BY_SCRIPT: &str =
    "made by the script: no limits, all capabilities; `cage restart` applies cage's own";

/// A container whose name matches the project path in its label. Labels of an image, or a name alone, don't make a container a
/// cage.
#[derive(Debug, Clone)]
pub struct Cage {
    container: Container,
    project: String,
}

impl Deref for Cage {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.container
    }
}

impl Cage {
    /// Returns the container as a cage, if it is one. `label` is the name of the label with the project's path.
    pub fn recognise(container: Container, label: &str) -> Option<Self> {
        let project = container.label(label)?.to_owned();
        let name = container.name.strip_suffix(SUCCESSOR).unwrap_or(&container.name);
        (cage_name(&project) == name).then_some(Self { container, project })
    }

    /// Returns the project's path.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Returns the name that the container has, or will have when it has replaced the old one.
    pub fn final_name(&self) -> &str {
        self.name.strip_suffix(SUCCESSOR).unwrap_or(&self.name)
    }

    /// Returns the image's name as the user wrote it.
    pub fn image_name(&self) -> &str {
        self.label(IMAGE_LABEL).filter(|name| !name.is_empty()).unwrap_or(&self.image)
    }

    /// Returns the options that the cage was created with; none if there is no label of options.
    ///
    /// # Errors
    /// When the labels can't be read: with fewer options than the user chose, the cage would be more open.
    pub fn options(&self) -> Result<CreateOptions> {
        let kept = self.label(OPTIONS_LABEL).filter(|_| !self.is_of_script()).unwrap_or_default();
        let defaults = self.label(DEFAULTS_LABEL).filter(|_| !kept.is_empty()).unwrap_or_default();
        let options = CreateOptions::from_labels(kept, defaults, &self.environment);
        Ok(options.and_then(|options| options.made_of(self.image_name())).ok_or_else(|| {
            Failure::new(format!("cannot read the options of {}", self.name))
                .hint("a newer cage made it: update cage, or forget the options with `cage restart --fresh`")
        })?)
    }

    /// Returns the IDs that a label keeps; `None` without the label, or if it is empty.
    ///
    /// # Errors
    /// When the label can't be read.
    pub fn ids(&self, label: &str) -> Result<Option<Ids>> {
        let Some(text) = self.label(label).filter(|text| !text.is_empty()) else { return Ok(None) };
        Ok(Some(text.parse().map_err(|()| {
            Failure::new(format!("cannot read the label {label} of {}", self.name))
                .hint("a newer cage made it: update cage, or remove it with `cage rm`")
        })?))
    }

    /// Returns the properties of the engine when it made the cage, if it is one that recorded them.
    pub fn engine(&self) -> Option<Engine> {
        serde_json::from_str(self.label(ENGINE_LABEL)?).ok()
    }

    /// Returns the files and directories of the host that code in the cage can write: those in the options, if the options can be
    /// read, and those that the engine reports, which in a virtual machine may have other paths.
    pub fn writable_sources(&self) -> Vec<String> {
        let options = self.options().unwrap_or_default();
        let asked =
            options.mounts().filter(|mount| !mount.is_readonly()).filter_map(|mount| mount.source_path());
        let told = self.bind_mounts().filter(|mount| mount.writable).map(|mount| mount.source.as_str());
        [self.project()].into_iter().chain(asked).chain(told).map(str::to_owned).collect()
    }

    /// Returns whether code in the cage can write a place, or in it.
    pub fn can_write(&self, place: &Path) -> bool {
        let is_in = |source: &String| place.starts_with(source) || Path::new(source).starts_with(place);
        self.writable_sources().iter().any(is_in)
    }

    /// Returns whether a link to the SSH agent is mounted. The path in the cage identifies the link: Docker Desktop reports its own
    /// source paths for mounts from WSL.
    pub fn mounts_link(&self) -> bool {
        self.mounts.iter().any(|mount| mount.destination == SOCKET && mount.source != SOCKET)
    }

    /// Returns whether the SSH agent's socket of a virtual machine is mounted.
    pub fn mounts_machines_agent(&self) -> bool {
        self.mounts.iter().any(|mount| mount.source == SOCKET)
    }

    /// Returns whether the script made the cage: it has no label of options, which every cage of this program has, or the project
    /// is mounted as only docker's `-v` does it. The script's image can have such a label, and podman writes options behind every
    /// mount.
    pub fn is_of_script(&self) -> bool {
        let project = (self.project(), self.project(), "");
        self.label(OPTIONS_LABEL).is_none() || self.host_config.binds().any(|bind| bind == project)
    }

    /// Iterates over the files and directories of this machine that `-v` mounted, for an engine in this virtual machine, if any. If
    /// one is gone when the container starts, docker makes a directory in its place.
    pub fn sources_of_v(&self, host: &Host, machine: Option<Product>) -> impl Iterator<Item = PathBuf> {
        // cage sets its own link to the agent before each start.
        let is_own_link = |target: &str| target == SOCKET && self.mounts_link();
        // Other paths are those of the virtual machine.
        let is_here = move |path: &PathBuf| {
            path.is_absolute()
                && (machine.is_none() || host.home.as_ref().is_some_and(|home| path.starts_with(home)))
        };
        let binds = self.host_config.binds().filter(move |(_, target, _)| !is_own_link(target));
        binds.map(|(source, ..)| PathBuf::from(source)).filter(is_here)
    }

    /// Returns the record of the findings in the project before its first cage.
    pub fn record(&self) -> Option<Record> {
        // Without a time that can be read, anything may be new.
        let since = self.label(SINCE_LABEL)?.parse().unwrap_or(0);
        Some(Record { label: self.label(SEEN_LABEL)?.to_owned(), since })
    }

    /// Returns whether the cage was made when another directory was at the project's path.
    pub fn has_another_directory(&self, project: &Project) -> bool {
        let inode = self.label(INODE_LABEL).filter(|inode| !inode.is_empty());
        inode.is_some_and(|inode| *inode != project.inode.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::container::State;

    impl Cage {
        /// A cage for `project` in this state.
        pub fn sample(project: &Project, state: State) -> Self {
            Self {
                container: Container::sample(&project.name, &project.path, state),
                project: project.path.clone(),
            }
        }

        /// The container, to be changed.
        pub fn container(&mut self) -> &mut Container {
            &mut self.container
        }
    }

    #[test]
    fn an_image_of_the_script_has_no_say_about_options() {
        let name = cage_name("/p/app");
        let made = |bind: &str| {
            let mut container = Container::sample(&name, "/p/app", State::Running);
            container.labels.insert(OPTIONS_LABEL.to_owned(), "-v /home/me:/x:ro".to_owned());
            container.host_config.binds = Some(vec![bind.to_owned()]);
            let cage = Cage::recognise(container, "cage.project").unwrap();
            (cage.is_of_script(), cage.options().unwrap().mounts().count())
        };
        assert_eq!(made("/p/app:/p/app"), (true, 0));
        assert_eq!(made("/p/app:/p/app:rw,rprivate,rbind"), (false, 1), "podman");
        assert_eq!(made("/p/data:/p/data"), (false, 1), "an argument for the engine");
    }

    #[test]
    fn a_cage_is_one_by_label_and_by_name() {
        let name = cage_name("/p/app");
        let project = |name: &str, label: &str| {
            let container = Container::sample(name, "/p/app", State::Running);
            Cage::recognise(container, label)
                .map(|cage| (cage.project().to_owned(), cage.final_name().to_owned()))
        };
        let cage = Some(("/p/app".to_owned(), name.clone()));
        assert_eq!(project(&name, "cage.project"), cage);
        assert_eq!(project(&format!("{name}{SUCCESSOR}"), "cage.project"), cage);
        assert_eq!(project(&name, "other"), None);
        assert_eq!(project("database", "cage.project"), None);
    }
}
