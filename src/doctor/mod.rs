//! What `cage doctor` tells: facts are gathered, as plain values, and checks made of them.
//!
//! It is for when things don't work: each fact may be missing, and nothing waits for an engine for long. Nothing is made
//! that stays.

mod agent;
mod checks;
mod engines;
mod kernel;
mod stock;
mod store;
mod trial;
mod wall;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use self::checks::checks;
pub use self::engines::{Candidate, Server};
use self::kernel::Kernel;
pub use self::store::{Disk, Store};
use self::trial::Setting;
pub use self::trial::{AgentInside, Trial};
use crate::cage::env_file::EnvFiles;
use crate::cage::options::CreateOptions;
use crate::cage::pull::PullFlag;
use crate::cage::user::ImageUser;
use crate::cage::{home, isolation, nesting, ssh_agent, user};
use crate::engine::container::USER_LABEL;
use crate::engine::error;
use crate::engine::runner::Runner;
use crate::host::ids::Ids;
use crate::host::machine::{Host, SETTINGS};
use crate::host::project::Project;
use crate::lifecycle::create;
use crate::lifecycle::session::Session;
use crate::lifecycle::unused::Unused;

/// How long an engine may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long everything else may take together.
const MORE_PATIENCE: Duration = Duration::from_secs(8);

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// cage works, but the person may want to change it.
    Warning,
    /// cage doesn't work, or its wall is known to have a hole.
    Problem,
}

/// One thing that was looked at. Nothing in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about; scripts know it by this.
    pub name: &'static str,
    /// How good it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, message: impl Into<String>) -> Self {
        Self { name, level, message: message.into(), fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    fn told(name: &'static str, level: Level, told: &Told) -> Self {
        Self { name, level, message: told.message.clone(), fix: told.fix.clone() }
    }
}

/// What an error said, on one line, and what can be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What it said.
    pub message: String,
    /// What can be done.
    pub fix: Option<String>,
}

impl Told {
    fn new(message: &str) -> Self {
        Self { message: message.to_owned(), fix: None }
    }

    fn fix(mut self, fix: &str) -> Self {
        self.fix = Some(fix.to_owned());
        self
    }

    fn of(error: &anyhow::Error) -> Self {
        let text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        // An engine's failure that cage has no words for begins with the command, and ends with the engine's own.
        let message = match lines.next_back().filter(|_| first.starts_with('`')) {
            Some(last) => format!("{first}: {last}"),
            None => first.to_owned(),
        };
        Self { message, fix: error::hint(error) }
    }
}

/// All that is known.
#[derive(Debug)]
pub struct Facts {
    /// This machine, its person and their settings.
    pub host: Host,
    /// Settings with values that can't be.
    pub wrong: Vec<Told>,
    /// What chose the engine, if anything did: `--runtime` or `CAGE_RUNTIME`.
    pub choice: Option<&'static str>,
    /// The clients that are installed.
    pub candidates: Vec<Candidate>,
    /// Why cage finds none to try.
    pub none_found: Option<Told>,
    /// Which of them cage uses.
    pub chosen: Option<usize>,
    /// What the kernel lets people do.
    pub kernel: Option<Kernel>,
    /// The project, or why the directory can't be one.
    pub project: Result<Project, Told>,
    /// Why it should not be one.
    pub not_here: Option<Told>,
    /// How many variables the env files have, or what is wrong with one; nothing without a project.
    pub env: Option<Result<usize, Told>>,
    /// The seed directory, or why it can't be used.
    pub seed: Result<Option<String>, Told>,
    /// The SSH agent here: its keys, or why it doesn't answer; nothing if there is none.
    pub agent: Option<Result<u32, String>>,
    /// What cage has on the engine.
    pub inside: Option<Inside>,
}

/// What is known from the engine that answers.
#[derive(Debug)]
pub struct Inside {
    /// Cages, home and image, or why they can't be told.
    pub store: Result<Store, Told>,
    /// The image's user, or why it can't be told; nothing without the image.
    pub user: Option<Result<ImageUser, Told>>,
    /// A look from inside.
    pub trial: Trial,
    /// How much room it all takes.
    pub disk: Disk,
    /// What `cage prune` removes.
    pub unused: Unused,
    /// For whom cages act.
    pub person: Ids,
    /// The project is where another cage can write.
    pub nested: Option<Told>,
}

impl Facts {
    /// Looks at everything. `wrong`: what was wrong with settings.
    pub fn gather(session: &Session, wrong: &[anyhow::Error]) -> Self {
        let host = &session.host;
        let told = |error: anyhow::Error| Told::of(&error);
        let project = session.project();
        let choice = session.global.runtime.as_deref().map(|name| ("--runtime", name));
        let choice = choice.or_else(|| Some(("CAGE_RUNTIME", host.variable("CAGE_RUNTIME")?)));
        // A system directory is never in a cage, and has the programs.
        let may_be_in_cage = project.as_ref().ok().filter(|project| project.check(host, true).is_ok());
        let dir = may_be_in_cage.map(Project::dir);
        let (installed, none_found) = engines::installed(host, choice.map(|(_, name)| name), dir.as_deref());
        let runner = Runner { until: Some(Instant::now() + PATIENCE), ..session.runner };
        // Each in its own time: one that hangs must not keep the other from answering.
        let candidates: Vec<Candidate> = thread::scope(|scope| {
            let asked: Vec<_> = installed
                .into_iter()
                .map(|(name, path, tried)| {
                    scope.spawn(move || Candidate::look(host, runner, &name, path, tried))
                })
                .collect();
            asked.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        let chosen = engines::chosen(&candidates);
        let socket = host.path_variable("SSH_AUTH_SOCK").filter(|path| !path.as_os_str().is_empty());
        let inside =
            chosen.and_then(|index| Inside::gather(session, &candidates[index], project.as_ref().ok()));
        Self {
            wrong: wrong.iter().chain(&wrong_options(host)).map(Told::of).collect(),
            choice: choice.map(|(by, _)| by),
            candidates,
            none_found: none_found.map(told),
            chosen,
            kernel: Kernel::read(host),
            not_here: project.as_ref().ok().and_then(|project| project.check(host, false).err()).map(told),
            env: project
                .as_ref()
                .ok()
                .map(|project| EnvFiles::read(host, project).map(|files| files.count()).map_err(told)),
            project: project.map_err(told),
            seed: home::seed_dir(host).map_err(told),
            agent: socket.map(|path| ssh_agent::keys(path).map_err(|error| error.to_string())),
            inside,
            host: host.clone(),
        }
    }

    /// The engine that cage uses, if it answers.
    pub fn server(&self) -> Option<(&Candidate, &Server)> {
        let candidate = self.candidates.get(self.chosen?)?;
        Some((candidate, candidate.server.as_ref().ok()?))
    }

    /// The `CAGE_…` variables that are set, and those that are none of cage's, each with the one that may be meant.
    pub fn variables(&self) -> (Vec<&str>, BTreeMap<&str, Option<&'static str>>) {
        let (set, unknown): (Vec<&str>, Vec<&str>) =
            self.host.cage_variables().into_iter().partition(|name| SETTINGS.contains(name));
        (set, unknown.into_iter().map(|name| (name, meant(name))).collect())
    }
}

/// The setting whose name is nearest, if it is near.
fn meant(name: &str) -> Option<&'static str> {
    let distance = |setting: &&&str| strsim::damerau_levenshtein(name, setting);
    let nearest = SETTINGS.iter().min_by_key(distance)?;
    (distance(&nearest) <= 2).then_some(nearest)
}

/// What is wrong with variables that are looked at only when a cage is made.
fn wrong_options(host: &Host) -> Vec<anyhow::Error> {
    let mut wrong = CreateOptions::wrong_defaults(host);
    wrong.extend(PullFlag::default().policy(host).err());
    wrong.extend(isolation::check_engine_args(&host.create_args, &host.label).err());
    wrong
}

impl Inside {
    fn gather(session: &Session, candidate: &Candidate, project: Option<&Project>) -> Option<Self> {
        let host = &session.host;
        let (runtime, server) = (candidate.runtime.as_ref()?, candidate.server.as_ref().ok()?);
        let runner = Runner { until: Some(Instant::now() + MORE_PATIENCE), ..session.runner };
        let store = Store::ask(host, runtime, runner);
        let none = Store::default();
        let known = store.as_ref().unwrap_or(&none);
        let is_remote = create::is_remote(&candidate.endpoint);
        let image = known.image.as_ref().filter(|_| !session.global.dry_run && !is_remote);
        let person = project.and_then(|project| user::person(host, project).ok()).unwrap_or(host.ids);
        let setting = Setting {
            host,
            runtime,
            engine: &server.engine,
            runner,
            cage: project.and_then(|project| known.cage_of(project)),
            image,
            home: known.home.as_ref().map(|_| host.home_volume.as_str()),
            person,
        };
        let (user, trial, unused) = thread::scope(|scope| {
            let user = scope.spawn(|| image_user(&setting, known, project));
            let trial = scope.spawn(|| setting.look());
            let unused = store::unused(host, runtime, runner, known);
            (user.join().unwrap_or_default(), trial.join().unwrap_or_else(|_| Trial::failed()), unused)
        });
        // Not before: podman can't count what goes away meanwhile.
        let disk = Disk::ask(host, runtime, runner, known, server.root.as_deref());
        let nested = project.and_then(|project| {
            let options = CreateOptions::default();
            nesting::check_nested(project, &options, &known.cages, &host.label).err()
        });
        Some(Self {
            user,
            trial,
            disk,
            unused,
            person,
            nested: nested.map(|error| Told::of(&error)),
            store: store.map_err(|error| Told::of(&error)),
        })
    }
}

/// The image's user, whom a cage may know; nothing without the image. In a virtual machine it is also asked whether the
/// project can be seen there.
fn image_user(
    setting: &Setting,
    store: &Store,
    project: Option<&Project>,
) -> Option<Result<ImageUser, Told>> {
    let image = setting.image?;
    let is_machine = setting.engine.machine.is_some();
    let same = store.cages.iter().find(|cage| cage.image_id == image.id && !is_machine);
    if let Some(user) = same.and_then(|cage| ImageUser::from_label(cage.label(USER_LABEL)?)) {
        return Some(Ok(user));
    }
    let directory = project.filter(|_| is_machine).map(|project| project.path.as_str());
    let asked = ImageUser::probe(setting.runtime, setting.runner, &image.id, directory);
    Some(asked.map(|(user, _)| user).map_err(|error| Told::of(&error)))
}
