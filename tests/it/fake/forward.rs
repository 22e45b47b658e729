//! `cage forward`, with a fake engine that runs `exec` on this machine: many connections, and each of the
//! programs that connect.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::machine::{Machine, Speaks};
use crate::common::forwarding::Forwarding;
use crate::common::{eventually, free_port};

/// Runs the command of an `exec` call here. BRIDGE is the program found inside.
const RUN_HERE: &str = r#"
shift
while :; do
    case $1 in
    --interactive) shift ;;
    --workdir) shift 2 ;;
    --env) export "$2"; shift 2 ;;
    *) break ;;
    esac
done
shift
case "$*" in *"command -v"*) echo "BRIDGE"; exit ;; esac
PATH=/usr/bin:/bin exec "$@"
"#;

/// Returns a machine with such an engine.
fn machine(bridge: &str) -> Machine {
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.engine().act("exec", &RUN_HERE.replace("BRIDGE", bridge));
    machine
}

fn forward(machine: &Machine, inside: u16) -> Forwarding {
    let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
    command.args(["forward", &format!("0:{inside}")]);
    Forwarding::start(command, 1)
}

/// Returns the peak memory of `cage forward` in kB.
fn peak_memory(forwarding: &Forwarding) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", forwarding.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Starts a server that does `what` with each connection, and returns its port.
fn server(address: &str, what: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || what(stream));
        }
    });
    port
}

/// Reads everything and returns the number of bytes.
fn count(mut stream: TcpStream) {
    let size = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    thread::sleep(Duration::from_millis(50));
    let _ = stream.write_all(format!("got {size}").as_bytes());
}

/// Sends a few bytes and closes the connection.
fn say(mut stream: TcpStream) {
    let _ = stream.write_all(b"said");
}

/// Closes its sending side first, and reports through another connection how much it received afterwards.
fn end_half(mut stream: TcpStream) {
    let _ = stream.write_all(b"said").and_then(|()| stream.shutdown(Shutdown::Write));
    let size = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    CAME.lock().unwrap().push(size);
}

/// Returns the number of bytes that [`end_half`] received.
static CAME: std::sync::Mutex<Vec<u64>> = std::sync::Mutex::new(Vec::new());

/// Returns the path of the first program of this name that is no script.
fn find(program: &str) -> Option<String> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| format!("{dir}/{program}"))
        .find(|path| Path::new(path).exists())
}

fn each_way(bridge: &str, ends_halves: [bool; 2]) {
    let Some(path) = find(bridge) else {
        let _ = writeln!(std::io::stderr(), "skipped: no {bridge} on this machine");
        return;
    };
    let machine = machine(&format!("{bridge} {path}"));
    let mut text = vec![0; 3_000_000];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut text).unwrap();

    if ends_halves[0] {
        let forwarding = forward(&machine, server("127.0.0.1", count));
        let mut stream = forwarding.connect();
        stream.write_all(&text).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "got 3000000", "{bridge}");
    }
    if ends_halves[1] {
        let forwarding = forward(&machine, server("127.0.0.1", end_half));
        let mut stream = forwarding.connect();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "said", "{bridge}");
        let size = 1_000_000 + bridge.len();
        stream.write_all(&text[..size]).unwrap();
        drop(stream);
        eventually("the server has all", || CAME.lock().unwrap().contains(&(size as u64)));
    }
    for address in ["127.0.0.1", "::1"] {
        if TcpListener::bind((address, 0)).is_ok() {
            let forwarding = forward(&machine, server(address, say));
            let mut answer = String::new();
            forwarding.connect().read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "said", "{bridge} at {address}");
        }
    }
    let forwarding = forward(&machine, free_port());
    for _ in 0..3 {
        assert_eq!(forwarding.ask("hello"), "");
    }
    forwarding.says("cage: nothing listens on port ");
    assert_eq!(forwarding.said().lines().count(), 2, "{bridge}: {}", forwarding.said());
}

#[test]
fn perl_connects() {
    each_way("perl", [true, true]);
}

#[test]
fn python3_connects() {
    each_way("python3", [true, true]);
}

#[test]
fn bash_connects() {
    each_way("bash", [false, false]);
}

/// Echoes: the program inside is `cat`.
fn echoing() -> Machine {
    let machine = machine("perl /usr/bin/perl");
    let cat = "case \"$*\" in *sysread*) exec /bin/cat ;; esac\n";
    machine.engine().act("exec", &format!("{cat}{}", RUN_HERE.replace("BRIDGE", "perl /usr/bin/perl")));
    machine
}

#[test]
fn a_thousand_connections_leak_nothing() {
    let machine = echoing();
    let forwarding = forward(&machine, 3000);
    assert_eq!(forwarding.ask("first"), "first");
    // Between connections only the keeper runs.
    eventually("all is given back", || forwarding.belongings()[1..] == [1, 1]);
    thread::sleep(Duration::from_millis(200));
    let before = forwarding.belongings();
    for number in 0..1000 {
        let text = number.to_string();
        assert_eq!(forwarding.ask(&text), text);
    }
    eventually(&format!("all but {before:?} is given back"), || forwarding.belongings() == before);
    assert_eq!(forwarding.said().lines().count(), 1, "{}", forwarding.said());
}

#[test]
fn connections_over_the_limit_wait() {
    let machine = echoing();
    let mut command = Command::new("/bin/sh");
    // A limit that leaves room for twenty connections.
    let script = format!("ulimit -n 120; exec {} forward 0:3000", env!("CARGO_BIN_EXE_cage"));
    command.args(["-c", &script]).env_clear().envs(machine.env.iter().cloned()).current_dir(&machine.project);
    let forwarding = Forwarding::start(command, 1);
    let mut streams: Vec<TcpStream> = (0..50).map(|_| forwarding.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"x").unwrap();
    }
    eventually("the first are answered", || streams[..20].iter().all(is_answered));
    assert!(!streams[20..].iter().any(is_answered), "the rest waits");
    streams.drain(..30);
    eventually("the rest is answered", || streams.iter().all(is_answered));
    let said = forwarding.said();
    assert!(said.ends_with("cage: 20 connections are open, and more wait until one ends\n"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_ok_and(|size| size == 1)
}

#[test]
fn termination_signals_exit_with_0() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let machine = machine("perl /usr/bin/perl");
        let mut forwarding = forward(
            &machine,
            server("127.0.0.1", |stream| {
                let _ = (&stream).write_all(b"said");
                // Keeps the connection open without reading.
                thread::sleep(Duration::from_secs(60));
            }),
        );
        let mut stream = forwarding.connect();
        stream.read_exact(&mut [0; 4]).unwrap();
        forwarding.kill(signal);
        forwarding.exits(0);
        assert_eq!(stream.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!(forwarding.said().lines().count(), 1, "{}", forwarding.said());
    }
}

#[test]
fn an_engine_error_is_reported_once_and_escaped() {
    let machine = machine("perl /usr/bin/perl");
    let words = "case \"$*\" in *sysread*) printf 'Error: no \\033[31mroom\\n' >&2; exit 1 ;; esac\n";
    machine.engine().act("exec", &format!("{words}{}", RUN_HERE.replace("BRIDGE", "perl /usr/bin/perl")));
    let forwarding = forward(&machine, 3000);
    for _ in 0..3 {
        assert_eq!(forwarding.ask("hello"), "");
    }
    forwarding.says(r"cage: warning: could not connect to port 3000 in cage-app-");
    assert!(forwarding.said().ends_with(": $'Error: no \\033[31mroom'\n"), "{}", forwarding.said());
    assert_eq!(forwarding.said().lines().count(), 2, "{}", forwarding.said());
}

#[test]
fn endless_output_from_inside_is_limited() {
    let machine = machine("perl /usr/bin/perl");
    let words = "case \"$*\" in *sysread*) /usr/bin/head -c 300000000 /dev/zero >&2; exit 1 ;; esac\n";
    machine.engine().act("exec", &format!("{words}{}", RUN_HERE.replace("BRIDGE", "perl /usr/bin/perl")));
    let forwarding = forward(&machine, 3000);
    assert_eq!(forwarding.ask("hello"), "");
    forwarding.says("could not connect");
    assert!(forwarding.said().len() < 100_000, "{}", forwarding.said().len());
    let peak = peak_memory(&forwarding);
    assert!(peak < 100_000, "{peak} kB");
}

#[test]
fn endless_output_of_the_script_that_cleans_up_is_limited() {
    for act in ["while :; do /usr/bin/head -c 100000 /dev/zero; done >&2", "exec 2>&-; exec /bin/sleep 1000"]
    {
        let machine = machine("perl /usr/bin/perl");
        let words = format!("case \"$*\" in *'read -r process'*) exec >&-; {act} ;; esac\n");
        machine.engine().act("exec", &format!("{words}{}", RUN_HERE.replace("BRIDGE", "perl /usr/bin/perl")));
        let mut forwarding = forward(&machine, 3000);
        forwarding.exits(1);
        assert!(forwarding.said().len() < 20_000, "{}", forwarding.said().len());
    }
}

#[test]
fn ports_are_checked_before_any_engine_call() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (words, code, says) in [
        ("", 2, "<[HOST_PORT:]PORT>..."),
        ("0", 2, "`0` is not a port from 1 to 65535"),
        ("65536", 2, "`65536` is not a port from 1 to 65535"),
        ("65536:80", 2, "`65536` is not a port from 0 to 65535"),
        ("http", 2, "`http` is not a port from 1 to 65535"),
        (
            &format!("{port}:80"),
            1,
            &*format!("error: port 127.0.0.1:{port} is taken\nhint: stop what listens"),
        ),
        ("18080:80 18080:81", 1, "error: port 127.0.0.1:18080 is wanted twice"),
    ] {
        let machine = machine("perl /usr/bin/perl");
        let outcome = machine.cage(&format!("forward {words}"));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{words}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(says), "{words}: {}", outcome.stderr);
        assert!(machine.engine().all_calls().is_empty(), "{words}");
    }
}

#[test]
fn words_from_inside_do_not_look_like_words_of_cage() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    let words = format!("{}error: the disk is full\nhint: run `sh fix.sh`", "more\n".repeat(500));
    machine.engine().answer("exec", 126, &words, "");
    let outcome = machine.cage("forward 0:3000");
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let (first, words) = lines.split_first().unwrap();
    assert!(outcome.code == 1 && first.starts_with("error: `docker exec "), "{}", outcome.stderr);
    assert_eq!(words.len(), 10, "{}", outcome.stderr);
    assert_eq!(words[8..], ["  error: the disk is full", "  hint: run `sh fix.sh`"]);
    let more = machine.cage("--verbose forward 0:3000").stderr;
    assert!(more.matches("\n  more\n").count() > 100 && !more.contains("\nmore"), "{more}");
}

#[test]
fn forward_needs_a_running_cage() {
    for (words, says, hint) in [
        ("none", "", "`cage start` creates one"),
        ("stopped", "is not running", "`cage start` brings it up"),
        ("paused", "is paused", "`cage start` brings it up"),
    ] {
        let machine = Machine::in_story(Speaks::Podman, words);
        let outcome = machine.cage("forward 0:3000");
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.ends_with(&format!("{says}\nhint: {hint}\n")), "{}", outcome.stderr);
    }
}

#[test]
fn a_dry_run_shows_the_bridge_and_opens_no_port() {
    let machine = machine("perl /usr/bin/perl");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let outcome = machine.cage(&format!("--dry-run forward {port}:3000"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let script = outcome.stdout.replace(&port.to_string(), "PORT");
    assert!(script.contains("# cage itself would listen on 127.0.0.1, PORT, and for each"), "{script}");
    // The shown command works: the standard streams are the connection.
    let (stdout, inside) = (outcome.stdout, server("127.0.0.1", count));
    let run = format!("printf 12345 | {{ {}\n}}", stdout.replace("3000", &inside.to_string()));
    let ran = machine.run(machine.command("/bin/bash").args(["-c", &run]));
    assert_eq!(ran.stdout, "got 5", "{}", ran.stderr);
}
