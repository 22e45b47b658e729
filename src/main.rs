//! cage runs coding agents in an isolated container of your own docker or podman: the project mounted at its own
//! path, everything else out of reach.
//!
//! The data flows one way. Facts are gathered ([`host`], [`project`], [`runtime`], [`container`]), a subcommand in
//! [`commands`] turns them into a [`plan`], and the plan is shown or carried out.

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

use clap::Parser;

fn main() -> ExitCode {
    if let Some(shell) = host::machine::asking_shell()
        && complete::answer(&shell, std::env::args_os().skip(1))
    {
        return ExitCode::SUCCESS;
    }
    let cli = cli::Cli::parse();
    let (failure_code, json) = (cli.failure_code(), cli.json());
    commands::run(cli).unwrap_or_else(|error| {
        if json {
            report::json_failure(&error);
        }
        report::failure(&error);
        ExitCode::from(failure_code)
    })
}
