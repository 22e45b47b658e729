//! `cage forward`: ports of a running cage on this machine.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::{BUSYBOX_IMAGE, Engine, World};
use crate::common::forwarding::Forwarding;
use crate::common::{eventually, skipped};

on_each_engine!(http_and_websocket_servers_are_reachable);

on_each_engine!(
    clients:
    either_side_may_close_first,
    large_transfers_arrive_unchanged,
    concurrent_connections_are_answered,
    aborted_connections_leave_no_process,
    forward_ends_with_the_cage,
    bash_can_connect_and_busybox_can_not,
);

/// Starts `cage forward WORDS…` in a world.
#[track_caller]
fn forward(world: &World, words: &[&str]) -> Forwarding {
    let mut command = world.command(world.binary());
    command.arg("forward").args(words);
    Forwarding::start(command, words.len())
}

/// Starts the cage, with the server in it at this address.
fn serve(world: &World, address: &str, port: u16) -> Result<(), String> {
    let script = world.project.join("server.pl");
    if !script.exists() {
        world.write(&script, include_str!("server.pl"));
        world.cage("start -d").ok();
    }
    let dir = world.project.display().to_string();
    let errors = format!("{dir}/errors-{port}");
    let run = format!("perl {dir}/server.pl {address} {port} {dir} 2>{errors}");
    world.engine(&format!("exec -d {} sh -c {}", world.name(), shell_words::quote(&run))).ok();
    let listens = format!("grep -q ':{port:04X} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6");
    let mut failed = String::new();
    eventually("the server listens", || {
        failed = fs::read_to_string(&errors).unwrap_or_default();
        !failed.is_empty() || world.inside(&listens).run().code == 0
    });
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

/// Returns the processes of connections in the cage.
fn processes_inside(world: &World) -> usize {
    let count = "for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ | grep -q ^CAGE_SESSION= && echo; done 2>/dev/null | wc -l";
    world.inside(count).ok().out.trim().parse().unwrap()
}

/// Reads one HTTP response with a length.
fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let mut size = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if let Some(length) = line.strip_prefix("Content-Length: ") {
            size = length.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; size];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn http_and_websocket_servers_are_reachable(world: &World) {
    serve(world, "127.0.0.1", 3000).unwrap();
    let six = serve(world, "::1", 3006);
    let name = world.name();
    let forwarding = forward(world, &["0:3000", "0:3006", "0:3999"]);
    assert!(forwarding.said().contains(&format!(" reaches port 3000 in {name}; Ctrl-C ends it\n")));

    // Several requests on one connection, and one whose response ends with the connection.
    let mut stream = BufReader::new(forwarding.connect());
    for path in ["/a", "/b"] {
        stream.get_ref().write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(answer(&mut stream), format!("hello {path}"));
    }
    let mut old = forwarding.connect();
    old.write_all(b"GET /old HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    old.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("until the end"), "{text}");
    websocket(forwarding.connect());

    let get =
        |port| Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/c")]).output().unwrap();
    assert_eq!(get(forwarding.ports[0]).stdout, b"hello /c");
    match six {
        Ok(()) => assert_eq!(get(forwarding.ports[1]).stdout, b"hello /c"),
        Err(why) => skipped(world.engine, &format!("no ::1 in its containers: {}", why.trim())),
    }

    // Nothing listens yet: reported once, and the server may start later.
    for _ in 0..2 {
        assert_eq!(get(forwarding.ports[2]).stdout, b"");
    }
    forwarding.says(&format!("cage: nothing listens on port 3999 in {name} yet\n"));
    serve(world, "127.0.0.1", 3999).unwrap();
    assert_eq!(get(forwarding.ports[2]).stdout, b"hello /c");
    assert_eq!(forwarding.said().matches("nothing listens").count(), 1, "{}", forwarding.said());
}

/// The handshake of RFC 6455, section 1.3, and frames of all lengths but the largest.
fn websocket(mut stream: TcpStream) {
    stream
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut stream = BufReader::new(stream);
    let mut accepted = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        accepted |= line.trim() == "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        if line.trim().is_empty() {
            break;
        }
    }
    assert!(accepted);
    for (number, size) in [5_u16, 0, 125, 126, 60_000].into_iter().enumerate() {
        let text: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let kind = 0x82;
        let mask = [1, 2, 3, u8::try_from(number).unwrap()];
        let mut frame = vec![kind];
        if size < 126 {
            frame.push(0x80 | u8::try_from(size).unwrap());
        } else {
            frame.push(0x80 | 0x7e);
            frame.extend(size.to_be_bytes());
        }
        frame.extend(mask);
        frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        stream.get_ref().write_all(&frame).unwrap();
        let mut back = vec![0; if size < 126 { 2 } else { 4 } + usize::from(size)];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back[0], kind);
        assert!(back.ends_with(&text), "frame {number}");
    }
    stream.get_ref().write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 0]);
}

fn either_side_may_close_first(world: &World) {
    serve(world, "127.0.0.1", 3000).unwrap();
    let forwarding = forward(world, &["0:3000"]);
    // The client closes first: the response comes later and completely.
    assert_eq!(forwarding.ask(&format!("count\n{}", "x".repeat(500_000))), "got 500000");

    // The server closes first: it continues to read.
    let mut stream = forwarding.connect();
    stream.write_all(b"halves\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "bye");
    thread::sleep(Duration::from_millis(300));
    stream.write_all(&vec![b'y'; 300_000]).unwrap();
    drop(stream);
    let got = world.project.join("halves");
    eventually("the server has all", || fs::read_to_string(&got).is_ok_and(|got| got == "300000"));

    // Events arrive when they are sent, not at the end.
    let mut events = BufReader::new(forwarding.connect());
    events.get_ref().write_all(b"GET /events HTTP/1.1\r\n\r\n").unwrap();
    for wanted in ["data: one\n", "data: two\n"] {
        let mut line = String::new();
        while line != wanted {
            line.clear();
            assert_ne!(events.read_line(&mut line).unwrap(), 0);
        }
    }
}

/// The bytes sent at once, and the number of times, in each direction.
const PIECE: usize = 1 << 26;
const PIECES: usize = 4;

fn large_transfers_arrive_unchanged(world: &World) {
    let mut random = vec![0; PIECE];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    let file = world.project.join("random");
    fs::write(&file, &random).unwrap();
    world.give(&file);
    serve(world, "127.0.0.1", 3000).unwrap();
    let forwarding = forward(world, &["0:3000"]);

    let mut stream = forwarding.connect();
    stream.write_all(format!("send {PIECES}\n").as_bytes()).unwrap();
    let mut came = vec![0; PIECE];
    for piece in 0..PIECES {
        stream.read_exact(&mut came).unwrap();
        assert!(came == random, "piece {piece} is another one");
    }
    assert_eq!(stream.read(&mut came).unwrap(), 0);

    let mut stream = forwarding.connect();
    stream.write_all(format!("take {PIECES}\n").as_bytes()).unwrap();
    for _ in 0..PIECES {
        stream.write_all(&random).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "the same");
}

fn concurrent_connections_are_answered(world: &World) {
    serve(world, "127.0.0.1", 3000).unwrap();
    let forwarding = forward(world, &["0:3000"]);
    let before = forwarding.belongings();
    thread::scope(|scope| {
        // Each connection costs podman much of a second of CPU time.
        for number in 0..if world.engine.is_docker() { 100 } else { 30 } {
            let forwarding = &forwarding;
            scope.spawn(move || {
                let answer = forwarding.ask(&format!("GET /{number} HTTP/1.1\r\n\r\n"));
                assert!(answer.ends_with(&format!("hello /{number}")), "{answer}");
            });
        }
    });
    // Some more one after another, if the engine is fast enough.
    for _ in 0..if world.engine == Engine::Docker { 50 } else { 0 } {
        assert!(forwarding.ask("GET /x HTTP/1.1\r\n\r\n").ends_with("hello /x"));
    }
    eventually("all is given back", || forwarding.belongings() == before);
    assert_eq!(processes_inside(world), 0);
    assert!(!forwarding.said().contains("warning"), "{}", forwarding.said());
}

fn aborted_connections_leave_no_process(world: &World) {
    serve(world, "127.0.0.1", 3000).unwrap();
    let mut forwarding = forward(world, &["0:3000"]);
    let before = forwarding.belongings();
    let begin = |forwarding: &Forwarding| {
        let mut stream = forwarding.connect();
        stream.write_all(b"GET /events HTTP/1.1\r\n\r\n").unwrap();
        stream
    };
    // Some connections that have not begun inside, and some whose server stops reading. Unread data makes the end
    // an abrupt one.
    let early: Vec<TcpStream> = (0..5).map(|_| begin(&forwarding)).collect();
    drop(early);
    let late: Vec<TcpStream> = (0..10).map(|_| begin(&forwarding)).collect();
    eventually("all have an answer", || {
        late.iter().all(|stream| stream.peek(&mut [0; 200]).is_ok_and(|size| size > 0))
    });
    assert!(processes_inside(world) > 0, "the control");
    drop(late);
    eventually("all is given back", || forwarding.belongings() == before);
    eventually("nothing is left inside", || processes_inside(world) == 0);

    // cage itself, with a signal that it can handle and one that it can't.
    for (signal, code) in [(Signal::TERM, Some(0)), (Signal::KILL, None)] {
        let streams: Vec<TcpStream> = (0..3).map(|_| begin(&forwarding)).collect();
        eventually("all have an answer", || {
            streams.iter().all(|stream| stream.peek(&mut [0; 200]).is_ok_and(|size| size > 0))
        });
        forwarding.kill(signal);
        if let Some(code) = code {
            forwarding.exits(code);
            assert_eq!(processes_inside(world), 0);
            forwarding = forward(world, &["0:3000"]);
        } else {
            eventually("nothing is left inside", || processes_inside(world) == 0);
        }
    }
}

fn forward_ends_with_the_cage(world: &World) {
    world.cage("forward 0:3000").exits(1).says("error: No container for ");
    serve(world, "127.0.0.1", 3000).unwrap();
    let name = world.name();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    world.cage(&format!("forward {taken}:3000")).exits(1).says(&format!("port 127.0.0.1:{taken} is taken\n"));
    drop(listener);
    for (command, words) in [("stop", "has stopped"), ("rm", "was removed or replaced")] {
        world.cage("start -d").ok();
        let mut forwarding = forward(world, &["0:3000"]);
        let mut stream = forwarding.connect();
        if command == "stop" {
            stream.write_all(b"GET /events HTTP/1.1\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 10]).unwrap();
        }
        world.cage(command).ok();
        forwarding.exits(1);
        eventually("it says why", || {
            // A removed container has stopped first.
            let said = |words: &str| {
                forwarding.said().contains(&format!("error: {name} {words}\nhint: `cage start` "))
            };
            said(words) || (command == "rm" && said("has stopped"))
        });
        assert!(!forwarding.said().contains("warning"), "{}", forwarding.said());
        // The program inside notices, too.
        let end = io::copy(&mut stream, &mut io::sink());
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    }
}

fn bash_can_connect_and_busybox_can_not(world: &World) {
    serve(world, "127.0.0.1", 3000).unwrap();
    world.engine(&format!("exec --user 0 {} mv /usr/bin/perl /root/", world.name())).ok();
    let forwarding = forward(world, &["0:3000", "0:3999"]);
    assert!(forwarding.ask("GET /old HTTP/1.0\r\n\r\n").ends_with("until the end"));
    let mut refused = TcpStream::connect(("127.0.0.1", forwarding.ports[1])).unwrap();
    assert_eq!(refused.read(&mut [0; 9]).unwrap(), 0);
    forwarding.says("cage: nothing listens on port 3999 in ");
    drop(forwarding);
    world.cage("rm").ok();

    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", BUSYBOX_IMAGE);
    cage("start -d").ok();
    cage("forward 0:3000").exits(1).says(&format!(
        "error: nothing in {} can connect to a port\nhint: install perl, python3 or bash in it; or publish the port",
        world.name()
    ));
}
