//! cage runs AI coding agents in an isolated container of your own docker or podman, with the project mounted at its own
//! path and everything else out of reach.
//!
//! Data flows one way: facts are gathered ([`host`], [`engine`]), a subcommand in [`commands`] turns them into a
//! [`lifecycle::plan::Plan`], and the plan is shown or executed. A module uses only its own folder and the folders below it,
//! in this order: `commands`, `doctor`, `lifecycle`, `cage`, `audit`, `engine`, `terminal`, `host`, `base`.

mod audit;
mod base;
mod cage;
mod cli;
mod commands;
mod complete;
mod doctor;
mod engine;
mod host;
mod lifecycle;
mod report;
mod terminal;

use std::process::ExitCode;

use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

fn main() -> ExitCode {
    if let Some(shell) = host::machine::asking_shell()
        && complete::answer(&shell, std::env::args_os().skip(1))
    {
        return ExitCode::SUCCESS;
    }
    // Before anything else, as people press Ctrl-\ early, too.
    let interrupts = engine::signals::Interrupts::register(host::machine::ignored_signals());
    let cli = cli::Cli::read();
    let (failure_code, json, verbose) = (cli.failure_code(), cli.json(), cli.global.verbose);
    let passes_interrupts = cli.passes_interrupts();
    match cli.run(interrupts) {
        Ok(code) => {
            // A loop or script of a shell goes on unless SIGINT has ended the program itself: https://www.cons.org/cracauer/sigint.html
            if passes_interrupts && i32::from(code) == 128 + SIGINT {
                let _ = emulate_default_handler(SIGINT);
            }
            ExitCode::from(code)
        }
        Err(error) => {
            if json {
                report::json_failure(&error);
            }
            report::failure(&error, verbose);
            ExitCode::from(failure_code)
        }
    }
}
