//! Row 9: names and messages that would drive the terminal.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{Ran, World};

on_each_engine!(odd_directory_names_work_and_stay_off_the_terminal);

on_each_engine!(clients: so_do_names_that_an_engine_keeps, what_an_engine_says_is_spelled_out, what_code_in_a_cage_says_is_marked);

fn odd_directory_names_work_and_stay_off_the_terminal(world: &World) {
    let ordinary =
        ["two words", "日本語 é", "it's \"quoted\"", "a:b:", "a,b=c", "-p", "$HOME `id` *", "back\\slash"];
    for name in ordinary.into_iter().chain([&*"long".repeat(50)]) {
        let dir = odd_directory(world, name);
        works_in(world, &dir);
        world.cage("rm").dir(&dir).ok();
    }
    let nasty =
        ["new\nline", "\u{1b}]0;owned\u{7}\u{1b}[31m", "\u{202e}txt.exe\u{2066}\u{200b}", "\u{9b}2J\r"];
    for name in nasty {
        let dir = odd_directory(world, name);
        let words = [
            works_in(world, &dir),
            harmless(&all(&world.cage("status").dir(&dir).ok())),
            harmless(&all(&world.cage("list").dir(&dir).ok())),
            harmless(&all(&world.cage("restart --dry-run").dir(&dir).ok())),
            harmless(&all(&world.cage("start --verbose -v ./mark:/mark").dir(&dir).ok())),
            harmless(&all(&world.cage("rm").dir(&dir).ok())),
            harmless(&all(&world.cage("rm").dir(&dir).exits(1))),
            harmless(&all(&world.cage("start -v ./none:/none").dir(&dir).exits(1))),
        ];
        assert!(words.iter().any(|words| !words.is_empty()));
    }
    assert!(world.cages().is_empty());
}

/// Makes a directory with a file in it.
fn odd_directory(world: &World, name: &str) -> PathBuf {
    let dir = world.root().join("odd").join(name);
    world.write(&dir.join("mark"), "here");
    dir
}

/// Runs a command in a new cage for the directory. Returns cage's own words, and not what the command prints.
#[track_caller]
fn works_in(world: &World, dir: &Path) -> String {
    let ran = world.cage("run -- sh -c 'pwd; cat mark'").dir(dir).ok();
    assert_eq!(ran.out, format!("{}\nhere", dir.display()));
    harmless(&ran.err)
}

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

/// Returns text that a terminal only shows.
#[track_caller]
fn harmless(text: &str) -> String {
    let reorders =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || reorders(c)), "{text:?}");
    text.to_owned()
}

/// Clears the screen, and pretends to be a row.
const NASTY: &str = "\u{1b}[2Jcage-forged  running\u{202e}";

fn so_do_names_that_an_engine_keeps(world: &World) {
    let dir = world.root().join(format!("{NASTY}\ncage-forged-00000000  running"));
    world.mkdir(&dir);
    world.cage("start -d").dir(&dir).ok();
    // The control: the engine keeps the path as it is, and prints it.
    let label = world.label();
    let raw = world.engine(&format!("ps --filter label={label} --format '{{{{.Label \"{label}\"}}}}'")).run();
    let kept = if raw.code == 0 {
        raw.out
    } else {
        world.inspect_container(&world.cages()[0], &format!("{{{{index .Config.Labels \"{label}\"}}}}"))
    };
    assert!(kept.contains(NASTY), "{kept:?}");

    let list = world.cage("list").ok();
    let name = world.cages().remove(0);
    let lines = harmless(&list.out);
    let rows: Vec<_> = lines.lines().skip(1).collect();
    assert!(rows.len() == 1 && rows[0].ends_with(&name) && !rows[0].trim().starts_with("cage-"), "{list}");
    let status = harmless(&all(&world.cage(&format!("status {name}")).ok()));
    assert!(!status.lines().any(|line| line.starts_with("cage-")), "{status}");
    // A volume's source, told when it isn't there any more and shown when it is.
    let source = dir.join(NASTY);
    world.mkdir(&source);
    let volume = shell_words::quote(&format!("{}:/v", source.display())).into_owned();
    harmless(&world.cage(&format!("restart -v {volume}")).dir(&dir).ok().err);
    harmless(&all(&world.cage("status").dir(&dir).ok()));
    world.cage("stop").dir(&dir).ok();
    fs::remove_dir(&source).unwrap();
    harmless(&world.cage("start -d").dir(&dir).exits(1).err);
    harmless(&world.cage("start -d").env("CAGE_IMAGE", format!("x{NASTY}")).exits(1).err);
    harmless(&world.cage("start -d").env("CAGE_LABEL", NASTY).exits(1).err);
    harmless(&world.cage("start -d").env("CAGE_HOME_VOLUME", NASTY).exits(1).err);
    harmless(&world.cage("start -d").env("CAGE_RUNTIME", NASTY).exits(1).err);
    harmless(&world.cage(&format!("status {}", shell_words::quote(NASTY))).exits(1).err);
}

fn what_an_engine_says_is_spelled_out(world: &World) {
    let broken = world.build("broken", r#"ENTRYPOINT ["/no/\u001b[2Jsuch\u202e"]"#);
    // The control: it is in what the engine says, at least as an engine spells it.
    let said = world.engine(&format!("run --rm {broken}")).run();
    assert!(said.code != 0 && said.err.contains("such"), "{said}");
    let told = world.cage("start -d").env("CAGE_IMAGE", &broken).exits(1);
    harmless(&all(&told));

    // An engine that says it as it is.
    let client = super::client_that(
        world,
        "case $1 in create) printf '\\033[2Jforged\\342\\200\\256\\n' >&2; exit 1 ;; esac",
    );
    let words = ["create".to_owned()];
    assert!(world.call(&client, &words).exits(1).err.contains("\u{1b}[2Jforged"), "the control");
    let told = world.cage("start -d").env("CAGE_RUNTIME", &client).exits(1).says("forged");
    harmless(&all(&told));
}

fn what_code_in_a_cage_says_is_marked(world: &World) {
    world.cage("start -d").ok();
    let shell = "#!/bin/bash\necho 'error: no space' >&2; echo 'hint: run fix.sh' >&2; exit 126\n";
    let plant = format!("printf %s {} >/x && chmod 755 /x && mv /x /bin/sh", shell_words::quote(shell));
    world.engine(&format!("exec --user 0 {} bash -c {}", world.name(), shell_words::quote(&plant))).ok();
    let said = world.engine(&format!("exec {} /bin/sh", world.name())).exits(126).err;
    assert!(said.contains("error: no space\nhint: run fix.sh"), "the control: {said}");
    let told = world.cage("forward 0:3000").exits(1).err;
    assert!(told.contains("\n  error: no space\n  hint: run fix.sh"), "{told}");
    assert!(!told.contains("\nhint: ") && told.starts_with("error: `"), "{told}");
}
