//! A machine for one test: a home, a project, and fake engines alone in PATH. [`Machine::in_story`] sets it up from
//! words (`stopped, newer image`), [`stories`] tells what happens there.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The default image.
pub const IMAGE: &str = "ghcr.io/pacificsky/devcontainer-lite:latest";
pub const IMAGE_ID: &str = "f6e3c425f2e58629d80d1ec4c1a2ce93e5049e1f94fe2b2d3a9845e205824413";
const OLD_IMAGE_ID: &str = "84961777dbfb0467aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The dialect of a fake engine, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Docker,
    Podman,
}

pub struct Machine {
    root: TempDir,
    /// The directory in which cage is started.
    pub project: PathBuf,
    pub env: Vec<(&'static str, OsString)>,
    pub engines: Vec<Engine>,
}

impl Machine {
    /// Returns a machine without an engine, with an empty project `app`.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().canonicalize().unwrap();
        for dir in ["bin", "home/.config/cage", "src/app"] {
            fs::create_dir_all(at.join(dir)).unwrap();
        }
        let env = vec![
            ("PATH", at.join("bin").into()),
            ("HOME", at.join("home").into()),
            // The time zone must not depend on the machine that runs the tests.
            ("TZ", "Asia/Tokyo".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ];
        Self { project: at.join("src/app"), root, env, engines: Vec::new() }
    }

    /// Returns a machine with one engine in the state that `words` describe; see [`Machine::word`].
    pub fn in_story(speaks: Speaks, words: &str) -> Self {
        let mut machine = Self::new();
        machine.install(if speaks == Speaks::Docker { "docker" } else { "podman" }, speaks);
        let words: Vec<&str> = words.split(", ").collect();
        let has = |word: &str| words.contains(&word);
        let image = if has("local image") { "lab" } else { IMAGE };
        if has("local image") {
            machine.env.push(("CAGE_IMAGE", image.into()));
        }
        let mut cage = Cage::of(&machine.project);
        cage.image = image;
        if !has("image missing") {
            machine.engine().image(image, IMAGE_ID);
        }
        for word in words {
            machine.word(word, &mut cage);
        }
        machine.engine().add(&cage);
        machine.engine().tell_cages(&if cage.status.is_empty() { vec![] } else { vec![cage] });
        machine
    }

    fn word(&self, word: &str, cage: &mut Cage) {
        let engine = self.engine();
        let docker = engine.speaks == Speaks::Docker;
        match word {
            "none" | "local image" => {}
            "image missing" => {
                engine.answer("run.before-pull", 125, "Error: No such image: lab", "");
                // The image's user is the one that a dry run assumes.
                let user = ["vscode", "501", "20", "/home/vscode"].map(str::to_owned);
                engine.answer("run", 0, "", &image_facts(&user));
            }
            "created" | "running" | "paused" | "dead" | "restarting" | "removing" => cage.status = word.into(),
            "stopped" => cage.status = "exited".into(),
            "appears late" => cage.then = &["", "running"],
            "settles running" | "appears" => cage.then = &["running"],
            "settles gone" => cage.then = &[""],
            "newer image" => cage.image_id = OLD_IMAGE_ID,
            "other image" => cage.image = "ghcr.io/other/image:2",
            "published" => cage.options = "-p 127.0.0.1:3000:3000",
            "options of a newer cage" => cage.options = "--no-root --of-tomorrow",
            "stranger" => cage.labels = Vec::new(),
            "other project" => cage.labels = vec![("cage.project".into(), "/elsewhere/app".into())],
            "no home" if docker => engine.answer(
                "volume-inspect",
                1,
                "Error response from daemon: get cage-home: no such volume",
                "",
            ),
            "no home" => engine.answer(
                "volume-inspect",
                125,
                "Error: inspecting object: no such volume cage-home",
                "",
            ),
            "ready home" => {
                fs::create_dir(engine.dir.join("volume-cage-home")).unwrap();
                fs::write(engine.dir.join("volume-cage-home/.profile"), "").unwrap();
                if !docker {
                    // docker isn't asked for it together with containers.
                    let at = engine.dir.join("volume-cage-home");
                    let volume = json!({"Name": "cage-home", "Driver": "local", "Mountpoint": at, "Options": {}});
                    engine.object("cage-home", &volume.to_string());
                }
            }
            // A ready home has the second one.
            "seed" | "kept seed" => {
                let file = if word == "seed" { ".vimrc" } else { ".profile" };
                fs::create_dir(self.home().join(".config/cage/home")).unwrap();
                fs::write(self.home().join(".config/cage/home").join(file), "").unwrap();
            }
            "offline" if docker => engine.answer(
                "pull",
                1,
                "Error response from daemon: Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io: no such host",
                "",
            ),
            "offline" => engine.answer(
                "pull",
                125,
                "Error: initializing source docker://ghcr.io/x: pinging container registry ghcr.io: no such host",
                "",
            ),
            "create fails" => engine.answer(
                "create",
                1,
                "Error response from daemon: mkdir /var/lib/docker/x: no space left on device",
                "",
            ),
            "start fails" => engine.answer(
                "start",
                1,
                "Error response from daemon: driver failed programming external connectivity on endpoint x: \
                 Bind for 127.0.0.1:3000 failed: port is already allocated",
                "",
            ),
            _ => panic!("what is `{word}`?"),
        }
    }

    /// Installs a fake engine as `name`.
    pub fn install(&mut self, name: &'static str, speaks: Speaks) -> &Engine {
        let program = self.root().join("bin").join(name);
        // A link, not a copy: a program that a sibling test's child still has open for writing can't be run.
        symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fake/engine"), &program).unwrap();
        let engine = Engine { speaks, dir: program.with_extension("d") };
        fs::create_dir_all(engine.dir.join("objects")).unwrap();
        let (code, version, missing) = match speaks {
            Speaks::Docker => (
                1,
                "Docker version 28.2.2, build e6534b4",
                [
                    ("inspect", "Error: No such object: %s"),
                    ("container-inspect", "Error response from daemon: No such container: %s"),
                    ("image-inspect", "Error response from daemon: no such image: %s"),
                ],
            ),
            Speaks::Podman => (
                125,
                "podman version 4.3.1",
                [
                    ("inspect", "Error: inspecting object: no such object: \"%s\""),
                    ("container-inspect", "Error: inspecting object: no such container %s"),
                    ("image-inspect", "Error: inspecting object: %s: image not known"),
                ],
            ),
        };
        engine.answer("--version", 0, "", &format!("{version}\n"));
        // An image whose user is the user of the tests needs no mapping.
        engine.answer(
            "info-format",
            0,
            "",
            r#"{"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "Name": "vm"}"#,
        );
        engine.answer("run", 0, "", &image_facts(&engine.image_user()));
        for (call, words) in missing {
            fs::write(engine.dir.join(format!("missing-{call}")), format!("{code}\n{words}\n")).unwrap();
        }
        self.engines.push(engine);
        self.engine()
    }

    /// Returns the engine that was installed last.
    pub fn engine(&self) -> &Engine {
        self.engines.last().unwrap()
    }

    pub fn root(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap()
    }

    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// Creates the socket of an SSH agent and sets the variable. It listens as long as the listener lives.
    pub fn agent(&mut self) -> (PathBuf, UnixListener) {
        let socket = self.root().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        self.env.push(("SSH_AUTH_SOCK", socket.clone().into()));
        (socket, listener)
    }

    /// Returns cage's files in the home, but for what it remembers of the engine.
    pub fn state_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.home().join(".local/state/cage"));
        let mut files: Vec<PathBuf> =
            files.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        let is_of_engine = |name: &str| {
            name.starts_with("writable.") || name.starts_with("image.") || name == "podman.seccomp"
        };
        files.retain(|file| !is_of_engine(file.file_name().unwrap().to_str().unwrap()));
        files.sort();
        files
    }

    /// Moves to another project directory with this name.
    pub fn enter(&mut self, name: impl AsRef<Path>) {
        self.project = self.root().join("src").join(name);
        fs::create_dir_all(&self.project).unwrap();
    }

    /// Returns the command that starts `program` on this machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env.iter().cloned()).current_dir(&self.project).stdin(Stdio::null());
        command
    }

    /// Runs cage with these arguments.
    pub fn cage(&self, args: &str) -> Outcome {
        self.cage_args(shell_words::split(args).unwrap())
    }

    pub fn cage_args(&self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Outcome {
        self.run(self.command(env!("CARGO_BIN_EXE_cage")).args(args.into_iter().map(Into::into)))
    }

    /// Runs a command and records its engine calls.
    pub fn run(&self, command: &mut Command) -> Outcome {
        for engine in &self.engines {
            engine.forget();
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        Outcome {
            // As shells tell.
            code: output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            calls: self.engines.iter().flat_map(Engine::calls).collect(),
        }
    }

    /// Returns a transcript with the names of this machine replaced: `> ` the calls, `| ` a line on stdout, `= ` the
    /// exit code if it isn't 0.
    pub fn transcript(&self, outcome: &Outcome) -> String {
        let calls = outcome.calls.iter().map(|call| brief(&self.anonymous_call(call)));
        let calls: Vec<String> = calls.filter(|call| !call.is_empty()).collect();
        let mut calls = calls.join(" ; ");
        // The safety queries before a cage is created.
        let (all, home) = ("ps --all --filter label=cage.project --format {{.ID}}", "HOME cage-home");
        if calls.contains("LOOK") {
            for others in ["", " ; container inspect ID"] {
                calls = calls.replace(&format!("{all}{others} ; {home}"), "SAFE");
            }
        }
        calls = calls.replace(&format!("{all} ; start"), "OTHERS ; start");
        // The search for a cage that the script named after a path with links.
        for others in [" ; container inspect ID", ""] {
            calls = calls.replace(&format!(" ; {all}{others}"), "");
        }
        let all = "volume ls --format {{.Name}}";
        calls = calls.replace(
            &format!("volume ls --filter label=cage.project --format {{{{.Name}}}} ; {all}"),
            "HOMES",
        );
        let mut text = if calls.is_empty() { String::new() } else { format!("> {calls}\n") };
        // On a busy machine any step may print its message for slow steps.
        let is_slow =
            |line: &&str| line.starts_with("cage: ") && line.ends_with("...\n") && !line.contains("Pulling");
        text.extend(outcome.stderr.split_inclusive('\n').filter(|line| !is_slow(line)));
        // The isolation has tests of its own.
        for line in outcome.stdout.lines().take_while(|line| !line.starts_with("Engine: ")) {
            let _ = writeln!(text, "| {line}");
        }
        if outcome.code != 0 {
            let _ = writeln!(text, "= {}", outcome.code);
        }
        self.anonymous(&text)
    }

    /// Returns a call with names replaced.
    pub fn anonymous_call(&self, call: &[String]) -> Vec<String> {
        call.iter().map(|word| self.anonymous(word)).collect()
    }

    /// Returns `text` with the names of this machine and this run replaced.
    pub fn anonymous(&self, text: &str) -> String {
        let cage = Cage::of(&self.project);
        let inode = cage.labels[1].1.clone();
        without_sessions(text)
            .replace(&format!("cage.inode={inode}"), "cage.inode=INODE")
            .replace(&self.project.display().to_string(), "DIR")
            .replace(&self.root().display().to_string(), "ROOT")
            .replace(&cage.id[..12], "ID")
            .replace(&cage.name, "NAME")
            .replace(IMAGE, "IMAGE")
            .replace(&format!("sha256:{IMAGE_ID}"), "IMAGE_ID")
            .replace(IMAGE_ID, "IMAGE_ID")
    }
}

/// Returns a call on one line: only what differs from case to case, so that a story needs no change when every `create` or `exec`
/// gets another flag: the flags have tests of their own. What one question asks for, and scripts, go by a name.
fn brief(call: &[String]) -> String {
    let mut words: Vec<&str> = call.iter().map(|word| script_name(word).unwrap_or(word)).collect();
    // Only podman is asked for it together with containers.
    words.pop_if(|last| *last == "cage-home" && call[0] == "inspect");
    let is_image = |word: &&str| ["IMAGE", "lab", "IMAGE_ID"].contains(word);
    let is_container = |word: &&str| ["NAME", "ID"].contains(word);
    let from = |what: &dyn Fn(&&str) -> bool| &words[words.iter().position(what).unwrap_or(1)..];
    let told: Vec<&str> = match words.as_slice() {
        ["inspect", "NAME", "NAME.new", image] if is_image(image) => vec!["LOOK"],
        ["run", ..] if words.contains(&"ASK-USER") => vec!["ASK-USER"],
        ["volume", "inspect", home] => vec!["HOME", home],
        // podman's query for the same. For docker there may be no such query.
        ["exec", .., "ID", "/bin/sh", "-c", "SETTLE", "sh", ""] => vec![],
        ["exec", .., "/bin/sh", "-c", ":"] | ["exec", .., "/bin/sh", "-c", "SETTLE", "sh", ""] => {
            vec!["ALIVE"]
        }
        ["create" | "run", ..] => {
            let told = |pair: &&[&str]| {
                ["--name", "--publish"].contains(&pair[0]) || pair[1].contains("target=/cage-")
            };
            let flags = words.windows(2).filter(told).flatten().copied();
            // The arguments of a script depend on the user who runs the test.
            let inside = from(&is_image).iter().filter(|word| **word != "-c").copied();
            let script = inside.clone().position(|word| ["PREPARE", "RESET"].contains(&word));
            let end = script.map_or(usize::MAX, |index| index + 1);
            [words[0]].into_iter().chain(flags).chain(inside.take(end)).collect()
        }
        // A command or shell, without the list of variables to unset.
        ["exec", .., "EXEC-COMMAND", "sh", dir, _, "--"] => {
            let container = from(&is_container)[0];
            let inside: &[&str] = if dir.is_empty() { &[] } else { &["in", dir] };
            [&["exec", container], inside, &["SHELL"]].concat()
        }
        ["exec", ..] if words.contains(&"EXEC-COMMAND") => {
            let container = from(&is_container)[0];
            let command = from(&|word| *word == "EXEC-COMMAND");
            [&["exec", container, "in", command[2]], &command[5..]].concat()
        }
        ["container", "inspect", first, ..] if first.starts_with("cage-") => vec!["ABOVE"],
        ["exec", ..] => {
            let inside = from(&is_container).iter().filter(|word| **word != "-c").copied();
            [words[0]].into_iter().chain(inside).collect()
        }
        _ => words,
    };
    told.join(" ")
}

/// Returns `text` with everything replaced that differs between runs: process IDs, times and secrets.
fn without_sessions(text: &str) -> String {
    let text = without_value(text, "CAGE_SESSION=", "SESSION", |c| c.is_ascii_digit() || c == '-');
    let text = without_value(&text, "cage.since=", "TIME", |c| c.is_ascii_digit());
    without_value(&text, "cage.seen=", "DIGESTS", |c| c.is_ascii_hexdigit())
}

fn without_value(text: &str, mark: &str, name: &str, is_part: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(mark);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(&is_part);
        let name = if rest.len() == part.len() { "" } else { name };
        replaced = replaced + mark + name + rest;
    }
    replaced
}

/// Returns what an image with this user says of itself.
fn image_facts(user: &[String; 4]) -> String {
    let row = format!("{}:x:{}:{}::{}:/bin/sh\n", user[0], user[1], user[2], user[3]);
    format!("{}\n\n/etc/passwd {}\n{row}end\n", user.join("\n"), row.len())
}

fn script_name(word: &str) -> Option<&'static str> {
    let names = [
        ("id -un", "ASK-USER"),
        ("/cage-seed", "PREPARE"),
        ("rm -rf", "RESET"),
        ("exit 125", "EXEC-COMMAND"),
        ("kill -", "SIGNAL"),
        ("host.containers.internal", "SETTLE"),
    ];
    names.into_iter().find(|(part, _)| word.contains(part) && word.contains(' ')).map(|(_, name)| name)
}

pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The engine calls, without the queries for the version.
    pub calls: Vec<Vec<String>>,
}

impl Outcome {
    /// Returns the calls that change something.
    pub fn changes(&self) -> Vec<&[String]> {
        let is_query = |call: &[String]| {
            call[..2.min(call.len())]
                .iter()
                .any(|word| ["inspect", "ps", "info", "context", "ls", "images"].contains(&word.as_str()))
                || call.iter().any(|word| script_name(word) == Some("ASK-USER"))
                || call.ends_with(&["/bin/sh", "-c", ":"].map(str::to_owned))
        };
        self.calls.iter().map(Vec::as_slice).filter(|call| !is_query(call)).collect()
    }

    /// Returns the call of this name, which must exist.
    pub fn call(&self, name: &str) -> &[String] {
        self.calls
            .iter()
            .find(|call| call[0] == name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.calls))
    }

    /// Asserts that both streams have only harmless text: no control characters, none that reorder text.
    pub fn assert_harmless(&self) {
        for text in [&self.stdout, &self.stderr] {
            let bad = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
            assert!(!text.contains(bad), "{text:?}");
        }
    }
}

pub struct Engine {
    pub speaks: Speaks,
    dir: PathBuf,
}

impl Engine {
    /// The directory with its calls and answers.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sets the answer to all calls of a kind (`create`, `container-inspect`, `image-inspect-format`).
    pub fn answer(&self, call: &str, code: i32, stderr: &str, stdout: &str) {
        let stderr = stderr.replace('\n', "\\n");
        fs::write(self.dir.join(call), format!("{code}\n{stderr}\n{stdout}")).unwrap();
    }

    /// Sets the answer to the next call of a kind.
    pub fn first(&self, call: &str, code: i32, stderr: &str) {
        self.answer(&format!("{call}.first"), code, stderr, "");
    }

    /// Runs a shell script at each call of a kind, before the answer.
    pub fn act(&self, call: &str, script: &str) {
        fs::write(self.dir.join(format!("{call}.sh")), script).unwrap();
    }

    /// Makes the engine unreachable.
    pub fn is_down(&self) {
        let words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        self.refuses_all(words);
    }

    /// Makes the socket inaccessible to the user.
    pub fn is_forbidden(&self) {
        let words = "permission denied while trying to connect to the Docker daemon socket at \
                     unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied";
        self.refuses_all(words);
    }

    fn refuses_all(&self, words: &str) {
        for call in ["inspect", "container-inspect", "image-inspect", "volume-inspect", "ps", "pull"] {
            self.answer(call, 1, words, if call.ends_with("inspect") { "[]\n" } else { "" });
        }
    }

    /// Prints a warning on stderr at every call.
    pub fn notice(&self, words: &str) {
        fs::write(self.dir.join("notice"), format!("{words}\n")).unwrap();
    }

    /// Adds an image.
    pub fn image(&self, name: &str, id: &str) {
        let id = self.image_id(id);
        let json =
            json!({"Id": id, "Created": "2026-11-23T14:48:27.577478026Z", "RootFS": {"Type": "layers"}})
                .to_string();
        self.object(name, &json);
        self.object(&id, &json);
        self.answer("image-inspect-format", 0, "", &format!("{id}\n"));
    }

    /// Adds a container; without a status it doesn't exist yet.
    pub fn add(&self, cage: &Cage) {
        for key in [&cage.name, &cage.id[..12]] {
            self.object(key, &cage.json(self));
            for (number, status) in cage.then.iter().enumerate() {
                let then = Cage { status: (*status).into(), ..cage.clone() };
                self.object(&format!("{key}{}", ".then".repeat(number + 1)), &then.json(self));
            }
        }
    }

    /// Makes `ps` list these.
    pub fn tell_cages(&self, cages: &[Cage]) {
        let lines = cages.iter().fold(String::new(), |lines, cage| format!("{lines}{}\n", &cage.id[..12]));
        self.answer("ps", 0, "", &lines);
    }

    /// Returns what the engine read from stdin.
    pub fn stdin(&self) -> String {
        fs::read_to_string(self.dir.join("stdin")).unwrap_or_default()
    }

    /// Returns every call since the last run, including queries for the version.
    pub fn all_calls(&self) -> Vec<Vec<String>> {
        let log = fs::read(self.dir.join("log")).unwrap_or_default();
        let mut words = log.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mut calls = Vec::new();
        while let Some(count) = words.next().and_then(|count| count.parse().ok()) {
            calls.push(words.by_ref().take(count).collect());
        }
        calls
    }

    /// Returns every call since the last run, without queries for the version. Questions that may be asked side by side are in one
    /// order.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let mut calls: Vec<_> = self.all_calls();
        calls.retain(|call| call != &["--version"]);
        let place = |call: &Vec<String>| {
            let verb = call.iter().take(2).map(String::as_str).collect::<Vec<_>>();
            match verb.as_slice() {
                ["ps", _] => Some(0),
                // Those of all cages, by their IDs.
                ["container", "inspect"] if call.iter().all(|word| !word.starts_with("cage-")) => Some(1),
                ["volume", "inspect"] => Some(2),
                ["info", _] => Some(3),
                _ => None,
            }
        };
        for questions in calls.chunk_by_mut(|one, next| place(one).is_some() && place(next).is_some()) {
            if questions.iter().any(|call| place(call) == Some(2)) {
                questions.sort_by_key(place);
            }
        }
        calls
    }

    pub fn forget(&self) {
        for file in ["log", "stdin"] {
            let _ = fs::remove_file(self.dir.join(file));
        }
    }

    fn object(&self, name: &str, json: &str) {
        let file = self.dir.join("objects").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, json).unwrap();
    }

    /// Returns name, IDs and home of the image's user, as in a cage's label.
    fn image_user(&self) -> [String; 4] {
        let owner = fs::metadata(&self.dir).unwrap();
        ["vscode".into(), owner.uid().to_string(), owner.gid().to_string(), "/home/vscode".into()]
    }

    fn image_id(&self, digits: &str) -> String {
        let prefix = if self.speaks == Speaks::Docker { "sha256:" } else { "" };
        format!("{prefix}{digits}")
    }
}

/// A container as the engines describe it.
#[derive(Debug, Clone)]
pub struct Cage {
    pub name: String,
    pub id: String,
    pub status: String,
    pub labels: Vec<(String, String)>,
    /// The options that it was created with.
    pub options: &'static str,
    /// Whether the script made it.
    pub of_script: bool,
    pub image: &'static str,
    pub image_id: &'static str,
    /// Whether it has the shared home.
    pub has_home: bool,
    /// The source of the agent's mount, if there is one.
    pub agent: Option<&'static str>,
    /// The exit code of the first process.
    pub exit_code: i64,
    pub out_of_memory: bool,
    /// How long it has been in its state.
    pub since: Duration,
    /// The states in the following queries.
    pub then: &'static [&'static str],
}

impl Cage {
    /// Returns the cage of the project at this path; it doesn't exist until it has a status.
    pub fn of(project: &Path) -> Self {
        let path = project.to_str().unwrap();
        let hash = hex::encode(Sha256::digest(path));
        let inode = fs::metadata(project).map(|metadata| metadata.ino()).unwrap_or_default();
        Self {
            name: format!("cage-{}-{}", path.rsplit('/').next().unwrap(), &hash[..8]),
            id: hex::encode(Sha256::digest(&hash)),
            status: String::new(),
            labels: vec![("cage.project".into(), path.into()), ("cage.inode".into(), inode.to_string())],
            options: "",
            of_script: false,
            has_home: true,
            agent: None,
            image: IMAGE,
            image_id: IMAGE_ID,
            exit_code: 0,
            out_of_memory: false,
            since: Duration::from_secs(300),
            then: &[],
        }
    }

    /// The parts of `inspect` that matter, as docker 20.10 with the client of 28, and podman 4.3 print them.
    fn json(&self, engine: &Engine) -> String {
        if self.status.is_empty() {
            return String::new();
        }
        let mut labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        if !labels.is_empty() && !self.of_script {
            labels.insert("cage.image".into(), json!(self.image));
            labels.insert("cage.options".into(), json!(self.options));
            let made_on = json!({"mode": "Rootful", "machine": null, "selinux": false, "remaps": false, "unenforced": []});
            labels.insert("cage.engine".into(), json!(made_on.to_string()));
            labels.insert("cage.user".into(), json!(engine.image_user().join(":")));
        }
        let ports = if self.options.contains("3000") {
            json!({"3000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "3000"}]})
        } else {
            json!({})
        };
        let (name, entrypoint, signal) = match engine.speaks {
            Speaks::Docker => {
                (format!("/{}", self.name), json!(["/usr/local/bin/entrypoint.sh"]), json!("SIGHUP"))
            }
            Speaks::Podman => (self.name.clone(), json!("/usr/local/bin/entrypoint.sh"), json!(1)),
        };
        let changed = humantime::format_rfc3339(SystemTime::now() - self.since).to_string();
        let changed = if self.status == "created" { "0001-01-01T00:00:00Z".into() } else { changed };
        let home = if self.has_home { "cage-home" } else { "another" };
        let mut mounts = vec![json!({"Type": "volume", "Name": home, "Destination": "/home/vscode"})];
        mounts.extend(self.agent.map(|source| {
            json!({"Type": "bind", "Source": source, "Destination": "/run/host-services/ssh-auth.sock", "RW": true})
        }));
        json!({
            "Id": self.id, "Name": name, "Image": engine.image_id(self.image_id),
            "Created": "2026-11-23T14:56:50.18856206Z",
            "State": {
                "Status": self.status, "Running": self.status == "running", "ExitCode": self.exit_code,
                "OOMKilled": self.out_of_memory,
                "StartedAt": changed, "FinishedAt": changed,
            },
            "Config": {"Image": self.image, "Labels": labels, "Entrypoint": entrypoint, "StopSignal": signal},
            "HostConfig": {"PortBindings": ports},
            "NetworkSettings": {"Ports": if self.status == "running" { ports } else { json!({}) }},
            "Mounts": mounts,
        })
        .to_string()
    }
}

/// Returns a transcript without the differences between engines.
fn alike(transcript: &str) -> String {
    // podman needs no extra query.
    let of_docker_only = |call: &&str| call.starts_with("info ") || call.starts_with("context ");
    let line = |line: &str| match line {
        calls if calls.starts_with("> ") => {
            let calls: Vec<&str> = calls[2..].split(" ; ").filter(|call| !of_docker_only(call)).collect();
            format!("> {}", calls.join(" ; "))
        }
        words if words.trim_start().starts_with("Error") => "(the engine's words)".to_owned(),
        long if long.starts_with("error: `") && long.len() > 150 => {
            format!("{} …`{}", &long[..21], long.rsplit('`').next().unwrap())
        }
        line => line
            .replace("`podman ", "`docker ")
            .replace("cage:   podman ", "cage:   docker ")
            .replace("exit status 125", "exit status 1"),
    };
    transcript.lines().map(line).collect::<Vec<_>>().join("\n").replace("`podman create", "`docker create")
}

/// Checks stories, each on docker and on podman. A story is a line `WORDS or WORDS: cage COMMAND`, followed by its
/// transcript and an empty line.
pub fn stories(text: &str) {
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let stories: Vec<&str> = text.trim().split("\n\n").collect();
    let mut wrong = String::new();
    for story in &stories {
        let (title, expected) = story.split_once('\n').unwrap();
        let (situations, command) = title.split_once(": cage").unwrap();
        for words in situations.split(" or ") {
            for speaks in [Speaks::Docker, Speaks::Podman] {
                let machine = Machine::in_story(speaks, words);
                let name = Cage::of(&machine.project).name;
                let outcome = machine.cage(&command.replace("NAME", &name));
                let told = alike(&machine.transcript(&outcome));
                if told != expected {
                    let _ = write!(
                        wrong,
                        "\n\n{speaks:?}, {words}: cage{command}\n{told}\n  instead of\n{expected}"
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
