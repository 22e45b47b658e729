//! Finding the cage that a command is about, in the engine that has it.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::belonging::Belonging;
use super::choice::Fallback;
use super::lock::{LOCK, Locks, were_abandoned, were_free};
use super::plan::Plan;
use super::session::Session;
use super::steps::remove;
use crate::base::error::Failure;
use crate::base::text::quote;
use crate::base::{console, name, text};
use crate::cage::existing::{Cage, SUCCESSOR};
use crate::engine::container::{Container, State};
use crate::engine::image::Image;
use crate::engine::query::{Volume, Wanted};
use crate::engine::runtime::Runtime;
use crate::host::project::{Project, cage_name};

/// How long a container may be on its way from one state to another.
const SETTLE: Duration = Duration::from_secs(10);

/// The objects of a project on an engine.
#[derive(Debug, Clone)]
pub struct Existing {
    /// The cage of the project, if it exists.
    pub cage: Option<Cage>,
    /// The new container of an interrupted `start` or `restart`.
    pub left_over: Option<Cage>,
    /// The image that was asked for.
    pub image: Option<Image>,
    /// The volume that was asked for; none if it doesn't exist, or is still to be asked for.
    pub volume: Option<Volume>,
}

impl Existing {
    /// Returns the cage, unless the engine could not remove it completely.
    pub fn usable(&self) -> Option<&Cage> {
        self.cage.as_ref().filter(|cage| cage.state != State::Dead)
    }
}

/// The cage that a command is about.
pub enum Target {
    /// The cage of this directory.
    Project(Project),
    /// The cage with this name.
    Name(String),
}

impl Target {
    /// Returns the container's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Project(project) => &project.name,
            Self::Name(name) => name,
        }
    }

    /// Returns the `cage` if it runs or is paused. `here` is the directory that the command is about.
    ///
    /// # Errors
    /// When it doesn't run, or there is none.
    pub fn running<'a>(&self, cage: Option<&'a Cage>, here: Option<&Project>) -> Result<&'a Cage> {
        match (cage, self) {
            (Some(cage), _) if matches!(cage.state, State::Running | State::Paused) => return Ok(cage),
            (Some(_), _) => {}
            (None, Self::Project(_)) => bail!(self.missing().hint("`cage start` creates one")),
            (None, Self::Name(_)) => bail!(self.missing()),
        }
        let hint = match (self, here) {
            (Self::Project(project), Some(here)) if here.path != project.path => {
                format!("`cage start -C {}` brings it up", quote(&project.path))
            }
            _ => "`cage start` brings it up".to_owned(),
        };
        Err(Failure::new(format!("Container {} is not running", self.name())).hint(hint).into())
    }

    /// Returns the error for a cage that does not exist.
    pub fn missing(&self) -> Failure {
        match self {
            Self::Project(project) => {
                Failure::new(format!("No container for {}", text::escape(&project.path)))
            }
            Self::Name(name) => {
                Failure::new(format!("No cage named {name}")).hint("`cage list` shows all cages")
            }
        }
    }
}

/// Returns the names of the cages that the directories above a project would have, the nearest first.
pub fn names_above(project: &Project) -> Vec<String> {
    project.above().map(cage_name).collect()
}

impl Session {
    /// The cage that `name` names, or that of the current directory.
    ///
    /// # Errors
    /// When there can't be such a cage.
    pub fn target(&self, name: Option<String>) -> Result<Target> {
        let Some(name) = name else { return Ok(Target::Project(self.project()?)) };
        ensure!(
            name::is_engine_name(&name),
            Failure::new(format!("`{}` is not the name of a cage", text::escape(&name)))
                .hint("`cage list` shows names; for a directory use `-C DIR`")
        );
        Ok(Target::Name(name))
    }

    /// Finds a cage, once it has settled in a state.
    ///
    /// # Errors
    /// When the engine doesn't answer, or a container that isn't this cage has its name.
    fn find(
        &self,
        target: &Target,
        belonging: Option<Belonging>,
        fallback: Fallback,
    ) -> Result<(Runtime, Option<Cage>)> {
        let project = if let Target::Project(project) = target { Some(project) } else { None };
        let new = format!("{}{SUCCESSOR}", target.name());
        let names = [target.name(), &new];
        let asked = &names[..if project.is_some() { 2 } else { 1 }];
        let (runtime, mut found) = self.ask_engine(project, belonging.as_ref(), fallback, |runtime| {
            Self::settled(|| runtime.containers(self.runner, asked), |found| found)
        })?;
        self.check_engine(belonging, &runtime, fallback, !found.is_empty())?;
        let is_left_over =
            |container: &Container| container.name == new || self.may_be_incomplete(container, target.name());
        if let Some(project) = project.filter(|_| found.iter().any(is_left_over)) {
            self.recover(&runtime, project)?;
            found = runtime.containers(self.runner, asked)?;
        }
        // The engine takes part of an ID for a name, too.
        let container = found.into_iter().find(|container| container.name == target.name());
        Ok((runtime, container.map(|container| self.recognise(project, container)).transpose()?))
    }

    /// Finds a cage like [`Session::find`], or a cage that the script named after a path with links; the target then has that name.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn find_here(
        &self,
        name: Option<String>,
        above: bool,
        fallback: Fallback,
    ) -> Result<(Target, Runtime, Option<Cage>)> {
        let target = self.target(name)?;
        let names = if let (Target::Project(project), true) = (&target, above) {
            names_above(project)
        } else {
            Vec::new()
        };
        let names = [target.name()].into_iter().chain(names.iter().map(String::as_str));
        let (runtime, found) = self.find(&target, self.belonging(names)?, fallback)?;
        if let (Target::Project(project), None) = (&target, &found)
            && let Some((project, cage)) = by_link(self, &self.cages(&runtime)?, project, above)?
        {
            return Ok((Target::Project(project), runtime, Some(cage)));
        }
        Ok((target, runtime, found))
    }

    /// Finds a cage like [`Session::find_here`]. For a directory without one, uses the nearest parent directory that has a cage,
    /// and prints which.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn find_nearest(
        &self,
        name: Option<String>,
        fallback: Fallback,
    ) -> Result<(Target, Runtime, Option<Cage>)> {
        let (target, runtime, found) = self.find_here(name, true, fallback)?;
        if let (Target::Project(project), None) = (&target, &found)
            && let Some((above, container)) = self.above(&runtime, project)?
        {
            return Ok((Target::Project(above), runtime, Some(container)));
        }
        Ok((target, runtime, found))
    }

    /// Returns a hint for a command that needs the exact directory: how to run it for the nearest parent directory that has a cage.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn advice_above(
        &self,
        runtime: &Runtime,
        project: &Project,
        command: &str,
    ) -> Result<Option<String>> {
        let above = self.cage_above(runtime, project)?;
        Ok(above.map(|cage| {
            format!(
                "`cage {command} -C {}` is for {}, the cage of that directory",
                quote(cage.project()),
                cage.name
            )
        }))
    }

    /// Returns the cage of the nearest parent directory that has one.
    fn cage_above(&self, runtime: &Runtime, project: &Project) -> Result<Option<Cage>> {
        let names = names_above(project);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let cages = Self::settled(|| runtime.containers(self.runner, &names), |cages| cages)?;
        let cages = cages.into_iter().filter_map(|found| Cage::recognise(found, &self.host.label));
        let cages: Vec<Cage> = cages.collect();
        Ok(project.above().find_map(|path| cages.iter().find(|cage| cage.project() == path)).cloned())
    }

    /// Returns the nearest parent directory that has a cage, and the cage, and prints which it is.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn above(&self, runtime: &Runtime, project: &Project) -> Result<Option<(Project, Cage)>> {
        let Some(cage) = self.cage_above(runtime, project)? else { return Ok(None) };
        let path = cage.project();
        console::info(&format!("using {}, the cage of {path}", cage.name));
        let found = Project::locate(&self.host, Some(Path::new(path)))?;
        // Code in a cage for a directory further up may be creating a link there.
        ensure!(found.path == path, Failure::new(format!("{} is not where it was", text::escape(path))));
        Ok(Some((found, cage)))
    }

    /// Returns whether the container of a cage's name was never started, and a command is, or was killed, making it.
    fn may_be_incomplete(&self, container: &Container, name: &str) -> bool {
        container.name == name
            && container.is_unused()
            && self.host.state_file(name, LOCK).is_some_and(|lock| lock.exists())
    }

    /// Completes or removes what a killed `start` or `restart` left behind: a container that was never started, or a new one that
    /// was not renamed. If that runs, it becomes the cage.
    fn recover(&self, runtime: &Runtime, project: &Project) -> Result<()> {
        // While the command is still at it, this waits until it is done.
        let lock = self.lock([project.name.as_str()])?;
        let found = self.look(runtime, project, None)?;
        let incomplete = found.cage.clone().filter(|cage| cage.is_unused() && were_abandoned(&lock));
        let Some(left_over) = found.left_over.or(incomplete) else { return Ok(()) };
        let mut plan = Plan::default();
        if left_over.state.is_up() {
            plan.say(format!("Finishing a restart of {} that was cut short", project.name));
            if let Some(old) = &found.cage {
                plan.run(remove(runtime, &old.id));
            }
            plan.run(runtime.command(["rename", &left_over.name, &project.name]));
        } else {
            // Without force: a client that is left may be starting it.
            plan.run(runtime.command(["rm", "--volumes", &left_over.id]));
        }
        self.carry_out_locked(&plan, lock).map(drop)
    }

    /// Finds a runtime, and in the same query a project's cage and what else is `wanted`. `above` are the names of
    /// cages that are accepted as well.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn find_all(
        &self,
        project: &Project,
        wanted: Option<Wanted>,
        above: &[String],
        fallback: Fallback,
    ) -> Result<(Runtime, Existing)> {
        let names = [project.name.as_str()].into_iter().chain(above.iter().map(String::as_str));
        let belonging = self.belonging(names)?;
        let look = |runtime: &Runtime| self.look(runtime, project, wanted);
        let (runtime, mut found) = self.ask_engine(Some(project), belonging.as_ref(), fallback, look)?;
        self.check_engine(belonging, &runtime, fallback, found.cage.is_some())?;
        let is_incomplete = |cage: &Cage| self.may_be_incomplete(cage, &project.name);
        if found.left_over.is_some() || found.cage.as_ref().is_some_and(is_incomplete) {
            self.recover(&runtime, project)?;
            found = self.look(&runtime, project, wanted)?;
        }
        Ok((runtime, found))
    }

    /// Finds a project's cage, the container that is to replace it if one was left behind, and what else is `wanted`, in one query.
    ///
    /// # Errors
    /// As [`Session::find`].
    pub fn look(&self, runtime: &Runtime, project: &Project, wanted: Option<Wanted>) -> Result<Existing> {
        let new = format!("{}{SUCCESSOR}", project.name);
        let names = [project.name.as_str(), &new];
        let query = || runtime.look(self.runner, &names, wanted);
        let found = Self::settled(query, |found| &found.containers)?;
        // The answer may also have a container that is called like the image.
        let cage_of = |name: &str| {
            let container = found.containers.iter().find(|container| container.name == name);
            container.map(|container| self.recognise(Some(project), container.clone())).transpose()
        };
        let (cage, left_over) = (cage_of(&project.name)?, cage_of(&new)?);
        let (image, volume) = (found.images.into_iter().next(), found.volumes.into_iter().next());
        Ok(Existing { cage, left_over, image, volume })
    }

    /// Repeats a query until no container in its answer is on the way from one state to another.
    fn settled<T>(query: impl Fn() -> Result<T>, containers: impl Fn(&T) -> &Vec<Container>) -> Result<T> {
        let start = Instant::now();
        loop {
            let answer = query()?;
            match containers(&answer).iter().find(|container| container.state == State::Changing) {
                None => return Ok(answer),
                Some(container) if start.elapsed() > SETTLE => bail!(
                    Failure::new(format!(
                        "{} has been restarting or going away for {SETTLE:?}",
                        container.name
                    ))
                    .hint("the engine or this machine may be busy: try again")
                ),
                Some(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Returns the container as a cage, after checking that it belongs to `project`, if that is given.
    fn recognise(&self, project: Option<&Project>, container: Container) -> Result<Cage> {
        let name = text::escape(&container.name);
        let owner = match container.label(&self.host.label) {
            Some(path) => format!("is labelled as the cage of {}", text::escape(path)),
            None => "was not made by cage".to_owned(),
        };
        let cage = Cage::recognise(container, &self.host.label);
        let cage = cage.filter(|cage| project.is_none_or(|project| cage.project() == project.path));
        Ok(cage.ok_or_else(|| {
            Failure::new(format!("container {name} {owner}"))
                .hint("cage leaves it alone; rename or remove it with the engine to free the name")
        })?)
    }
}

/// Returns what is `known`, unless another command held one of the `locks` meanwhile: then it is looked for again.
///
/// # Errors
/// Those of `look`.
pub fn known_or<'a>(
    known: Option<&'a Existing>,
    locks: &Locks,
    look: impl FnOnce() -> Result<Existing>,
) -> Result<Cow<'a, Existing>> {
    match known.filter(|_| were_free(locks)) {
        Some(known) => Ok(Cow::Borrowed(known)),
        None => look().map(Cow::Owned),
    }
}

/// Returns the cage that the script made for the directory of `project`, or, if `above`, for its nearest parent with one, but named
/// after a path with links. The project that is returned has the path that this cage uses.
pub fn by_link(
    session: &Session,
    cages: &[Cage],
    project: &Project,
    above: bool,
) -> Result<Option<(Project, Cage)>> {
    let leads_to = |cage: &Cage| {
        let real = fs::canonicalize(cage.project()).ok()?;
        let is_other = real != Path::new(cage.project());
        (is_other && (real == project.dir() || (above && project.dir().starts_with(&real)))).then_some(real)
    };
    let found = cages.iter().filter(|cage| cage.is_of_script() && cage.name == cage.final_name());
    let found = found.filter_map(|cage| Some((leads_to(cage)?, cage)));
    let Some((real, cage)) = found.max_by_key(|(real, _)| real.components().count()) else { return Ok(None) };
    let path = cage.project().to_owned();
    console::info(&format!("using {}, which the script made for {}", cage.name, text::escape(&path)));
    let found = Project::locate(&session.host, Some(&real))?;
    Ok(Some((Project { path, name: cage.name.clone(), ..found }, cage.clone())))
}
