//! The attacks and accidents that a cage must survive, each on real engines. The table of them is in `docs/threat-model.md`; a row
//! has a file here, `row_01` to `row_34`, and what else keeps the wall standing has `engine_args`.
//!
//! Each test first shows that the attack works where nothing is done about it: by the engine alone, or with the flag that
//! lifts the protection. That is its control, without which "it was refused" would prove nothing. Where an engine is immune
//! by itself, the control says that it is.

use std::fs;
use std::path::Path;

use crate::lab::World;

mod engine_args;
mod row_01;
mod row_02;
mod row_03;
mod row_04;
mod row_05;
mod row_06;
mod row_07;
mod row_08;
mod row_09;
mod row_10;
mod row_11;
mod row_12;
mod row_13;
mod row_14;
mod row_15;
mod row_16;
mod row_17;
mod row_18;
mod row_19;
mod row_20;
mod row_21;
mod row_22;
mod row_23;
mod row_24;
mod row_25;
mod row_26;
mod row_27;
mod row_28;
mod row_29;
mod row_30;
mod row_31;
mod row_32;
mod row_33;
mod row_34;

/// What the engine alone shows of `file` in `dir`, a directory of the host, with no cage around it. Whatever the path leads
/// to by now is mounted.
#[track_caller]
fn the_engine_shows(world: &World, dir: &Path, file: &str) -> String {
    let mount = shell_words::quote(&format!("type=bind,source={},target=/shown", dir.display())).into_owned();
    world.engine(&format!("run --rm --mount {mount} cage-lab cat /shown/{file}")).ok().out
}

/// The engine's client, by way of a script of the person's that does `first`, in `sh`, with the client's arguments.
fn client_that(world: &World, first: &str) -> String {
    let program = world.engine.program();
    let path = world.home.join("bin").join(program);
    let system = crate::lab::PATH;
    world.program(&path, &format!("#!/bin/sh\n{first}\nPATH={system} exec {program} \"$@\"\n"));
    path.display().to_string()
}

/// What is in a file, or nothing if there is none.
fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}
