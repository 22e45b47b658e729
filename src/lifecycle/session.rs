//! The session of one cage command: its facts, the cage that it is about, and the execution of plans.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};

use crate::audit::{self, Outside, Record};
use crate::base::error::Failure;
use crate::base::{console, file, text};
use crate::cage::existing::Cage;
use crate::engine::dialect::Dialect;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::engine::signals::Interrupts;
use crate::host::completion;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::acknowledged::Acknowledged;
use crate::lifecycle::foreground::Foreground;
use crate::lifecycle::lock;
use crate::lifecycle::lock::Locks;
use crate::lifecycle::open_terminals::{OpenTerminals, Visitor, Way};
use crate::lifecycle::plan::Plan;

/// The options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Act as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", global = true, hide_short_help = true)]
    #[arg(add = ArgValueCompleter::new(completion::project))]
    pub directory: Option<PathBuf>,

    /// Container runtime: docker, podman, or the path of either [default: docker if it answers, else podman]
    #[arg(long, value_name = "RUNTIME", global = true, hide_short_help = true)]
    #[arg(add = ArgValueCandidates::new(|| Dialect::in_order().map(Dialect::program).map(CompletionCandidate::new).collect()))]
    pub runtime: Option<String>,

    /// Echo each engine command as it runs
    #[arg(long, global = true, hide_short_help = true)]
    pub verbose: bool,

    /// Print what would be done, as a script for bash or zsh, and do nothing
    #[arg(long, global = true, hide_short_help = true)]
    pub dry_run: bool,
}

/// The facts that are known at the start of a command.
#[derive(Debug)]
pub struct Session {
    /// This machine.
    pub host: Host,
    /// The flags of every command.
    pub global: Global,
    /// Runs engine commands.
    pub runner: Runner,
    /// Signals that would end cage.
    pub interrupts: Interrupts,
}

impl Session {
    /// Returns the project of the current directory, or of `--directory`.
    ///
    /// # Errors
    /// When it can't be one.
    pub fn project(&self) -> Result<Project> {
        Project::locate(&self.host, self.global.directory.as_deref())
    }

    /// Returns all cages of a runtime.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn cages(&self, runtime: &Runtime) -> Result<Vec<Cage>> {
        self.cages_knowing(runtime, None)
    }

    /// Returns all cages of a runtime, without asking again for one that has just been found.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn cages_knowing(&self, runtime: &Runtime, found: Option<&Cage>) -> Result<Vec<Cage>> {
        let ids = runtime.labelled(self.runner, &self.host.label)?;
        let is_found = |id: &&str| found.is_some_and(|found| found.id == **id);
        let (known, unknown): (Vec<&str>, Vec<&str>) = ids.iter().map(String::as_str).partition(is_found);
        let cages = runtime.containers(self.runner, &unknown)?.into_iter();
        let cages = cages.filter_map(|container| Cage::recognise(container, &self.host.label));
        Ok(cages.chain(found.filter(|_| !known.is_empty()).cloned()).collect())
    }

    /// Asks before an action that can't be undone, unless the user typed `--yes`.
    ///
    /// # Errors
    /// When there is no terminal, or it can't be read.
    pub fn confirm(&self, yes: bool, question: &str) -> Result<bool> {
        if yes || self.global.dry_run {
            return Ok(true);
        }
        ensure!(
            self.host.can_ask(),
            Failure::new("cannot ask without a terminal")
                .hint("`--dry-run` shows what would be done, `--yes` does it without asking")
        );
        agrees(question)
    }

    /// Returns the programs that would end with a cage: those of other terminals, or an agent from which the user has detached.
    /// None without a terminal, or if the user said `yes`.
    pub fn at_work(&self, runtime: &Runtime, cage: &Cage, yes: bool) -> Vec<Visitor> {
        if yes || self.global.dry_run || !self.host.can_ask() || !cage.state.is_up() {
            return Vec::new();
        }
        self.visitors(runtime, cage, true)
    }

    /// Returns who is in a cage. If nobody is attached and this `asks` the engine, also the program from which the user has
    /// detached.
    pub fn visitors(&self, runtime: &Runtime, cage: &Cage, asks: bool) -> Vec<Visitor> {
        let open = OpenTerminals::of(&self.host, &cage.name).filter(|_| cage.state.is_up());
        let mut visitors = open.map(|open| open.visitors()).unwrap_or_default();
        if asks && cage.state.is_up() && !visitors.iter().any(|visitor| visitor.way == Way::Attached) {
            let query = Foreground::query(runtime, &cage.id);
            let program = Foreground::of(self.runner.capture(&query));
            visitors.extend(program.and_then(Foreground::visitor));
        }
        visitors
    }

    /// Waits until no other cage command of this user is creating or removing one of these cages.
    ///
    /// # Errors
    /// When a signal came meanwhile, or another user has the directory of cage's files.
    pub fn lock<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Locks> {
        if let Some(dir) = self.host.state_dir().filter(|dir| file::is_foreign(dir)) {
            let shown = text::escape(&dir.to_string_lossy());
            let hint = "remove it, or name another directory with XDG_STATE_HOME";
            bail!(Failure::new(format!("{shown} belongs to another user")).hint(hint));
        }
        // In order, so that no two commands wait for each other.
        let names: BTreeSet<&str> = names.into_iter().filter(|_| !self.global.dry_run).collect();
        let paths = names.into_iter().filter_map(|name| self.host.state_file(name, lock::LOCK));
        let locks = paths.map(|path| lock::take(&path, &self.interrupts));
        Ok(locks.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Warns a user who leaves a cage about new files in the project that this machine would run or trust, if any of them was not
    /// listed last. `seen` is the cage's record of earlier ones; without a record there is nothing to compare
    /// with.
    pub fn tell_leftovers(&self, project: &Project, seen: Option<&str>) {
        let (Some(seen), true, false) = (seen, self.host.terminal.stderr, self.global.dry_run) else {
            return;
        };
        let report = audit::quick_scan(&project.dir(), Outside::of(&self.host));
        let record = Record { label: seen.to_owned(), since: 0 };
        let mut acknowledged = Acknowledged::of(&self.host, &project.name);
        let new = acknowledged.others(record.new_among(&report.findings));
        if acknowledged.are_news(&new) {
            if let Some(line) = audit::short_report(&new) {
                console::warn(&line);
            }
            if report.incomplete.is_none() {
                acknowledged.list(&new);
            }
        }
        if let Some(why) = report.incomplete {
            console::warn(&format!("the project was not scanned completely: {why}; run `cage check`"));
        }
    }

    /// Carries a plan out, or shows it.
    ///
    /// # Errors
    /// When a step fails.
    pub fn carry_out(&self, plan: &Plan) -> Result<u8> {
        self.carry_out_locked(plan, Locks::new())
    }

    /// Carries out a plan like [`Session::carry_out`], and releases the locks when the user enters the cage.
    ///
    /// # Errors
    /// When a step fails.
    pub fn carry_out_locked(&self, plan: &Plan, locks: Locks) -> Result<u8> {
        if self.global.dry_run {
            console::data(&plan.script())?;
            return Ok(0);
        }
        plan.execute(self.runner, locks, &self.interrupts)
    }
}

/// Asks whether to end those who are at work in a cage, if any.
///
/// # Errors
/// When the terminal can't be read.
pub fn may_end(visitors: &[Visitor]) -> Result<bool> {
    if visitors.is_empty() {
        return Ok(true);
    }
    let list: Vec<String> = visitors.iter().map(Visitor::to_string).collect();
    let number = match list.len() {
        1 => "1 command is".to_owned(),
        number => format!("{number} commands are"),
    };
    agrees(&format!("{number} running in it: {}\nContinue?", list.join(", ")))
}

/// Asks a question, and says so if the answer is no.
fn agrees(question: &str) -> Result<bool> {
    let agreed = console::confirm(question).context("cannot ask on the terminal")?;
    if !agreed {
        console::info("nothing was done");
    }
    Ok(agreed)
}
