//! Choosing the engine of a command: the one that the user names, else the one that has the cage or the home, else the first that
//! answers.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::base::console;
use crate::cage::existing::Cage;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::place::Place;
use crate::engine::runner::Runner;
use crate::engine::runtime;
use crate::engine::runtime::Runtime;
use crate::host::machine::is_installed;
use crate::host::project::Project;
use crate::lifecycle::belonging::{Belonging, Record};
use crate::lifecycle::session::Session;

/// The time limit for an engine at another address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether another engine will do if the first doesn't answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// For commands that look, enter or create.
    Allowed,
    /// For commands that stop or remove something: another engine's cage of the same name is not what the user means.
    Never,
}

impl Session {
    /// Asks the engine with the shared home, for a command that only looks.
    ///
    /// # Errors
    /// As [`Session::ask_engine`].
    pub fn ask<T>(
        &self,
        project: Option<&Project>,
        query: impl Fn(&Runtime) -> Result<T>,
    ) -> Result<(Runtime, T)> {
        let home = self.belonging([])?;
        self.ask_engine(project, home.as_ref(), Fallback::Allowed, query)
    }

    /// Asks the runtime that the user names, else the one that has the cage or home, else all in order of preference, and returns
    /// the first answer.
    ///
    /// # Errors
    /// When no engine answers, or, without a fallback, when the first doesn't. The error is that of the first.
    pub fn ask_engine<T>(
        &self,
        project: Option<&Project>,
        belonging: Option<&Belonging>,
        fallback: Fallback,
        query: impl Fn(&Runtime) -> Result<T>,
    ) -> Result<(Runtime, T)> {
        let choice = self.global.runtime.as_deref().or(belonging.map(|of| of.runtime.as_str()));
        let choice = choice.or_else(|| self.host.variable("CAGE_RUNTIME"));
        let explain = |error, identified| match belonging {
            Some(belonging) => belonging.explain(&self.host, error, identified),
            None => error,
        };
        let dir = project.map(Project::dir);
        let mut silent: Option<(&str, anyhow::Error)> = None;
        let candidates = Runtime::candidates(&self.host, choice, dir.as_deref());
        for candidate in candidates.map_err(|error| explain(error, true))? {
            let name = candidate.name;
            if let Some(why) = &candidate.instead_of {
                console::warn(&format!("not used: {why}"));
            }
            let runtime = Runtime::identify(self.runner, candidate);
            let identified = runtime.is_ok();
            match runtime.and_then(|runtime| query(&runtime).map(|answer| (runtime, answer))) {
                Ok(answer) => {
                    if let Some((first, error)) = silent {
                        let why = if is_trouble(&error, Trouble::PermissionDenied) {
                            "you have no permission to use"
                        } else {
                            "no answer from"
                        };
                        console::warn(&format!("{why} {first}; using {name}"));
                    }
                    return Ok(answer);
                }
                Err(error) if identified && fallback == Fallback::Never => return Err(explain(error, true)),
                Err(error) if runtime::is_skipped(&error, identified) || silent.is_some() => {
                    silent = silent.or(Some((name, explain(error, identified))));
                }
                Err(error) => return Err(explain(error, identified)),
            }
        }
        Err(silent.map_or_else(|| anyhow!("no container runtime found"), |(_, error)| error))
    }

    /// Finds all cages of the engine with the shared home, for a command that removes some.
    ///
    /// # Errors
    /// When the engine doesn't answer, or is another one than that with the home.
    pub fn own_cages(&self) -> Result<(Runtime, Vec<Cage>)> {
        let home = self.belonging([])?;
        let (runtime, cages) =
            self.ask_engine(None, home.as_ref(), Fallback::Never, |runtime| self.cages(runtime))?;
        self.check_engine(home, &runtime, Fallback::Never, false)?;
        Ok((runtime, cages))
    }

    /// Returns the engine that has the first of these cages whose engine is known, else the engine with the shared home, unless the
    /// user names an engine for this command.
    ///
    /// # Errors
    /// As [`Belonging::of`].
    pub fn belonging<'a>(&'a self, names: impl IntoIterator<Item = &'a str>) -> Result<Option<Belonging>> {
        if self.global.runtime.is_some() {
            return Ok(None);
        }
        for name in names.into_iter().chain([self.host.home_volume.as_str()]) {
            if let Some(found) = Belonging::of(&self.host, name)? {
                let chosen = self.host.variable("CAGE_RUNTIME");
                return Ok(Some(found).filter(|found| chosen.is_none() || chosen == found.chosen.as_deref()));
            }
        }
        Ok(None)
    }

    /// Checks that the engine that answers is the recorded one, unless the recorded one no longer has the cage or home, which may
    /// have been removed with the engine's own client. A command that only enters also accepts a cage that it `found` elsewhere,
    /// and creates one without asking where the home is.
    ///
    /// # Errors
    /// When it is another engine.
    pub fn check_engine(
        &self,
        belonging: Option<Belonging>,
        runtime: &Runtime,
        fallback: Fallback,
        found: bool,
    ) -> Result<()> {
        let matters =
            |of: &Belonging| fallback == Fallback::Never || !found && of.name != self.host.home_volume;
        let Some(belonging) = belonging.filter(matters) else { return Ok(()) };
        let here = runtime.whereabouts(&self.host, self.runner)?;
        if here == belonging.place {
            return Ok(());
        }
        let (runner, name) = (Runner { limit: Some(PATIENCE), ..self.runner }, belonging.name.as_str());
        let is_gone = |there: Runtime| {
            anyhow::Ok(if name == self.host.home_volume {
                there.volume(runner, name)?.is_none()
            } else {
                there.containers(runner, &[name])?.is_empty()
            })
        };
        match runtime.at(&belonging.place).map(is_gone) {
            Some(Ok(true)) => Ok(()),
            _ => bail!(belonging.elsewhere(runtime, &here)),
        }
    }

    /// Checks that a new home in an engine is no surprise: the home is not in another engine that is out of reach.
    ///
    /// # Errors
    /// When the home is in such an engine, and the user has not named another one.
    pub fn check_new_home(&self, runtime: &Runtime, here: &Place) -> Result<()> {
        let Some(home) = self.belonging([])? else { return Ok(()) };
        if home.place == *here {
            return Ok(());
        }
        let runner = Runner { limit: Some(PATIENCE), ..self.runner };
        let there = runtime.at(&home.place).map(|there| there.volume(runner, &home.name));
        let Some(Ok(volume)) = there else { bail!(home.elsewhere(runtime, here)) };
        if volume.is_some() {
            console::info(&format!(
                "this engine gets a home of its own; {} stays in {}",
                home.name, home.place
            ));
        }
        Ok(())
    }

    /// Returns the changes that keep the engine of the cage `name` and, if it has the shared home, of the home. The home stays
    /// with the first engine that has one, as long as that is installed.
    ///
    /// # Errors
    /// When what is kept can't be read.
    pub fn records(
        &self,
        runtime: &Runtime,
        here: &Place,
        name: &str,
        shares_home: bool,
    ) -> Result<Vec<Record>> {
        let host = &self.host;
        let home = Belonging::of(host, &host.home_volume)?;
        let keeps_home = home.is_some_and(|home| is_installed(host, &home.runtime));
        let names =
            [name].into_iter().chain((shares_home && !keeps_home).then_some(host.home_volume.as_str()));
        let chosen = host.variable("CAGE_RUNTIME").map(str::to_owned);
        let new = |name: &str| Belonging {
            name: name.to_owned(),
            runtime: runtime.name.clone(),
            place: here.clone(),
            chosen: chosen.clone(),
        };
        let records = names.map(|name| new(name).record(host));
        Ok(records.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}
