//! Completion with the Tab key, in bash, zsh and fish on a fake engine. For elvish and PowerShell: only that there is a
//! script.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::common::absent;
use crate::fake::machine::{Cage, Machine, Outcome, Speaks};

/// A machine with a running cage, and with cage and the programs of zsh's script in PATH.
fn machine() -> (Machine, String) {
    let machine = Machine::in_story(Speaks::Docker, "running");
    let expr = ["/usr/bin/expr", "/bin/expr"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    for (name, program) in [("cage", env!("CARGO_BIN_EXE_cage")), ("expr", expr)] {
        symlink(program, machine.root().join("bin").join(name)).unwrap();
    }
    let name = Cage::of(&machine.project).name;
    (machine, name)
}

/// Returns the answer to a shell that completes the last of `words`, one candidate per line.
fn asked(machine: &Machine, words: &[&str]) -> Outcome {
    let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
    machine.run(command.env("CAGE_COMPLETE", "fish").arg("--").args(words))
}

/// Returns the candidates without descriptions.
fn offers(machine: &Machine, words: &[&str]) -> Vec<String> {
    let outcome = asked(machine, words);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{words:?}");
    outcome.assert_harmless_but_tabs();
    outcome.stdout.lines().map(|line| line.split('\t').next().unwrap_or(line).to_owned()).collect()
}

impl Outcome {
    fn assert_harmless_but_tabs(&self) {
        Self {
            stdout: self.stdout.replace('\t', ""),
            stderr: self.stderr.clone(),
            calls: Vec::new(),
            ..*self
        }
        .assert_harmless();
    }
}

/// An interactive shell in a pseudo-terminal.
struct Keyboard(PtySession);

impl Keyboard {
    /// Starts a shell, which runs `setup` and then prompts. Without such a shell, reports that and returns `None`.
    fn of(machine: &Machine, shell: &str, args: &[&str], setup: &str) -> Option<Self> {
        let program = ["/bin", "/usr/bin", "/usr/local/bin"].map(|dir| Path::new(dir).join(shell));
        let Some(program) = program.iter().find(|program| program.exists()) else {
            absent("completions", &format!("no {shell} here"));
            return None;
        };
        // A terminal made for a program doesn't echo, and line editors respect that.
        let mut command = machine.command("/bin/sh");
        command.args(["-c", r#"/bin/stty echo rows 24 cols 80; exec "$@""#, "sh", program.to_str().unwrap()]);
        command
            .args(args)
            .stdin(Stdio::inherit())
            .env("TERM", "dumb")
            .env("PS1", "ready> ")
            .env("ZDOTDIR", machine.home());
        let options = Options::new().timeout_ms(Some(30_000)).strip_ansi_escape_codes(true);
        let mut session = spawn_with_options(command, options).unwrap();
        session.exp_string("ready> ").unwrap();
        session.send_line(&format!("{setup}; echo set-$((1 + 1))-up")).unwrap();
        session.exp_string("set-2-up").unwrap();
        session.exp_string("ready> ").unwrap();
        Some(Self(session))
    }

    /// Types, presses Tab, and waits for the result.
    #[track_caller]
    fn tab(&mut self, typed: &str, shown: &str) -> &mut Self {
        self.0.send(&format!("{typed}\t")).unwrap();
        self.0.flush().unwrap();
        if let Err(error) = self.0.exp_regex(shown) {
            panic!("{typed:?} and Tab should have shown {shown:?}: {error}");
        }
        // Clears the line.
        self.0.send_control('u').unwrap();
        self
    }

    /// Kills the shell, which ignores a hangup.
    #[track_caller]
    fn leaves(&mut self) {
        self.0.send_line("exit").unwrap();
        self.0.exp_eof().unwrap();
    }
}

const SET_UP_BASH: &str = r#"bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; eval "$(cage completions bash)""#;

#[test]
fn bash_completes_commands_cages_values_and_directories() {
    let (machine, name) = machine();
    fs::create_dir_all(machine.project.join("below/deeper")).unwrap();
    let Some(mut bash) = Keyboard::of(&machine, "bash", &["--norc", "--noprofile", "-i"], SET_UP_BASH) else {
        return;
    };
    bash.tab("cage st", r"start\s+stop\s+status");
    for command in ["stop", "rm", "shell", "status"] {
        bash.tab(&format!("cage {command} cage-"), &regex(&name));
        bash.tab(&format!("cage {command} "), &regex(&name));
    }
    bash.tab("cage start --home pr", "project ");
    bash.tab("cage start --home=pr", "--home=project ");
    bash.tab("cage --runtime=docker stop cage-", &regex(&name));
    bash.tab("cage -C bel", "below/");
    bash.tab("cage --directory=bel", "=below/");
    bash.tab("cage -C below/", "below/deeper/");
    bash.tab("cage start --no-s", "--no-ssh ").leaves();
}

#[test]
fn zsh_completes_the_same_from_its_start_file() {
    let (machine, name) = machine();
    let setup = r#"autoload -U compinit; compinit -u -D; eval "$(cage completions zsh)""#;
    let Some(mut zsh) = Keyboard::of(&machine, "zsh", &["-f", "-i"], setup) else { return };
    zsh.tab("cage st", r"(?s)start .*stop .*status ");
    zsh.tab("cage stop cage-", &regex(&name));
    zsh.tab("cage rm ", &regex(&name));
    zsh.tab("cage start --home pr", "project").leaves();
}

#[test]
fn zsh_completes_at_the_first_tab_from_a_file_in_fpath() {
    let (machine, name) = machine();
    fs::create_dir(machine.home().join("functions")).unwrap();
    fs::write(machine.home().join("functions/_cage"), machine.cage("completions zsh").stdout).unwrap();
    let setup = "fpath=(~/functions $fpath); autoload -U compinit; compinit -u -D";
    let Some(mut zsh) = Keyboard::of(&machine, "zsh", &["-f", "-i"], setup) else { return };
    zsh.tab("cage stop cage-", &regex(&name)).leaves();
}

#[test]
fn fish_completes_with_descriptions() {
    let (machine, name) = machine();
    let Some(fish) =
        [PathBuf::from("/usr/bin/fish"), "/usr/local/bin/fish".into()].into_iter().find(|fish| fish.exists())
    else {
        return absent("completions", "no fish here");
    };
    let complete = |line: &str| {
        let script = format!("cage completions fish | source; complete --do-complete '{line}'");
        let outcome =
            machine.run(machine.command(fish.to_str().unwrap()).args(["--no-config", "-c", &script]));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
        outcome.stdout
    };
    let commands: Vec<String> =
        complete("cage st").lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    assert_eq!(commands, ["start", "stop", "status"]);
    assert_eq!(complete("cage stop cage-"), format!("{name}\trunning, {}\n", machine.project.display()));
}

#[test]
fn elvish_and_powershell_have_a_script() {
    let machine = Machine::new();
    let script = |shell: &str| machine.cage(&format!("completions {shell}")).stdout;
    assert!(script("elvish").contains("set edit:completion:arg-completer[cage]"));
    assert!(script("powershell").contains("Register-ArgumentCompleter -Native -CommandName cage"));
    for shell in ["elvish", "powershell"] {
        assert!(script(shell).contains("CAGE_COMPLETE"), "{shell}");
    }
}

#[test]
fn the_script_needs_no_engine_and_no_valid_settings() {
    let mut machine = Machine::new();
    machine.env.push(("CAGE_LABEL", "a=b".into()));
    assert_eq!(machine.cage("list").code, 1, "the control");
    assert_eq!(machine.cage("completions bash").code, 0);
    assert_eq!(offers(&machine, &["cage", "sto"]), ["stop"]);
    assert_eq!(offers(&machine, &["cage", "stop", "c"]), [""; 0]);
}

#[test]
fn without_an_engine_nothing_is_offered_or_printed() {
    let (mut machine, name) = machine();
    let words = ["cage", "stop", "c"];
    assert_eq!(offers(&machine, &words), [name.as_str()]);
    machine.engine().is_down();
    assert_eq!(offers(&machine, &words), [""; 0]);
    machine.engine().answer("ps", 0, "", "nonsense {\n");
    machine.engine().answer("container-inspect", 0, "words", "not JSON");
    assert_eq!(offers(&machine, &words), [""; 0]);
    assert_eq!(offers(&Machine::new(), &words), [""; 0]);

    // docker is down and podman answers: a warning would appear in the middle of the line.
    machine.engine().is_down();
    machine.install("podman", Speaks::Podman);
    machine.engine().add(&cage_of(&machine));
    machine.engine().tell_cages(&[cage_of(&machine)]);
    assert!(machine.cage("list").stderr.contains("warning: no answer from docker"), "the control");
    assert_eq!(offers(&machine, &words), [name]);
}

fn cage_of(machine: &Machine) -> Cage {
    Cage { status: "running".into(), ..Cage::of(&machine.project) }
}

#[test]
fn the_line_s_runtime_and_directory_options_are_used() {
    let (mut machine, _) = machine();
    machine.install("podman", Speaks::Podman);
    let lib = machine.root().join("src/lib");
    fs::create_dir_all(lib.join("inner")).unwrap();
    let podmans = Cage { status: "running".into(), ..Cage::of(&lib) };
    machine.engine().add(&podmans);
    machine.engine().tell_cages(std::slice::from_ref(&podmans));
    assert_eq!(offers(&machine, &["cage", "--runtime", "podman", "rm", "c"]), [podmans.name.as_str()]);
    assert_eq!(offers(&machine, &["cage", "rm", "--runtime=podman", "c"]), [podmans.name]);
    let lib = lib.to_str().unwrap();
    assert_eq!(offers(&machine, &["cage", "-C", lib, "start", "-v", "in"]), ["inner/"]);
    assert_eq!(offers(&machine, &["cage", "--runtime", "p"]), ["podman"]);
}

#[test]
fn a_hanging_engine_is_killed_with_its_children() {
    let (machine, _) = machine();
    let ended = machine.root().join("ended");
    machine.engine().act("ps", &format!("/bin/sleep 100; : >'{}'", ended.display()));
    let start = Instant::now();
    assert_eq!(offers(&machine, &["cage", "stop", "c"]), [""; 0]);
    assert!(start.elapsed() > Duration::from_secs(1), "the control: it waited");
    assert!(!ended.exists(), "the engine was waited for");
    let sleeps = format!("PATH={}", machine.root().join("bin").display());
    let environments = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("environ")).ok());
    assert!(
        !environments.into_iter().any(|text| String::from_utf8_lossy(&text).contains(&sleeps)),
        "something goes on"
    );
}

#[test]
fn an_engine_inside_the_project_is_not_run() {
    let (mut machine, _) = machine();
    let canary = machine.root().join("canary");
    let planted = machine.project.join("bin/docker");
    fs::create_dir(machine.project.join("bin")).unwrap();
    fs::write(&planted, format!("#!/bin/sh\n: >'{}'\n", canary.display())).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
    let path = machine.project.join("bin");
    machine.env.push(("PATH", path.into()));
    let project = machine.project.display().to_string();
    machine.project = machine.home();
    asked(&machine, &["cage", "stop", "c"]);
    assert!(canary.exists(), "the control: elsewhere it is run");
    fs::remove_file(&canary).unwrap();
    asked(&machine, &["cage", "-C", &project, "stop", "c"]);
    assert!(!canary.exists(), "-C");
    machine.project = project.into();
    asked(&machine, &["cage", "stop", "c"]);
    assert!(!canary.exists(), "here");
}

#[test]
fn only_cages_with_safe_names_are_offered() {
    let (machine, name) = machine();
    // Names and labels made to do harm.
    let mut stranger = cage_of(&machine);
    stranger.name = "cage-$(touch x)".into();
    stranger.id = "e".repeat(64);
    let mut other = cage_of(&machine);
    let path = format!("{}/\u{1b}[31m\t;x", machine.root().display());
    other.labels[0].1 = path.clone();
    other.name = Cage::of(Path::new(&path)).name;
    other.id = "f".repeat(64);
    for cage in [&stranger, &other] {
        machine.engine().add(cage);
    }
    machine.engine().tell_cages(&[cage_of(&machine), stranger, other]);
    assert_eq!(offers(&machine, &["cage", "stop", ""]), [name]);

    for file in [
        "plain",
        "Größe_1.x",
        "sp ace",
        "semi;colon",
        "$(x)",
        "`x`",
        "a\nb",
        "\u{1b}[31m",
        "*",
        "-C",
        "a:b",
        "~",
    ] {
        fs::create_dir(machine.project.join(file)).unwrap();
    }
    fs::write(machine.project.join("file"), "").unwrap();
    fs::create_dir(machine.project.join(".hidden")).unwrap();
    assert_eq!(offers(&machine, &["cage", "-C", ""]), ["Größe_1.x/", "plain/"]);
    assert_eq!(offers(&machine, &["cage", "-C", ".h"]), [".hidden/"]);
    assert_eq!(offers(&machine, &["cage", "-C", "."]), ["./Größe_1.x/", "./plain/"]);
    assert_eq!(offers(&machine, &["cage", "start", "-v", "./"]), ["./Größe_1.x/", "./file", "./plain/"]);
    fs::create_dir(machine.home().join("src")).unwrap();
    assert_eq!(offers(&machine, &["cage", "-C", "~/s"]), ["~/src/"]);
}

#[test]
fn the_variable_alone_changes_nothing() {
    let mut machine = Machine::new();
    machine.env.push(("CAGE_COMPLETE", "bash".into()));
    assert_eq!(machine.cage("version").stdout, concat!("cage ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(machine.cage("-- cage sto").stdout, "", "no index is no word to complete");
    assert_eq!(machine.cage("--").code, 0);
    machine.env.push(("CAGE_COMPLETE", "no-such-shell".into()));
    let outcome = machine.cage("-- cage sto");
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""));
}

fn regex(name: &str) -> String {
    name.replace('.', r"\.")
}
