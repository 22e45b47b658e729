//! The commands, one a file: its flags, and what it does.

pub mod check;
pub mod completions;
pub mod doctor;
pub mod forward;
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

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;

use self::update::Update;
use crate::base::console;
use crate::cli::{Cli, Command};
use crate::doctor::TIME_LIMIT;
use crate::engine::runner::Runner;
use crate::engine::signals::Interrupts;
use crate::host::machine::Host;
use crate::lifecycle::session::Session;

/// Does what the command line says.
///
/// # Errors
/// Whatever went wrong, for the user to read.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let command = match cli.command {
        None => {
            console::ignore_broken_pipe(Cli::command().print_help())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Version) => {
            console::data(concat!("cage ", env!("CARGO_PKG_VERSION")))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Completions(completions)) => {
            completions.run()?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(command) => command,
    };
    let (mut host, mut wrong) = Host::gather()?;
    if !matches!(command, Command::Doctor(_)) && !wrong.is_empty() {
        return Err(wrong.remove(0));
    }
    // What a plan would do at this terminal, although the plan itself may go into a file.
    host.terminal.stdout |= cli.global.dry_run && host.terminal.stderr;
    let limit = matches!(command, Command::Doctor(_)).then_some(TIME_LIMIT);
    let runner = Runner { verbose: cli.global.verbose, limit };
    let interrupts = Interrupts::register(host.ignored_signals);
    let session = Session { host, global: cli.global, runner, interrupts };
    let code = match command {
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
        Command::Update(_) => Update::run(&session),
        Command::Upgrade(upgrade) => upgrade.run(&session),
        Command::Prune(prune) => prune.run(&session),
        Command::Rmconfig(rmconfig) => rmconfig.run(&session),
        Command::Obliterate(obliterate) => obliterate.run(&session),
        Command::Man(man) => man.run(&session, Cli::command()),
        Command::Completions(_) | Command::Version => Ok(0),
    };
    code.map(ExitCode::from)
}
