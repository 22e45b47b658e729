//! The subcommands: one file each, with its flags and its code. Code that several commands share is in `lifecycle`.

pub mod check;
mod complete;
pub mod completions;
pub mod doctor;
mod dstart;
pub mod forward;
pub mod help;
pub mod list;
pub mod man;
pub mod obliterate;
pub mod prune;
mod question;
pub mod restart;
pub mod rm;
pub mod rmconfig;
pub mod run;
pub mod shell;
pub mod start;
pub mod status;
pub mod stop;
pub mod update;
pub mod upgrade;

use anyhow::Result;
use clap::Subcommand;

pub use self::dstart::instead_of_dstart;

use crate::base::console;
use crate::doctor::TIME_LIMIT;
use crate::engine::runner::Runner;
use crate::engine::signals::Interrupts;
use crate::host::machine::Host;
use crate::lifecycle::session::{Global, Session};

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    Start(start::Start),
    Shell(shell::Shell),
    #[command(visible_alias = "exec")]
    Run(run::Run),
    Forward(forward::Forward),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Rm(rm::Rm),
    Status(status::Status),
    #[command(visible_aliases = ["ls", "ps"])]
    List(list::List),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Update(update::Update),
    Upgrade(upgrade::Upgrade),
    Prune(prune::Prune),
    Rmconfig(rmconfig::Rmconfig),
    Obliterate(obliterate::Obliterate),
    Completions(completions::Completions),
    Man(man::Man),
    /// Print the version
    #[command(after_help = "Examples:\n  cage version   As does `cage --version`")]
    Version,
}

impl Command {
    /// Returns whether the command prints JSON.
    pub fn json(&self) -> bool {
        match self {
            Self::Check(check) => check.json,
            Self::Status(status) => status.json,
            Self::Doctor(doctor) => doctor.json,
            Self::List(list) => list.json,
            Self::Prune(prune) => prune.json,
            _ => false,
        }
    }
}

/// Runs a command and returns the exit code. `tree` returns the whole command line.
///
/// # Errors
/// Those of the command.
pub fn run(
    command: Command,
    global: Global,
    interrupts: Interrupts,
    tree: fn() -> clap::Command,
) -> Result<u8> {
    match command {
        Command::Version => {
            console::data(concat!("cage ", env!("CARGO_PKG_VERSION")))?;
            return Ok(0);
        }
        Command::Completions(completions) => return completions.run().map(|()| 0),
        _ => {}
    }
    let (mut host, mut wrong) = Host::gather()?;
    if !matches!(command, Command::Doctor(_)) && !wrong.is_empty() {
        return Err(wrong.remove(0));
    }
    host.check_own_places(global.directory.as_deref())?;
    // A plan is made for this terminal, although its script may be redirected into a file.
    host.terminal.stdout |= global.dry_run && host.terminal.stderr;
    let limit = matches!(command, Command::Doctor(_)).then_some(TIME_LIMIT);
    let runner = Runner { verbose: global.verbose, limit };
    let session = Session { host, global, runner, interrupts };
    match command {
        Command::Start(start) => start.run(&session),
        Command::Shell(shell) => shell.run(&session),
        Command::Run(run) => run.run(&session),
        Command::Forward(forward) => forward.run(&session),
        Command::Stop(stop) => stop.run(&session),
        Command::Restart(restart) => restart.run(&session),
        Command::Rm(rm) => rm.run(&session),
        Command::Status(status) => status.run(&session),
        Command::Check(check) => check.run(&session),
        Command::Doctor(doctor) => doctor.run(&session, wrong),
        Command::List(list) => list.run(&session),
        Command::Update(_) => update::Update::run(&session),
        Command::Upgrade(upgrade) => upgrade.run(&session),
        Command::Prune(prune) => prune.run(&session),
        Command::Rmconfig(rmconfig) => rmconfig.run(&session),
        Command::Obliterate(obliterate) => obliterate.run(&session),
        Command::Man(man) => man.run(&session, tree()),
        Command::Completions(_) | Command::Version => Ok(0),
    }
}
