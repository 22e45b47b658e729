//! The facts that the checks are made from.

use std::path::Path;
use std::thread;

use anyhow::Result;

use super::engines::{self, Client, Server};
use super::probe::{Findings, Probe};
use super::report::Check;
use super::rootless;
use crate::cage::create_options::CreateOptions;
use crate::cage::defaults::settings;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::Cage;
use crate::cage::pull::PullFlag;
use crate::cage::user::ImageUser;
use crate::cage::{engine_args, home, nesting, ssh_agent, user};
use crate::engine::dialect::Dialect;
use crate::engine::image::Image;
use crate::engine::query::Volume;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::session::Session;

use crate::lifecycle::unused::Unused;

/// Everything that the checks look at.
#[derive(Debug)]
pub struct Facts {
    /// This machine, its user and their settings.
    pub host: Host,
    /// The settings that can't be used.
    pub invalid_settings: Vec<anyhow::Error>,
    /// The setting that chose the engine, if any: `--runtime` or `CAGE_RUNTIME`.
    pub chosen_by: Option<&'static str>,
    /// The installed clients, those that cage tries first.
    pub clients: Vec<Client>,
    /// Why there is no client to try.
    pub no_client: Option<anyhow::Error>,
    /// The index of the client that cage uses.
    pub used: Option<usize>,
    /// What a rootless podman lacks, unless cage uses another engine.
    pub rootless_problems: Vec<Check>,
    /// The project, or why the directory can't be one.
    pub project: Result<Project>,
    /// Why the directory should not be a project.
    pub project_warning: Option<anyhow::Error>,
    /// The number of variables in env files.
    pub env_files: Option<Result<usize>>,
    /// The directory with files for new homes, if there are any.
    pub seed: Result<Option<String>>,
    /// The number of keys of the SSH agent on this machine, if there is one.
    pub agent: Option<Result<u32, String>>,
    /// What cage has on the engine, if that answers.
    pub resources: Option<Result<Resources>>,
}

/// What cage has on an engine that answers.
#[derive(Debug)]
pub struct Resources {
    /// All cages.
    pub cages: Vec<Cage>,
    /// The image for new cages.
    pub image: Option<Image>,
    /// The image's user, if the image could be asked.
    pub image_user: Option<Result<ImageUser>>,
    /// The home volume that cages share.
    pub home: Option<Volume>,
    /// What `cage prune` would remove.
    pub unused: Unused,
    /// What was seen from inside.
    pub findings: Findings,
    /// The user that cages act for.
    pub person: Ids,
}

impl Facts {
    /// Gathers the facts. `invalid_settings` are those that [`Host::gather`] left out.
    pub fn gather(session: &Session, mut invalid_settings: Vec<anyhow::Error>) -> Self {
        let host = &session.host;
        invalid_settings.extend(invalid_options(host));
        let project = session.project();
        let choice = session.global.runtime.as_deref().map(|name| ("--runtime", name));
        let choice = choice.or_else(|| Some(("CAGE_RUNTIME", host.variable("CAGE_RUNTIME")?)));
        let here = project.as_ref().ok();
        // The system's programs are in directories that are never mounted into a cage.
        let mounted = here.filter(|project| project.check(host, true).is_ok()).map(Project::dir);
        let name = choice.map(|(_, name)| name);
        let clients = ask_clients(session, name, mounted.as_deref());
        let used = engines::used(&clients);
        let resources = used.and_then(|index| Resources::gather(session, &clients[index], here).transpose());
        let socket = host.path_variable("SSH_AUTH_SOCK").filter(|path| !path.as_os_str().is_empty());
        Self {
            host: host.clone(),
            invalid_settings,
            chosen_by: choice.map(|(setting, _)| setting),
            used,
            no_client: Runtime::candidates(host, name, mounted.as_deref()).err(),
            rootless_problems: rootless_problems(host, &clients, used),
            project_warning: here.and_then(|project| project_warning(host, project, resources.as_ref())),
            env_files: here.map(|project| EnvFiles::read(host, project).map(|variables| variables.count())),
            seed: home::seed_dir(host),
            agent: socket.map(|path| ssh_agent::keys(path).map_err(|error| error.to_string())),
            clients,
            project,
            resources,
        }
    }

    /// Returns the client that cage uses and its engine, if that answers.
    pub fn server(&self) -> Option<(&Client, &Server)> {
        let client = self.clients.get(self.used?)?;
        Some((client, client.server.as_ref().ok()?))
    }

    /// Returns the `CAGE_…` variables that are set: settings, and names that are none.
    pub fn variables(&self) -> (Vec<&str>, Vec<&str>) {
        self.host.cage_variables().into_iter().partition(|name| settings().any(|setting| setting == *name))
    }
}

/// Returns errors in variables that are read only when a cage is created.
fn invalid_options(host: &Host) -> Vec<anyhow::Error> {
    let mut errors = CreateOptions::wrong_defaults(host);
    errors.extend(PullFlag::default().policy(host).err());
    errors.extend(engine_args::check_engine_args(&host.create_args, &host.label).err());
    errors
}

/// Asks all clients at once, so that one that hangs doesn't hold up the other.
fn ask_clients(session: &Session, choice: Option<&str>, project: Option<&Path>) -> Vec<Client> {
    let (host, runner) = (&session.host, session.runner);
    thread::scope(|scope| {
        let threads: Vec<_> = engines::installed(host, choice, project)
            .into_iter()
            .map(|(name, path, tried)| scope.spawn(move || Client::ask(host, runner, name, path, tried)))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn rootless_problems(host: &Host, clients: &[Client], used: Option<usize>) -> Vec<Check> {
    let runs_as_user = |client: &&Client| client.dialect().is_some_and(Dialect::runs_as_user);
    let answering = used.map(|index| &clients[index]).filter(|client| client.server.is_ok());
    let podman = answering.or_else(|| clients.iter().find(runs_as_user)).filter(runs_as_user);
    podman.map(|podman| rootless::problems(host, podman.server.is_ok())).unwrap_or_default()
}

fn project_warning(
    host: &Host,
    project: &Project,
    resources: Option<&Result<Resources>>,
) -> Option<anyhow::Error> {
    let cages = resources.and_then(|resources| resources.as_ref().ok()).map(|resources| &resources.cages);
    let nested = || nesting::check_nested(project, &CreateOptions::default(), cages?).err();
    project.check(host, false).err().or_else(nested)
}

impl Resources {
    /// Asks the engine of `client`; `None` if that doesn't answer.
    fn gather(session: &Session, client: &Client, project: Option<&Project>) -> Result<Option<Self>> {
        let (Some(runtime), Ok(server)) = (&client.runtime, &client.server) else { return Ok(None) };
        let engine = &server.info.engine;
        let (host, runner) = (&session.host, session.runner);
        let cages = session.cages(runtime)?;
        let image = runtime.images(runner, &[&host.image])?.into_iter().next();
        let home = runtime.volume(runner, &host.home_volume)?;
        let person = project.and_then(|project| user::person(host, project).ok()).unwrap_or(host.ids);
        let volume = home.as_ref().map(|_| host.home_volume.as_str());
        let probe = Probe { host, runner, runtime, engine, home: volume, person };
        let cage = project.and_then(|project| cages.iter().find(|cage| cage.name == project.name));
        let probed = image.as_ref().filter(|_| !session.global.dry_run && !client.is_remote());
        // A virtual machine may not have the project's directory.
        let directory = project.filter(|_| engine.machine.is_some()).map(|project| project.path.as_str());
        let ask_user =
            || Some(ImageUser::probe(runtime, runner, &probed?.id, directory).map(|(user, _)| user));
        let (image_user, findings, unused) = thread::scope(|scope| {
            let image_user = scope.spawn(ask_user);
            let findings = scope.spawn(|| probe.run(cage, probed));
            let unused = Unused::find(host, runtime, runner, &cages).unwrap_or_default();
            let untried = |_| Findings::untried("the probe failed");
            (image_user.join().unwrap_or_default(), findings.join().unwrap_or_else(untried), unused)
        });
        Ok(Some(Self { cages, image, image_user, home, unused, findings, person }))
    }
}
