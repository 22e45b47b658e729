//! `cage run` and `cage shell` in scripts: pipes, exit codes, variables, directories, users, no terminal at all.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::lab::World;
use crate::common::eventually;
use crate::emulator::Emulator;

on_each_engine!(
    clients:
    run_has_its_own_variables_and_directory,
    exit_codes_match_those_of_a_shell,
    run_fails_with_125_if_the_cage_stops,
    pipes_pass_every_byte,
    a_closed_pipe_ends_the_command,
    an_interrupt_reaches_the_command_and_its_code_the_shell,
    a_pager_keeps_its_keys,
    run_works_from_a_scheduler,
);

on_each_engine!(everybody: signals_reach_the_command_of_any_user);

fn run_has_its_own_variables_and_directory(world: &World) {
    let sub = world.project.join("src/deep");
    world.mkdir(&sub);
    world.cage("start").ok();
    let print = r#"sh -c 'printf "%s|" "$PWD" "$TOKEN" "$PLAIN"'"#;
    world
        .cage(&format!("run -e TOKEN -e PLAIN='a b=c' -- {print}"))
        .dir(&sub)
        .env("TOKEN", "s3cret")
        .ok()
        .prints(&format!("{}|s3cret|a b=c|", sub.display()));
    world.cage(&format!("run -- {print}")).ok().prints(&format!("{}|||", world.project.display()));
    world.cage(&format!("run -w src/deep -- {print}")).ok().prints(&format!("{}|||", sub.display()));
    world.cage("run -w /usr -- pwd").ok().prints("/usr\n");
    world.cage("run -w /nowhere -- pwd").exits(125).prints("").says("no such directory in the cage");
    world.cage("run --user root -- id -u").ok().prints("0\n");
    for user in ["nosuch", "root:nosuch", "nosuch:0"] {
        world
            .cage(&format!("run -u {user} -- true"))
            .exits(125)
            .prints("")
            .says("no such user or group in the cage");
    }
    world.cage("run -u 4321 -- id -u").ok().prints("4321\n");
    world
        .cage("run -e TOKEN -- true")
        .exits(125)
        .says("error: -e: TOKEN has no value here\nhint: `export TOKEN=…` first, ");
    // A shell opens in the current directory, too.
    world.cage("shell").dir(&sub).stdin("pwd\n").ok().prints(&format!("{}\n", sub.display()));
    world.cage("shell -- sh -c 'pwd; exit 3'").dir(&sub).exits(3).prints(&format!("{}\n", sub.display()));
}

fn exit_codes_match_those_of_a_shell(world: &World) {
    world.cage("run true").ok();
    world.cage("run nosuch").exits(127).prints("").says("nosuch");
    world.cage("run /etc/passwd").exits(126).prints("").says("/etc/passwd");
    world.cage("run -- sh -c 'kill -9 $$'").exits(137);
    for code in [1, 2, 3, 125, 128, 255] {
        world.cage(&format!("run -- sh -c 'exit {code}'")).exits(code);
    }
}

fn run_fails_with_125_if_the_cage_stops(world: &World) {
    world.cage("start").ok();
    let mut command = world.command(world.binary());
    command.args(["run", "--", "sh", "-c", "echo up; exec sleep 1000"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    world.cage("rm").ok();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // docker reports how the command ended; podman only that there was an error.
    let code = output.status.code();
    assert!(matches!(code, Some(125 | 137)), "{code:?}: {said}");
    assert!(said.contains(" was removed"), "{said}");
}

/// Returns bytes of every value, without a pattern.
fn noise(file: &mut impl std::io::Write, megabytes: u64) -> String {
    let (mut hash, mut block) = (Sha256::new(), vec![0_u8; 1 << 20]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..megabytes {
        for chunk in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        hash.update(&block);
        file.write_all(&block).unwrap();
    }
    hex::encode(hash.finalize())
}

fn pipes_pass_every_byte(world: &World) {
    // A gigabyte works as well, but takes ten seconds on each engine.
    const MEGABYTES: u64 = 32;
    world.cage("start").ok();
    let path = world.root().join("big");
    let sum = noise(&mut File::create(&path).unwrap(), MEGABYTES);
    world.give(&path);

    let mut command = world.command(world.binary());
    command.args(["run", "--", "sha256sum"]).stdin(File::open(&path).unwrap());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{sum}  -\n"), "inwards");

    // Both directions at once: neither may block the other.
    let mut command = world.command(world.binary());
    command.args(["run", "cat"]).stdin(File::open(&path).unwrap()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut out, mut hash, mut block) = (child.stdout.take().unwrap(), Sha256::new(), vec![0; 1 << 16]);
    loop {
        let count = out.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        hash.update(&block[..count]);
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(hex::encode(hash.finalize()), sum, "outwards");
    fs::remove_file(path).unwrap();
}

fn a_closed_pipe_ends_the_command(world: &World) {
    world.cage("start").ok();
    let script = format!("{} run -- yes | head -n 1", world.binary().display());
    world.call("sh", &["-c".to_owned(), script]).ok().prints("y\n");
    eventually("`yes` has ended", || world.inside("! pgrep -x yes").run().code == 0);
    // A slow reader gets everything.
    let mut command = world.command(world.binary());
    command.args(["run", "--", "seq", "200000"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text.lines().count(), 200_000);
}

fn an_interrupt_reaches_the_command_and_its_code_the_shell(world: &World) {
    let (tidies, dies) =
        ("trap 'echo tidy; exit 7' INT; echo up >&2; read x", "echo up >&2; exec sleep 1000");
    for (command, streams, code) in
        [(dies, ">out", 130), (dies, "</dev/null", 130), (dies, "", 130), (tidies, ">out", 7)]
    {
        // The shell goes on to tell the code.
        let script = format!(
            "trap : INT; cage run -- sh -c {} {streams} && echo SUCCESS",
            shell_words::quote(command)
        );
        let mut terminal = Emulator::run(world, &script, &[]);
        let screen = terminal.shows("up").sends("\x03").shows(&format!("code={code}.")).screen();
        assert!(!screen.contains("SUCCESS"), "{streams}: {screen}");
    }
    let out = fs::read_to_string(world.project.join("out")).unwrap();
    assert_eq!(out, "tidy\n");
    // A shell ends a loop when an interrupt has ended the program.
    let script = format!(
        "set -m; for i in 1 2; do echo round $i; cage run -- sh -c {}; done",
        shell_words::quote(dies)
    );
    let script = format!("bash -c {}", shell_words::quote(&script));
    let mut terminal = Emulator::run(world, &script, &[]);
    let screen = terminal.shows("up").sends("\x03").shows("code=").screen();
    assert!(screen.contains("round 1") && !screen.contains("round 2"), "{screen}");
}

fn a_pager_keeps_its_keys(world: &World) {
    world.cage("start").ok();
    // Like a pager, this reads single keys from the terminal while the command runs.
    let pager = "read line; stty -icanon </dev/tty; echo ready; sleep 1; echo got $(head -c3 </dev/tty)";
    let script = format!("cage run -- sh -c 'echo up; sleep 1000' | sh -c '{pager}'");
    let mut terminal = Emulator::run(world, &script, &[]);
    terminal.shows("ready").sends("xyz").shows("got xyz");
}

fn run_works_from_a_scheduler(world: &World) {
    // As cron starts programs: no terminal, no TERM, sh, and the output in a pipe.
    let line = format!(
        "cd {} && {} run -- sh -c 'echo done; tty; cat'",
        world.project.display(),
        world.binary().display()
    );
    let mut command = world.command("setsid");
    command.args(["--wait", "/bin/sh", "-c", &line]).current_dir("/").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\nnot a tty\n", "{said}");
    let asked = said.lines().find(|line| !line.starts_with("cage: "));
    assert_eq!((asked, said.contains("cage: Creating ")), (None, true), "nothing is asked: {said}");
    // With standard input closed.
    let closed =
        format!("cd {} && {} run -- echo done <&-", world.project.display(), world.binary().display());
    world.call("sh", &["-c".to_owned(), closed]).ok().prints("done\n");
}

fn signals_reach_the_command_of_any_user(world: &World) {
    world.cage("start").ok();
    let runs = |seconds: &str| world.inside(&format!("pgrep -fx 'sleep {seconds}'")).run().code == 0;
    for (number, words) in ["run", "run -u root --"].iter().enumerate() {
        // No interrupt: programs that run in the background ignore it.
        for (signal, code) in [("TERM", 143), ("HUP", 129)] {
            let seconds = format!("{}", 7000 + number);
            let words = shell_words::split(&format!("{words} sleep {seconds}")).unwrap();
            let mut command = world.command(world.binary());
            let mut child = command.args(&words).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            eventually("it runs", || runs(&seconds));
            let kill = ["-s".to_owned(), signal.to_owned(), child.id().to_string()];
            world.call("kill", &kill).ok();
            eventually("it has ended", || !runs(&seconds));
            assert_eq!(child.wait().unwrap().code(), Some(code), "{words:?} {signal}");
        }
    }
}
