//! A real terminal: prompt, typing, detaching, resizing, hanging up.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rexpect::process::Signal;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::common::eventually;
use crate::lab::World;

on_each_engine!(typing_works_and_the_exit_code_is_the_shells);

on_each_engine!(
    clients:
    a_program_runs_while_no_terminal_is_attached,
    history_is_saved_when_the_cage_is_stopped,
    the_window_size_is_passed_on,
    a_closed_terminal_does_not_stop_the_cage,
    ctrl_p_reaches_the_shell_at_once,
    detach_keys_can_be_chosen,
    the_welcome_is_shown_once,
    a_second_terminal_can_open_a_shell,
    a_command_gets_the_terminal,
    restart_enters_the_new_cage,
    a_chosen_port_is_told_before_the_prompt,
    destructive_commands_ask_first,
    prune_asks_first,
    the_terminal_modes_are_restored,
    detaching_from_a_program_restores_the_screen,
    a_dry_run_on_a_terminal_is_a_script_for_a_terminal,
    new_files_are_reported_once,
);

/// The prompt of the shell in the lab's image, for any user.
const PROMPT: &str = r"project [%#] ";

/// The time limit for output, in milliseconds. Only a failing test waits that long.
const PATIENCE: u64 = 60_000;

/// A command that prints [`ANSWER`], which is part neither of the command nor of any container's name.
const ASK: &str = "echo the-$((6 * 7))-answer";

/// The output of [`ASK`].
const ANSWER: &str = "the-42-answer";

/// A terminal in which the user's shell runs a script.
struct Terminal(PtySession);

impl Terminal {
    fn run(world: &World, script: &str) -> Self {
        let mut command = world.command("sh");
        let path = format!("{}:{}", world.binary().parent().unwrap().display(), crate::lab::PATH);
        // A new pseudo-terminal has no size, unlike a real one.
        let script = format!("stty rows 24 cols 80; {script}");
        command.args(["-c", &script]).env("PATH", path).env("TERM", "xterm");
        let options = Options::new().timeout_ms(Some(PATIENCE)).strip_ansi_escape_codes(true);
        Self(spawn_with_options(command, options).unwrap())
    }

    /// Runs a cage command and shows its exit code.
    fn cage(world: &World, words: &str) -> Self {
        Self::run(world, &format!("cage {words}; echo \"code=$?.\""))
    }

    /// Waits for text.
    #[track_caller]
    fn shows(&mut self, text: &str) -> &mut Self {
        if let Err(error) = self.0.exp_string(text) {
            panic!("should have shown {text:?}: {error}");
        }
        self
    }

    /// Waits for the prompt of the shell inside.
    #[track_caller]
    fn prompts(&mut self) -> &mut Self {
        if let Err(error) = self.0.exp_regex(PROMPT) {
            panic!("should have prompted: {error}");
        }
        self
    }

    /// Types a line.
    fn types(&mut self, line: &str) -> &mut Self {
        self.0.send_line(line).unwrap();
        self.0.flush().unwrap();
        self
    }

    /// Holds Ctrl and presses a key.
    fn presses_ctrl(&mut self, key: char) -> &mut Self {
        self.0.send_control(key).unwrap();
        // A user doesn't type two keys at once.
        std::thread::sleep(Duration::from_millis(100));
        self
    }

    /// Detaches from the cage.
    fn detaches(&mut self) -> &mut Self {
        self.presses_ctrl('\\').shows("detached from cage-project-").shows("code=0.")
    }

    /// Runs `stty` on the terminal.
    fn stty(&self, args: &[&str]) -> String {
        let terminal = self.0.process().get_file_handle().unwrap();
        let output = Command::new("stty").args(args).stdin(terminal).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until every program in it has ended.
    #[track_caller]
    fn ends(&mut self) {
        self.0.exp_eof().unwrap();
    }
}

fn typing_works_and_the_exit_code_is_the_shells(world: &World) {
    let mut terminal = Terminal::cage(world, "start");
    terminal.shows("cage: Creating cage-project-").prompts();
    terminal.types("echo $((6 * 7)) from $HOST").shows(&format!("42 from {}", world.name())).prompts();
    terminal.types("exit 7").shows("code=7.").ends();
    assert_eq!(world.state(), "exited");

    let mut terminal = Terminal::cage(world, "start");
    terminal.shows("cage: Restarting cage-project-").prompts();
    terminal.types("exit 3").shows("code=3.").ends();
}

fn a_program_runs_while_no_terminal_is_attached(world: &World) {
    let mut terminal = Terminal::cage(world, "start");
    terminal
        .prompts()
        .types("i=0; while sleep 0.1; do echo tick-$((i += 1)).; done; echo done")
        .shows("tick-3.");
    terminal.detaches().ends();
    assert_eq!(world.state(), "running");

    let mut terminal = Terminal::cage(world, "start");
    terminal.shows("cage: Re-attaching to cage-project-");
    let (_, tick) = terminal.0.exp_regex(r"tick-\d+\.").unwrap();
    let tick: u32 = tick.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    assert!(tick > 4, "it stood still at {tick}");
    terminal.presses_ctrl('c').prompts().types("exit 7").shows("code=7.").ends();
    assert_eq!(world.state(), "exited");
}

fn history_is_saved_when_the_cage_is_stopped(world: &World) {
    let mut terminal = Terminal::cage(world, "start");
    terminal.prompts().types("echo remember $((6 * 7))").shows("remember 42").prompts();
    world.cage("stop").ok();
    terminal.shows("code=").ends();
    world.cage("start").ok();
    world.inside("cat ~/.zsh_history").ok().prints("echo remember $((6 * 7))\n");
}

fn the_window_size_is_passed_on(world: &World) {
    let look = format!("exec --user 0 {} stty -F /dev/console size", world.name());
    let becomes = |size: &str| eventually(size, || world.engine(&look).run().out.trim() == size);
    let mut terminal = Terminal::cage(world, "start");
    terminal.prompts();
    becomes("24 80");
    terminal.stty(&["rows", "33", "cols", "99"]);
    becomes("33 99");
    terminal.types("stty size").shows("33 99").prompts();
    terminal.detaches().ends();
    // Another terminal with another size.
    let mut terminal = Terminal::run(world, "stty rows 40 cols 100; cage start");
    terminal.shows("Re-attaching");
    becomes("40 100");
    // For podman's sake it is another one for a moment, so that what runs inside draws itself.
    terminal
        .types("until [ \"$(stty size)\" = '40 100' ]; do sleep 0.1; done; echo is-$(stty size)")
        .shows("is-40 100");
    // The last one to come decides, until it leaves.
    let mut second = Terminal::cage(world, "start");
    second.shows("Re-attaching");
    becomes("24 80");
    let mut third = Terminal::run(world, "stty rows 30 cols 90; cage start; echo code=$?.");
    third.shows("Re-attaching");
    becomes("30 90");
    third.detaches();
    becomes("24 80");
    second.detaches().ends();
    becomes("40 100");
}

fn a_closed_terminal_does_not_stop_the_cage(world: &World) {
    hang_up(world, "cage start", "alive=and-well");
    let mut terminal = Terminal::cage(world, "start");
    terminal.shows("Re-attaching").types("echo $alive").shows("and-well");
    drop(terminal);

    hang_up(world, "cage start", "alive=again");
    let mut terminal = Terminal::cage(world, "start");
    terminal.shows("Re-attaching").types("echo $alive").shows("again");
    drop(terminal);

    if !world.engine.is_docker() {
        // The control: podman's client alone stops the container.
        world.cage("stop").ok();
        hang_up(world, &format!("podman start --attach --interactive {}", world.name()), "alive=control");
        eventually("the container ends", || world.state() != "running");
    }
}

/// Runs a program in a terminal that is then closed.
fn hang_up(world: &World, program: &str, line: &str) {
    // `script` creates a terminal, which is closed when `script` ends.
    let mut terminal = Terminal::run(world, &format!("exec script --quiet --command '{program}' /dev/null"));
    terminal.0.exp_regex("project [%#] |Re-attaching").unwrap();
    terminal.types(line).types(ASK).shows(ANSWER);
    assert!(!clients(world).is_empty(), "the control: somebody is attached");
    terminal.0.process_mut().signal(Signal::SIGKILL).unwrap();
    eventually("nobody is attached any more", || clients(world).is_empty());
}

/// Returns the processes of this world's clients.
fn clients(world: &World) -> Vec<String> {
    let environment = format!("CAGE_LABEL={}", world.label());
    let is_ours = |dir: &fs::DirEntry| {
        fs::read(dir.path().join("environ")).is_ok_and(|text| {
            text.split(|byte| *byte == 0).any(|variable| variable == environment.as_bytes())
        })
    };
    let name = |dir: &fs::DirEntry| fs::read_to_string(dir.path().join("comm")).unwrap_or_default();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(is_ours).map(|dir| name(&dir));
    processes.filter(|name| ["cage\n", "docker\n", "podman\n"].contains(&name.as_str())).collect()
}

fn ctrl_p_reaches_the_shell_at_once(world: &World) {
    let mut terminal = Terminal::cage(world, "start");
    terminal.prompts().types(ASK).shows(ANSWER).prompts();
    terminal.presses_ctrl('p').shows(ASK).types("").shows(ANSWER).prompts();
    terminal.detaches().ends();

    // Even if it is the first of two detach keys.
    let mut terminal = Terminal::run(world, "CAGE_DETACH_KEYS=ctrl-p,ctrl-q cage start");
    terminal.shows("Re-attaching").types(ASK).shows(ANSWER).prompts();
    terminal.presses_ctrl('p').shows(ASK);
    terminal.presses_ctrl('p').presses_ctrl('q').shows("detached from cage-project-").ends();
}

fn detach_keys_can_be_chosen(world: &World) {
    let mut terminal =
        Terminal::run(world, "export CAGE_DETACH_KEYS=ctrl-a,d; cage start; echo \"code=$?.\"");
    terminal.prompts().presses_ctrl('\\').presses_ctrl('\\').types(ASK).shows(ANSWER);
    terminal.presses_ctrl('a').0.send("d").unwrap();
    terminal.0.flush().unwrap();
    terminal.shows("detached from cage-project-").shows("code=0.").ends();
    assert_eq!(world.state(), "running");
}

fn the_welcome_is_shown_once(world: &World) {
    let mut first = Terminal::cage(world, "start");
    let volume = world.volume();
    for words in ["welcome! This cage can see", &volume, "detaches", "SECURITY.md"] {
        first.shows(words);
    }
    first.prompts().types("exit").shows("code=0.").ends();
    world.cage("rm").ok();
    let mut second = Terminal::cage(world, "start");
    let shown = second.0.exp_regex(PROMPT).unwrap().0;
    assert!(shown.contains("Creating") && !shown.contains("welcome!"), "{shown}");
    second.types("exit").shows("code=0.").ends();
}

fn a_second_terminal_can_open_a_shell(world: &World) {
    let mut first = Terminal::cage(world, "start");
    first.prompts();
    let mut second = Terminal::cage(world, "shell");
    second.shows("cage: Opening shell in cage-project-").prompts();
    second.types("echo $((6 * 7)) > shared-$$; tty").shows("/dev/pts/").prompts();
    first.types("cat shared-*").shows("42").prompts();
    second.types("exit 5").shows("code=5.").ends();
    first.types("echo $((7 * 7))").shows("49").prompts();
    first.types("exit").shows("code=0.").ends();
}

fn a_command_gets_the_terminal(world: &World) {
    let mut terminal = Terminal::cage(world, "run -- sh -c 'tty && stty size && read x && exit $x'");
    terminal.shows("/dev/pts/").types("9").shows("code=9.").ends();
    // Without a terminal on one side there is none inside.
    let mut terminal = Terminal::cage(world, "run tty | cat");
    terminal.shows("not a tty").ends();
}

fn restart_enters_the_new_cage(world: &World) {
    world.cage("start").ok();
    let first = world.container_id();
    let mut terminal = Terminal::cage(world, "restart");
    terminal.prompts().types(ASK).shows(ANSWER).prompts();
    assert_ne!(world.container_id(), first);
    terminal.types("exit 7").shows("code=7.").ends();
    let mut terminal = Terminal::cage(world, "start --detach");
    terminal.shows(&world.name()).shows("code=0.").ends();
    assert_eq!(world.state(), "running");
}

fn a_chosen_port_is_told_before_the_prompt(world: &World) {
    Terminal::cage(world, "start -p 80")
        .shows("published 127.0.0.1:")
        .prompts()
        .types("exit")
        .shows("code=0.")
        .ends();
    Terminal::cage(world, "start")
        .shows("published 127.0.0.1:")
        .prompts()
        .types(ASK)
        .shows(ANSWER)
        .detaches();
}

fn destructive_commands_ask_first(world: &World) {
    world.cage("start").ok();
    let name = world.name();
    for command in ["rmconfig", "obliterate"] {
        for answer in ["n", "", "maybe"] {
            let mut terminal = Terminal::cage(world, command);
            terminal.shows(&name).shows(&world.volume()).shows("Continue? [y/N] ");
            terminal.types(answer).shows("cage: nothing was done").shows("code=1.").ends();
            assert_eq!((world.state().as_str(), world.has_volume()), ("running", true));
        }
    }
    let mut terminal = Terminal::cage(world, "rmconfig");
    terminal.shows("Continue? [y/N] ").types("y").shows("code=0.").ends();
    assert_eq!(world.state(), "exited");
    let mut terminal = Terminal::cage(world, "obliterate");
    terminal.shows("Continue? [y/N] ").types("yes").shows("code=0.").ends();
    assert_eq!((world.cages().len(), world.has_volume()), (0, false));

    world.cage("start").ok();
    for command in ["rmconfig", "obliterate"] {
        let mut terminal = Terminal::cage(world, &format!("{command} --yes"));
        let shown = terminal.0.exp_string("code=0.").unwrap();
        assert!(!shown.contains("Continue"), "{shown}");
    }
    assert_eq!((world.cages().len(), world.has_volume()), (0, false));
    // If nothing is lost there is no question.
    Terminal::cage(world, "obliterate").shows("No cage containers to remove").shows("code=0.").ends();
}

fn prune_asks_first(world: &World) {
    let lost = world.root().join("lost/app");
    world.mkdir(&lost);
    let name = world.cage("start -d").dir(&lost).ok().out.trim().to_owned();
    world.cage("stop").dir(&lost).ok();
    fs::remove_dir_all(world.root().join("lost")).unwrap();
    // A doubtful removal needs an answer from a terminal.
    world
        .cage("prune")
        .ok()
        .says(&format!("cage: keeping {name}: "))
        .says("is it on a disk that is not mounted?");
    let mut terminal = Terminal::cage(world, "prune");
    terminal.shows(&format!("this removes {name}")).shows("is it on a disk that is not");
    terminal.shows("Continue? [y/N] ").types("n").shows("cage: nothing was done").shows("code=1.").ends();
    assert_eq!(world.cages(), std::slice::from_ref(&name));
    let mut terminal = Terminal::cage(world, "prune");
    terminal.shows(&name).shows("y/N").types("y").shows("code=0.").ends();
    assert!(world.cages().is_empty());
    Terminal::cage(world, "prune").shows("cage: nothing to prune").shows("code=0.").ends();
}

fn the_terminal_modes_are_restored(world: &World) {
    let script = "stty echo; stty -g; cage start; stty -g";
    for leave in ["detach", "exit"] {
        world.cage("run true").ok();
        world.cage("stop").ok();
        let mut terminal = Terminal::run(world, script);
        let modes = r"[0-9a-f]+(:[0-9a-f]+){10,}";
        let (_, before) = terminal.0.exp_regex(modes).unwrap();
        terminal.prompts();
        assert!(terminal.stty(&["-a"]).contains("-icanon"), "the control: it is raw meanwhile");
        if leave == "detach" {
            terminal.presses_ctrl('\\');
        } else {
            terminal.types("exit");
        }
        let (_, after) = terminal.0.exp_regex(modes).unwrap();
        assert_eq!(before, after, "{leave}");
        terminal.ends();
    }
}

fn detaching_from_a_program_restores_the_screen(world: &World) {
    let taken = "\u{1b}[?1049h\u{1b}[?1000h\u{1b}[?25l";
    let log = world.home.join("log");
    let script = format!("exec script --quiet --flush --command 'cage start' {}", log.display());
    let shown = || String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    let is_back = || ["[?1049l", "[?1000l", "[?25h"].iter().all(|mode| shown().contains(mode));

    // After detaching, and after the engine's client is killed.
    for leave in ["detach", "kill"] {
        let mut terminal = Terminal::run(world, &script);
        terminal.0.exp_regex("project [%#] |Re-attaching").unwrap();
        terminal
            .types("printf '\\033[?1049h\\033[?1000h\\033[?25linside-'; echo $((6 * 7)); sleep 5")
            .shows("inside-42");
        assert!(shown().contains(taken) && !is_back(), "the control: {}", shown());
        if leave == "detach" {
            terminal.presses_ctrl('\\');
        } else {
            let kill = format!(
                "pkill -KILL -f '(start|attach) .*--detach-keys .* ({}|{})'",
                world.name(),
                &world.container_id()[..12]
            );
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
        terminal.shows("detached from cage-project-").ends();
        assert!(is_back(), "{leave}: {}", shown());
        assert_eq!(world.state(), "running");
    }
}

fn a_dry_run_on_a_terminal_is_a_script_for_a_terminal(world: &World) {
    let mut terminal = Terminal::run(world, "cage --dry-run start; echo END");
    let script = terminal.0.exp_string("END").unwrap().replace('\r', "");
    assert!(world.cages().is_empty());
    world.write(&world.project.join("plan"), &script);
    let mut terminal = Terminal::run(world, "bash plan; echo \"code=$?.\"");
    terminal.prompts().types("exit 7").shows("code=7.").ends();
    assert_eq!(world.state(), "exited");
    world.cage("rm").ok();

    let mut terminal = Terminal::run(world, "bash plan; echo \"code=$?.\"");
    terminal.prompts().presses_ctrl('\\').shows("code=0.").ends();
    assert_eq!(world.state(), "running");
}

fn new_files_are_reported_once(world: &World) {
    world.cage("start -d").ok();
    let script = "cage run touch .envrc; echo first-end; cage run true; echo second-end; \
                  cage check --accept; cage run touch .npmrc; echo third-end";
    let mut terminal = Terminal::run(world, script);
    let mut until = |text: &str| terminal.0.exp_string(text).unwrap();
    let report =
        |files: &str| format!("cage: warning: 1 new file your machine would run ({files}): `cage check`");
    let first = until("first-end");
    assert!(first.contains(&report(".envrc")), "{first}");
    let second = until("second-end");
    assert!(!second.contains("warning"), "{second}");
    let third = until("third-end");
    assert!(third.contains(&report(".npmrc")), "{third}");
}
