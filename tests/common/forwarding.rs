//! `cage forward` as a process that a test talks to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// `cage forward` at work.
pub struct Forwarding {
    /// Its process.
    pub process: Child,
    /// The ports of this machine.
    pub ports: Vec<u16>,
    said: Arc<Mutex<String>>,
}

impl Forwarding {
    /// Starts it, and waits until it has told as many ports.
    #[track_caller]
    pub fn start(mut command: Command, ports: usize) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().unwrap().extend([line.as_str(), "\n"]);
            }
        });
        let mut forwarding = Self { process, ports: Vec::new(), said };
        eventually("it forwards", || {
            let said = forwarding.said();
            assert!(forwarding.process.try_wait().unwrap().is_none(), "it ended: {said}");
            let told = said
                .lines()
                .filter_map(|line| line.strip_prefix("cage: 127.0.0.1:")?.split(' ').next()?.parse().ok());
            forwarding.ports = told.collect();
            forwarding.ports.len() == ports
        });
        forwarding
    }

    /// Connects to the first port.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[0])).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// What comes back of a text once nothing more is to be said.
    pub fn ask(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        // One that is cut off is an answer, too.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// What it has told so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has told this.
    #[track_caller]
    pub fn says(&self, text: &str) {
        eventually(&format!("it says {text:?}"), || self.said().contains(text));
    }

    /// How many descriptors, threads and children it has.
    pub fn belongings(&self) -> [usize; 3] {
        let process = format!("/proc/{}", self.process.id());
        let count = |of: &str| fs::read_dir(format!("{process}/{of}")).unwrap().count();
        let parent = format!(" {} ", self.process.id());
        let is_child =
            |stat: &String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest[1..].starts_with(&parent));
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        [count("fd"), count("task"), stats.filter(is_child).count()]
    }

    /// Sends it a signal.
    pub fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end, with this exit code.
    #[track_caller]
    pub fn exits(&mut self, code: i32) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it goes on: {}", self.said());
            thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(code), "{}", self.said());
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
