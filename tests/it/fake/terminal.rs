//! A terminal, with engines that don't answer and clients that don't end.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rexpect::process::Signal;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use rustix::process::{Pid, kill_process};

use super::machine::{Cage, Machine, Speaks};
use crate::common::eventually;

/// How long cage waits for an engine's answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A machine in a story with a cage, whose client prints `inside` and then acts like this script.
fn machine(story: &str, client: &str) -> Machine {
    let machine = Machine::in_story(Speaks::Docker, story);
    let engine = machine.engine();
    for verb in ["attach", "exec", "start"] {
        // Another command signals the first one.
        let script = format!(
            "case $* in */proc/*) exit 0 ;; esac; /bin/stty -icanon -iexten -echo; echo inside; {client}"
        );
        engine.act(verb, &script);
    }
    engine.answer("container-inspect-format", 0, "", "running 0 false \"2026-11-27T19:10:04Z\"\n");
    machine
}

/// Starts cage in a terminal, and waits until the client runs.
fn cage(machine: &Machine, args: &str) -> PtySession {
    let mut session = start(machine, args);
    session.exp_string("inside").unwrap();
    session
}

fn start(machine: &Machine, args: &str) -> PtySession {
    let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
    command.args(args.split(' ')).stdin(Stdio::inherit());
    let options = Options::new().timeout_ms(Some(20_000));
    spawn_with_options(command, options).unwrap()
}

/// Starts a shell in a terminal.
fn shell(machine: &Machine, script: &str) -> PtySession {
    let mut command = machine.command("/bin/bash");
    command.args(["-c", script]).stdin(Stdio::inherit());
    spawn_with_options(command, Options::new().timeout_ms(Some(20_000))).unwrap()
}

fn exits(mut session: PtySession, words: &str, code: i32) {
    session.exp_string(words).unwrap();
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(&format!(", {code})")), "{status}");
}

#[test]
fn an_engine_that_does_not_answer_is_left_all_the_same() {
    for (story, words) in
        [("running", ": `cage start` re-attaches"), ("stopped", "; the engine does not answer")]
    {
        let machine = machine(story, "exec /bin/sleep 60");
        machine.engine().act("container-inspect-format", "exec /bin/sleep 60");
        let mut session = cage(&machine, "start");
        let start = Instant::now();
        session.send("\x1c").unwrap();
        session.flush().unwrap();
        exits(session, words, 0);
        // What is known needs no question.
        assert!(story == "stopped" || start.elapsed() < ANSWER, "{:?}", start.elapsed());
    }
}

#[test]
fn ctrl_z_stops_cage_also_after_its_client() {
    let machine = machine("running", "exit 1");
    machine.engine().act("container-inspect-format", "echo asked >/dev/tty; exec /bin/sleep 60");
    let script = format!("set -m; {} shell; echo at the prompt; fg", env!("CARGO_BIN_EXE_cage"));
    let mut session = shell(&machine, &script);
    session.exp_string("asked").unwrap();
    session.send("\x1a").unwrap();
    session.flush().unwrap();
    session.exp_string("at the prompt").unwrap();
    exits(session, "the engine went away", 1);
}

#[test]
fn a_client_that_ignores_a_hangup_is_left_all_the_same() {
    let machine = machine("running", "trap '' HUP; exec /bin/sleep 60");
    let mut session = cage(&machine, "start");
    session.send("\x1c").unwrap();
    session.flush().unwrap();
    exits(session, "detached from", 0);
}

#[test]
fn a_session_ends_with_the_right_words_at_the_right_place() {
    for (client, state, words) in [
        ("printf foo; exit 143", "exited 143 false", "foo\r\ncage: left cage-app-"),
        ("echo foo; exit 0", "exited 0 false", "foo\r\n\rcage: left cage-app-"),
        ("/bin/stty -opost; echo foo; exit 129", "exited 129 false", "foo\n\rcage: left cage-app-"),
        ("printf foo; exit 137", "exited 137 true", " was killed: out of memory; "),
        ("exit 137", "exited 137 false", " exited with 137; `cage start` starts it again"),
    ] {
        let machine = machine("running", client);
        machine.engine().answer("container-inspect-format", 0, "", &format!("{state} \"\"\n"));
        let code = client.rsplit(' ').next().unwrap().parse().unwrap();
        exits(cage(&machine, "start"), words, code);
    }
}

#[test]
fn an_engine_that_was_stopped_or_restarted_is_told_with_the_way_back() {
    let down = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
    let lost = "Error response from daemon: No such exec instance: 1f";
    let (away, exited, running) =
        ((1, down, ""), (0, "", "exited 1 false \"\"\n"), (0, "", "running 0 false \"\"\n"));
    let went = "\r\n\u{1b}[Jerror: the engine went away while you were in cage-";
    for (verb, state, words, code) in [
        ("start", away, went, 1),
        ("shell", away, went, 1),
        ("run make", away, went, 125),
        ("shell", exited, " was ended with the engine; `cage start` starts it again", 1),
        ("run make", exited, " was ended with the engine; `cage start` starts it again", 125),
        ("shell", running, "\r\n\u{1b}[Jerror: the engine was restarted, and has lost the command", 1),
    ] {
        let complaint = if verb == "start" { "" } else { lost };
        let modes = r"\033[>5u\033[?2004h\033[?1006h\033[?25lfoo";
        let machine = machine("running", &format!("printf '{modes}'; echo '{complaint}' >&2; exit 1"));
        machine.engine().answer("container-inspect-format", state.0, state.1, state.2);
        let mut session = cage(&machine, verb);
        let before = session.exp_string(words).unwrap();
        let undone = ["\u{1b}[<1u", "\u{1b}[?2004l", "\u{1b}[?1006l", "\u{1b}[?25h"];
        assert!(undone.iter().all(|undone| before.contains(undone)), "{verb}: {before:?}");
        assert!(before.contains("foo"), "{verb}: {before:?}");
        let raw = ["No such exec", "Cannot connect"];
        assert!(!raw.iter().any(|raw| before.contains(raw)), "{verb}: {before}");
        exits(session, "", code);
    }
}

#[test]
fn a_terminal_whose_cage_was_killed_has_not_ended_with_the_container() {
    for (word, words) in [
        ("", "left NAME, which has stopped\r\n"),
        ("ended", "left NAME, which has stopped; another terminal ended"),
    ] {
        let dir = "$HOME/.local/state/cage/NAME.terminals";
        let machine = machine("running", "exit 0");
        let name = Cage::of(&machine.project).name;
        let leave = format!("/bin/mkdir -p {dir}; printf '{word}' >{dir}/99999999").replace("NAME", &name);
        machine
            .engine()
            .act("attach", &format!("/bin/stty -icanon -iexten -echo; {leave}; echo inside; exit 0"));
        machine.engine().answer("container-inspect-format", 0, "", "exited 0 false \"\"\n");
        exits(cage(&machine, "start"), &words.replace("NAME", &name), 0);
    }
}

#[test]
fn a_container_that_is_removed_was_not_only_killed() {
    let machine = machine("running", "exit 137");
    let engine = machine.engine();
    let missing = format!("Error: No such container: {}", &Cage::of(&machine.project).id[..12]);
    engine.answer("container-inspect-format", 1, &missing, "");
    engine.act(
        "container-inspect-format",
        "[ -e \"$dir/asked\" ] || { : >\"$dir/asked\"; echo 'exited 137 false \"\"'; exit 0; }",
    );
    exits(cage(&machine, "shell"), " was removed or restarted; ", 137);
}

#[test]
fn a_command_whose_client_leaves_it_gets_a_hangup() {
    let machine = machine("running", "echo 'read escape sequence' >&2; exit 1");
    exits(cage(&machine, "shell"), "the engine's client has left the command, which got a hangup", 1);
    assert_eq!(machine.engine().calls().pop().unwrap().first().unwrap(), "container");
    let calls = machine.engine().calls();
    let signal = calls.iter().rev().find(|call| call[0] == "exec").unwrap();
    assert_eq!(signal.last().unwrap(), "1", "{signal:?}");
}

#[test]
fn a_shell_that_ignores_a_signal_is_hung_up() {
    let machine = machine("running", "exec /bin/sleep 60");
    let mut session = cage(&machine, "shell");
    session.process_mut().signal(Signal::SIGTERM).unwrap();
    session.exp_eof().unwrap();
    assert_eq!(signals(&machine), ["15", "1"]);
}

#[test]
fn what_a_program_has_drawn_below_is_erased_unless_it_ended_by_itself() {
    let lives = ("running 0 false", "exec /bin/sleep 60");
    let (killed, ended) = (("exited 137 false", "exit 137"), ("exited 0 false", "exit 0"));
    for (verb, (state, end), screen, is_left) in [
        ("start", lives, "", false),
        ("start", killed, "", false),
        ("shell", killed, "", false),
        ("start", ended, "", true),
        ("shell", ("running 0 false", "exit 7"), "", true),
        // The main screen is as it was.
        ("start", lives, "\\033[?1049h", true),
    ] {
        let draw = format!("printf 'first\\nsecond\\nthird\\nfourth\\r\\033[2A{screen}drawn'; {end}");
        let machine = machine("running", &draw);
        machine.engine().answer("container-inspect-format", 0, "", &format!("{state} \"\"\n"));
        let mut session = start(&machine, verb);
        let before = session.exp_string("drawn").unwrap();
        if end == lives.1 {
            session.send("\x1c").unwrap();
            session.flush().unwrap();
        }
        let shown = before + "drawn" + &session.exp_eof().unwrap();
        let mut parser = vt100::Parser::default();
        parser.process(shown.as_bytes());
        let shown = parser.screen().contents();
        assert!(shown.contains("first\n"), "{shown}");
        assert_eq!(shown.contains("fourth"), is_left, "{verb} {state} {screen}: {shown}");
    }
}

/// Returns the numbers of the signals that were sent to commands inside.
fn signals(machine: &Machine) -> Vec<String> {
    let calls = machine.engine().calls();
    let signals = calls.iter().filter(|call| call.iter().any(|word| word.contains("mark=$1")));
    signals.map(|call| call.last().unwrap().clone()).collect()
}

/// Returns the client, which has written its ID to a file.
fn client(machine: &Machine) -> Pid {
    let file = machine.engine().dir().join("client");
    eventually("the client runs", || fs::read_to_string(&file).is_ok_and(|id| id.ends_with('\n')));
    Pid::from_raw(fs::read_to_string(&file).unwrap().trim().parse().unwrap()).unwrap()
}

/// Returns a process's value of this name, unless the process is gone.
fn status(process: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

fn parent(process: Pid) -> Pid {
    Pid::from_raw(status(process, "PPid:").unwrap().parse().unwrap()).unwrap()
}

#[test]
fn a_client_that_ends_while_cage_is_suspended_has_its_last_words() {
    for verb in ["start", "shell", "run make"] {
        let client_does = "echo $$ >\"$dir/client\"; until [ -e \"$dir/go\" ]; do /bin/sleep 0.1; done; \
                           printf 'last words'; exit 3";
        let machine = machine("running", client_does);
        machine.engine().answer("container-inspect-format", 0, "", "exited 3 false \"\"\n");
        let cage = format!("{} {verb}", env!("CARGO_BIN_EXE_cage"));
        let mut session =
            shell(&machine, &format!("set -m; {cage}; echo at the prompt; read x; fg; echo code=$?."));
        session.exp_string("inside").unwrap();
        let client = client(&machine);
        kill_process(parent(client), rustix::process::Signal::TSTP).unwrap();
        session.exp_string("at the prompt").unwrap();
        fs::write(machine.engine().dir().join("go"), "").unwrap();
        eventually("the client ends", || {
            status(client, "State:").is_some_and(|state| state.starts_with('Z'))
        });
        session.send_line("").unwrap();
        session.exp_string("last words").unwrap();
        session.exp_string("code=3.").unwrap();
    }
}

#[test]
fn cage_ends_when_the_script_that_runs_it_is_killed() {
    let machine = machine("running", "echo $$ >\"$dir/client\"; exec /bin/sleep 60");
    let cage = env!("CARGO_BIN_EXE_cage");
    let script = format!("set -m; /bin/bash -c '{cage} start; true'; echo at the prompt; exec /bin/sleep 60");
    let mut session = shell(&machine, &script);
    session.exp_string("inside").unwrap();
    let client = client(&machine);
    let cage = parent(client);
    kill_process(parent(cage), rustix::process::Signal::KILL).unwrap();
    session.exp_string("at the prompt").unwrap();
    // Nobody else reads it.
    session.send_line("typed").unwrap();
    eventually("cage ends", || [client, cage].iter().all(|process| status(*process, "State:").is_none()));
}

#[test]
fn a_killed_cage_takes_its_client_along_and_hangs_the_command_up() {
    for (verb, hung_up) in
        [("start", &[][..]), ("shell", &["1"]), ("run make", &["1"]), ("run make | /bin/cat", &["1"])]
    {
        let machine = machine("running", "echo $$ >\"$dir/client\"; exec /bin/sleep 60");
        let mut session = shell(&machine, &format!("{} {verb}; echo ended", env!("CARGO_BIN_EXE_cage")));
        session.exp_string("inside").unwrap();
        let client = client(&machine);
        kill_process(parent(client), rustix::process::Signal::KILL).unwrap();
        session.exp_string("ended").unwrap();
        eventually("the client ends", || status(client, "State:").is_none());
        eventually("the command is hung up", || signals(&machine) == hung_up);
    }
}

#[test]
fn a_job_in_the_background_that_waits_for_the_terminal_can_be_ended_and_continued() {
    let stops = "until /bin/ps -o stat= -p $! | /bin/grep -q T; do /bin/sleep 0.1; done";
    let ends =
        "kill -- -$!; kill -CONT -- -$!; while kill -0 $! 2>/dev/null; do /bin/sleep 0.1; done; wait $!";
    for (then, code) in [("fg", 0), (ends, 125)] {
        let machine = machine("running", "read -r line; exit 0");
        let cage = format!("{} run cat", env!("CARGO_BIN_EXE_cage"));
        let mut session = shell(&machine, &format!("set -m; {cage} & {stops}; {then}; echo code=$?."));
        if then == "fg" {
            session.send_line("typed").unwrap();
        }
        session.exp_string(&format!("code={code}.")).unwrap();
    }
}

#[test]
fn a_job_that_does_not_show_its_output_goes_on_in_the_background() {
    let machine = machine("running", "echo $$ >\"$dir/client\"; read -r line; echo got $line; exit 0");
    let (cage, out) = (env!("CARGO_BIN_EXE_cage"), machine.root().join("out"));
    let script =
        format!("set -m; {cage} run cat >{} & read x; echo read $x.; fg; echo code=$?.", out.display());
    let mut session = shell(&machine, &script);
    let cage = parent(client(&machine));
    session.send_line("for the shell").unwrap();
    session.exp_string("read for the shell.").unwrap();
    assert!(!status(cage, "State:").unwrap().starts_with('T'));
    session.exp_string("run cat").unwrap();
    session.send_line("typed").unwrap();
    session.exp_string("code=0.").unwrap();
    assert!(fs::read_to_string(out).unwrap().contains("got typed"));
}

#[test]
fn an_early_detach_key_ends_cage_with_a_word() {
    let machine = machine("running", "exit 0");
    machine.engine().act("inspect", "echo asked >/dev/tty; exec /bin/sleep 20");
    let mut session = start(&machine, "start");
    session.exp_string("asked").unwrap();
    session.send("\x1c").unwrap();
    session.flush().unwrap();
    exits(session, "\r\nerror: interrupted\r\n", 131);
}

#[test]
fn a_detach_key_at_the_end_of_a_restart_detaches() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.engine().act("rename", "kill -QUIT $PPID");
    let session = start(&machine, "restart");
    exits(session, " is running: `cage start` attaches", 0);
    assert!(machine.engine().calls().iter().all(|call| call[0] != "attach"));
}

#[test]
fn nothing_is_left_of_a_cage_that_is_removed() {
    let machine = Machine::in_story(Speaks::Docker, "stopped");
    let name = Cage::of(&machine.project).name;
    let dir = machine.home().join(".local/state/cage").join(format!("{name}.terminals"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("7"), "ended").unwrap();
    fs::write(dir.with_extension("modes"), "{}").unwrap();
    assert_eq!(machine.cage("rm").code, 0);
    let left = machine.state_files();
    assert!(left.iter().all(|file| file.extension().is_some_and(|kind| kind == "lock")), "{left:?}");
}
