//! The facts that the checks are made from.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::engines::{self, Client};
use super::probe::{AgentInside, Probe};
use super::report::Check;
use super::rootless;
use crate::cage::create_options::CreateOptions;
use crate::cage::defaults::settings;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::Cage;
use crate::cage::image_facts::ImageFacts;
use crate::cage::personal::Personal;
use crate::cage::pull::PullFlag;
use crate::cage::user::ImageUser;
use crate::cage::{engine_args, nesting, ssh_agent, user};
use crate::engine::dialect::Dialect;
use crate::engine::info::{Info, Product};
use crate::engine::query::Volume;
use crate::engine::runtime::Runtime;
use crate::host::machine::{Host, programs};
use crate::host::project::Project;
use crate::host::reach::Reach;
use crate::lifecycle::session::Session;

/// Everything that the checks look at.
#[derive(Debug)]
pub struct Facts {
    /// This machine, its user and their settings.
    pub host: Host,
    /// The programs in PATH that are called cage, each with whether it is a script.
    pub programs: Vec<(PathBuf, bool)>,
    /// The settings that can't be used.
    pub invalid_settings: Vec<anyhow::Error>,
    /// Why the engine was chosen, if not because it answers first.
    pub chosen_by: Option<&'static str>,
    /// The installed clients, those first that cage tries.
    pub clients: Vec<Client>,
    /// Why there is no client to try.
    pub no_client: Option<anyhow::Error>,
    /// The index of the client that cage uses.
    pub used: Option<usize>,
    /// The missing prerequisites of a rootless podman, unless cage uses another engine.
    pub rootless_problems: Vec<Check>,
    /// The path of the project, or why the directory can't or should not be one.
    pub project: Result<String>,
    /// The number of variables in env files.
    pub env_files: Option<Result<usize>>,
    /// What a cage of the project gets from the user's settings of git and SSH.
    pub personal: Option<Personal>,
    /// The number of keys of the SSH agent on this machine, if there is one.
    pub agent: Option<Result<u32, String>>,
    /// The objects of cage on the engine, if that answers.
    pub resources: Option<Result<Resources>>,
}

/// The objects of cage on an engine that answers.
#[derive(Debug)]
pub struct Resources {
    /// All cages.
    pub cages: Vec<Cage>,
    /// Whether the image for new cages is on the engine's machine.
    pub has_image: bool,
    /// The image's user, if the image could be asked.
    pub image_user: Option<Result<ImageUser>>,
    /// The home volume that cages share.
    pub home: Option<Volume>,
    /// The SSH agent as it is inside.
    pub agent: AgentInside,
}

impl Facts {
    /// Gathers the facts. `invalid_settings` are those that [`Host::gather`] left out.
    pub fn gather(session: &Session, mut invalid_settings: Vec<anyhow::Error>) -> Self {
        let host = &session.host;
        // These variables are read only when a cage is created.
        invalid_settings.extend(CreateOptions::wrong_defaults(host));
        invalid_settings.extend(PullFlag::default().policy(host).err());
        invalid_settings.extend(engine_args::check_engine_args(&host.create_args, &host.label).err());
        let project = session.project();
        let here = project.as_ref().ok();
        let choice = session.global.runtime.as_deref().map(|name| ("as --runtime says", name));
        // As `Session::ask_engine` chooses.
        let home = session.belonging(here.map(|project| project.name.as_str()));
        let home = home.unwrap_or_else(|error| {
            invalid_settings.push(error);
            None
        });
        let by_variable = host.variable("CAGE_RUNTIME").map(|name| ("as CAGE_RUNTIME says", name));
        let by_home = home.as_ref().map(|home| ("as it has your cages", home.runtime.as_str()));
        let choice =
            choice.or(by_home.filter(|(_, name)| by_variable.is_none_or(|(_, other)| other != *name)));
        let choice = choice.or(by_variable);
        let name = choice.map(|(_, name)| name);
        // The system's programs are in directories that are never mounted into a cage.
        let mounted = here.filter(|project| project.check(host, true).is_ok()).map(Project::dir);
        let clients = engines::ask_all(host, session.runner, name, mounted.as_deref());
        let used = engines::used(&clients);
        let resources = used.and_then(|index| {
            let (runtime, info) = (clients[index].runtime.as_ref()?, clients[index].info.as_ref().ok()?);
            Some(Resources::gather(session, runtime, info, here))
        });
        let cages = resources.as_ref().and_then(|resources| Some(&resources.as_ref().ok()?.cages));
        let env_files = here.map(|project| EnvFiles::read(host, project).map(|variables| variables.count()));
        let personal = here.filter(|project| project.check(host, true).is_ok()).map(|project| {
            let others = cages.into_iter().flatten().flat_map(Cage::writable_sources).map(PathBuf::from);
            // If it is not known where cages can write, nothing is read.
            let kept = host.reach().unwrap_or_else(|_| vec![PathBuf::from("/")]);
            let reach: Reach = [project.dir()].into_iter().chain(others).chain(kept).collect();
            Personal::gather(host, project, &reach)
        });
        let socket = host.path_variable("SSH_AUTH_SOCK").filter(|path| !path.as_os_str().is_empty());
        Self {
            host: host.clone(),
            programs: programs(host, "cage")
                .into_iter()
                .map(|path| {
                    let is_script = is_script(&path);
                    (path, is_script)
                })
                .collect(),
            invalid_settings,
            chosen_by: choice.map(|(why, _)| why),
            used,
            no_client: Runtime::candidates(host, name, mounted.as_deref()).err(),
            rootless_problems: rootless_problems(host, &clients, used),
            env_files,
            personal,
            agent: socket.map(|path| ssh_agent::keys(path).map_err(|error| error.to_string())),
            project: project.and_then(|project| {
                project.check(host, false)?;
                nesting::check_nested(&project, &CreateOptions::default(), cages.map_or(&[], Vec::as_slice))?;
                Ok(project.path)
            }),
            clients,
            resources,
        }
    }

    /// Returns the client that cage uses and its engine, if that answers.
    pub fn engine(&self) -> Option<(&Client, &Info)> {
        let client = self.clients.get(self.used?)?;
        Some((client, client.info.as_ref().ok()?))
    }

    /// Returns the `CAGE_…` variables that are set: settings, and names that are none.
    pub fn variables(&self) -> (Vec<&str>, Vec<&str>) {
        self.host.cage_variables().into_iter().partition(|name| settings().any(|setting| setting == *name))
    }
}

/// Returns whether a program begins like a script.
fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

fn rootless_problems(host: &Host, clients: &[Client], used: Option<usize>) -> Vec<Check> {
    let runs_as_user = |client: &&Client| client.dialect().is_some_and(Dialect::runs_as_user);
    let answering = used.map(|index| &clients[index]).filter(|client| client.info.is_ok());
    let podman = answering.or_else(|| clients.iter().find(runs_as_user)).filter(runs_as_user);
    podman.map(|podman| rootless::problems(host, podman.info.is_ok())).unwrap_or_default()
}

impl Resources {
    /// Asks an engine that answers.
    fn gather(session: &Session, runtime: &Runtime, info: &Info, project: Option<&Project>) -> Result<Self> {
        let (host, runner, engine) = (&session.host, session.runner, &info.engine);
        let cages = session.cages(runtime)?;
        let image = runtime.images(runner, &[&host.image])?.into_iter().next();
        let home = runtime.volume(runner, &host.home_volume)?;
        // Containers are run only of an image that is here.
        let probed =
            image.as_ref().filter(|_| !session.global.dry_run && engine.machine != Some(Product::Elsewhere));
        let probed = probed.map(|image| image.id.as_str());
        // A virtual machine may not have the project's directory.
        let directory = project.filter(|_| engine.machine.is_some()).map(|project| project.path.as_str());
        let image_user =
            probed.map(|id| ImageFacts::ask(runtime, runner, id, directory).map(|facts| facts.user));
        let person = project.map_or(host.ids, |project| user::person(host, project.owner));
        let cage = project.and_then(|project| cages.iter().find(|cage| cage.name == project.name));
        let agent = Probe { host, runner, runtime, engine, person }.run(cage, probed);
        Ok(Self { cages, has_image: image.is_some(), image_user, home, agent })
    }
}
