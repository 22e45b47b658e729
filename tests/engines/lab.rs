//! A private world for each test: a home, project, home volume and label, all removed at the end.

use std::cell::{OnceCell, RefCell};
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::common::{absent, is_root};

/// The image that the lab loads into every engine.
pub const IMAGE: &str = "cage-lab";

/// The second image: only busybox.
pub const BUSYBOX_IMAGE: &str = "cage-lab-busybox";

/// The address of the lab's registry.
pub const REGISTRY: &str = "127.0.0.1:5000";

/// The user of the lab's rootless engines, when the tests run as root.
const LAB_USER: &str = "cage-lab";

/// The search path of every program that tests run.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the path of a file that the lab has fetched from npm, if it has.
pub fn from_npm(name: &str) -> Option<PathBuf> {
    let script =
        format!(r#"source tests/lab/lib.sh && test -e "$LAB_NPM/{name}" && printf %s "$LAB_NPM/{name}""#);
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().into())
}

/// An engine and the kind of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// docker, rootful, used by the user who runs the tests.
    Docker,
    /// The same, used by an ordinary user.
    GroupDocker,
    /// Rootless docker.
    RootlessDocker,
    /// podman as root.
    Podman,
    /// podman as an ordinary user.
    RootlessPodman,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::GroupDocker => "docker used by an ordinary user",
            Self::RootlessDocker => "rootless docker",
            Self::Podman => "podman",
            Self::RootlessPodman => "rootless podman",
        })
    }
}

impl Engine {
    /// Returns the name of its client.
    pub fn program(self) -> &'static str {
        if self.is_docker() { "docker" } else { "podman" }
    }

    /// Returns whether the engine is docker.
    pub fn is_docker(self) -> bool {
        matches!(self, Self::Docker | Self::GroupDocker | Self::RootlessDocker)
    }

    /// Returns whether the engine runs without root.
    pub fn is_rootless(self) -> bool {
        matches!(self, Self::RootlessDocker | Self::RootlessPodman)
    }

    /// Returns whether the lab's user uses it when root runs the tests.
    fn is_for_lab_user(self) -> bool {
        self.is_rootless() || self == Self::GroupDocker
    }

    /// Returns why tests can't use it; determined once.
    fn missing(self) -> Option<&'static str> {
        static MISSING: [OnceLock<Option<String>>; 5] = [const { OnceLock::new() }; 5];
        MISSING[self as usize].get_or_init(|| self.look().err()).as_deref()
    }

    fn look(self) -> Result<(), String> {
        if matches!(self, Self::Podman | Self::GroupDocker) && !is_root() {
            return Err("needs root".into());
        }
        let home = if self.is_for_lab_user() { &User::ordinary()?.home } else { Path::new("/") };
        let mut command = self.command(self.program(), home)?;
        // The lab's user may not enter the directory with the sources, and podman needs one that it can.
        command.current_dir("/").args(["image", "inspect", IMAGE]);
        let mut answer = Err(String::new());
        // podman's answer is an error, too, if a test removes another image meanwhile.
        for _ in 0..3 {
            let output = command.output().map_err(|error| error.to_string())?;
            let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
            answer = if output.status.success() { return Ok(()) } else { Err(words) };
        }
        answer
    }

    /// Returns a command in the environment of the engine's user, which is empty otherwise.
    fn command(self, program: impl AsRef<OsStr>, home: &Path) -> Result<Command, String> {
        let mut command = Command::new(&program);
        if self.is_for_lab_user() && is_root() {
            let user = User::ordinary()?;
            if self == Self::GroupDocker {
                // The standard library can't set the groups of another user.
                let socket = fs::metadata("/var/run/docker.sock").map_err(|error| error.to_string())?;
                command = Command::new("setpriv");
                command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
                // And in one without power.
                command.arg(format!("--groups={},{},100", user.gid, socket.gid())).arg("--").arg(&program);
            } else {
                command.uid(user.uid).gid(user.gid);
            }
        }
        command.env_clear().env("PATH", PATH).env("HOME", home).env("LANG", "C.UTF-8");
        // podman 5 prints a warning at each command on a machine with cgroup v1.
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
        if self.is_rootless() {
            let user = User::ordinary()?;
            let runtime_dir = format!("/run/user/{}", user.uid);
            command.env("DOCKER_HOST", format!("unix://{runtime_dir}/docker.sock"));
            // podman's store stays in the user's real home.
            command.env("XDG_DATA_HOME", user.home.join(".local/share"));
            command.env("XDG_RUNTIME_DIR", runtime_dir);
        } else if let (Self::Docker, Some(host)) = (self, env::var_os("DOCKER_HOST")) {
            // The developer's engine: a context would be looked up in their home.
            command.env("DOCKER_HOST", host);
        }
        Ok(command)
    }
}

/// Returns the ordinary user: the lab's, or the user who runs the tests.
struct User {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl User {
    fn ordinary() -> Result<&'static Self, String> {
        static USER: OnceLock<Result<User, String>> = OnceLock::new();
        let find = || {
            let name = if is_root() { LAB_USER } else { &env::var("USER").map_err(|e| e.to_string())? };
            let passwd = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
            let row = passwd.lines().find_map(|row| row.strip_prefix(name)?.strip_prefix(':'));
            let fields: Vec<&str> = row.ok_or(format!("no user {name}"))?.split(':').collect();
            let number = |field: &str| field.parse().map_err(|_| format!("odd row of {name} in /etc/passwd"));
            Ok(Self { uid: number(fields[1])?, gid: number(fields[2])?, home: fields[4].into() })
        };
        USER.get_or_init(find).as_ref().map_err(Clone::clone)
    }
}

/// Runs a test's body on an engine. Without the engine the test is skipped with a message, or fails if the engine is required.
pub fn run(engine: Engine, registry: bool, body: fn(&World)) {
    let no_registry = registry && TcpStream::connect(REGISTRY).is_err();
    match engine.missing().or(no_registry.then_some("no registry on 127.0.0.1:5000")) {
        None => body(&World::new(engine)),
        Some(why) => absent(engine, why),
    }
}

/// A user's machine with one project, on one engine.
pub struct World {
    /// The engine.
    pub engine: Engine,
    /// The project directory.
    pub project: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// A part of every name in this world.
    pub id: String,
    cage: PathBuf,
    name: OnceCell<String>,
    images: RefCell<Vec<String>>,
    containers: RefCell<Vec<String>>,
    networks: RefCell<Vec<String>>,
    dir: TempDir,
}

impl World {
    fn new(engine: Engine) -> Self {
        let open = Permissions::from_mode(0o755);
        let dir =
            tempfile::Builder::new().prefix("cage-test-").rand_bytes(10).permissions(open).tempdir().unwrap();
        // The path as engines see it.
        let root = dir.path().canonicalize().unwrap();
        let id = root.file_name().unwrap().to_string_lossy().to_lowercase();
        let mut cage = PathBuf::from(env!("CARGO_BIN_EXE_cage"));
        if engine.is_for_lab_user() {
            // Other users may not be able to read the build directory.
            let reachable = root.join("cage");
            link_or_copy(&cage, &reachable);
            cage = reachable;
        }
        let world = Self {
            engine,
            project: root.join("project"),
            home: root.join("home"),
            id,
            cage,
            name: OnceCell::new(),
            images: RefCell::default(),
            containers: RefCell::default(),
            networks: RefCell::default(),
            dir,
        };
        world.mkdir(&world.project);
        world.mkdir(&world.home);
        world
    }

    /// Returns a directory outside of the project and the home.
    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// Returns the home volume of this world's cages.
    pub fn volume(&self) -> String {
        format!("{}-home", self.id)
    }

    /// Returns the label of this world's cages.
    pub fn label(&self) -> String {
        format!("{}.project", self.id)
    }

    /// Returns the command `cage WORDS…` in the project, quoted as for a shell.
    pub fn cage(&self, words: &str) -> Call {
        self.call(&self.cage, &shell_words::split(words).unwrap())
    }

    /// Returns the command `docker WORDS…` or `podman WORDS…`.
    pub fn engine(&self, words: &str) -> Call {
        self.call(self.engine.program(), &shell_words::split(words).unwrap())
    }

    /// Returns a command of a program in the project, as the user.
    pub fn call(&self, program: impl AsRef<OsStr>, args: &[String]) -> Call {
        let mut command = self.command("timeout");
        // A command that hangs fails this test only.
        command.args(["--kill-after=5", "120"]).arg(program).args(args);
        Call { what: args.join(" "), command, stdin: None }
    }

    /// Returns a command of a program in the project, as the user, with only this world's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.engine.command(program, &self.home).unwrap();
        command
            .current_dir(&self.project)
            .env("CAGE_RUNTIME", self.engine.program())
            .env("CAGE_IMAGE", IMAGE)
            .env("CAGE_HOME_VOLUME", self.volume())
            .env("CAGE_LABEL", self.label());
        command
    }

    /// Returns a command of the user in a mount namespace that root has changed with a script.
    pub fn changed(&self, script: &str, words: &str) -> Call {
        let user = User::ordinary().unwrap();
        let become_user = if self.engine.is_for_lab_user() {
            format!("setpriv --reuid={} --regid={} --clear-groups", user.uid, user.gid)
        } else {
            String::new()
        };
        let mut command = Command::new("unshare");
        let script = format!("{script} && exec timeout --kill-after=5 120 {become_user} {words}");
        command.args(["--mount", "sh", "-c", &script]).current_dir(&self.project);
        let like = self.command("true");
        command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Call { what: words.to_owned(), command, stdin: None }
    }

    /// Returns `cage WORDS…` as words for a shell.
    pub fn cage_command(&self, words: &str) -> String {
        format!("{} {words}", self.cage.display())
    }

    /// Returns the ID of the user of this world.
    pub fn engine_user(&self) -> u32 {
        fs::metadata(&self.home).unwrap().uid()
    }

    /// Returns the path of the binary.
    pub fn binary(&self) -> &Path {
        &self.cage
    }

    /// Creates a directory that belongs to the user, with its parents.
    pub fn mkdir(&self, path: &Path) {
        if !path.exists() {
            self.mkdir(path.parent().unwrap());
            fs::create_dir(path).unwrap();
            self.give(path);
        }
    }

    /// Writes a file that belongs to the user.
    pub fn write(&self, path: &Path, text: &str) {
        self.mkdir(path.parent().unwrap());
        fs::write(path, text).unwrap();
        self.give(path);
    }

    /// Writes a program that belongs to the user.
    pub fn program(&self, path: &Path, text: &str) {
        self.write(path, text);
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes the user the owner.
    pub fn give(&self, path: &Path) {
        if self.engine.is_for_lab_user() && is_root() {
            let user = User::ordinary().unwrap();
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }

    /// Makes the user the owner of a tree again.
    pub fn give_back(&self, path: &Path) {
        if is_root() {
            chown(path, Some(0), Some(0)).unwrap();
            self.give(path);
        }
    }

    /// Returns the name of the project's cage, from one call of cage.
    #[track_caller]
    pub fn name(&self) -> String {
        let ask = || {
            let status = self.cage("status").ok().out;
            status.lines().next().unwrap().strip_prefix("Container: ").unwrap().to_owned()
        };
        self.name.get_or_init(ask).clone()
    }

    /// Inspects the project's cage with a template.
    #[track_caller]
    pub fn inspect(&self, format: &str) -> String {
        self.inspect_container(&self.name(), format)
    }

    /// Inspects a container with a template.
    #[track_caller]
    pub fn inspect_container(&self, name: &str, format: &str) -> String {
        self.engine(&format!("container inspect --format '{format}' {name}")).ok().out.trim().to_owned()
    }

    /// Returns the ID of the project's cage.
    #[track_caller]
    pub fn container_id(&self) -> String {
        self.inspect("{{.Id}}")
    }

    /// Returns the engine's word for the state of the project's cage.
    #[track_caller]
    pub fn state(&self) -> String {
        self.inspect("{{.State.Status}}")
    }

    /// Returns the names of all containers with this world's label.
    #[track_caller]
    pub fn cages(&self) -> Vec<String> {
        let label = self.label();
        let names =
            self.engine(&format!("ps --all --filter label={label} --format '{{{{.Names}}}}'")).ok().out;
        names.lines().map(str::to_owned).collect()
    }

    /// Returns whether the home volume exists.
    pub fn has_volume(&self) -> bool {
        // Not `ls`: podman's fails while another test removes a volume. It also finds one by the beginning of its name.
        let found = self.engine(&format!("volume inspect --format '{{{{.Name}}}}' {}", self.volume())).run();
        assert!(found.code == 0 || found.err.contains("no such volume"), "{found}");
        found.out.trim() == self.volume()
    }

    /// Returns a command that runs a shell script in the project's cage, without cage.
    pub fn inside(&self, script: &str) -> Call {
        self.engine(&format!("exec --interactive {} sh -c {}", self.name(), shell_words::quote(script)))
    }

    /// Builds an image from the lab's image and returns its name.
    #[track_caller]
    pub fn build(&self, tag: &str, lines: &str) -> String {
        let image = format!("{}-{tag}", self.id);
        self.will_remove_image(&image);
        let dockerfile = format!("FROM {IMAGE}\n{lines}\n");
        self.engine(&format!("build --quiet --tag {image} -"))
            .env("DOCKER_BUILDKIT", "0")
            .stdin(&dockerfile)
            .ok();
        image
    }

    /// Returns a name in the local registry for this world.
    pub fn registry_image(&self) -> String {
        let image = format!("{REGISTRY}/{}:latest", self.id);
        self.will_remove_image(&image);
        image
    }

    /// Pushes a local image under a name in the registry. The local name keeps its meaning.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str) {
        let before = self.engine(&format!("image inspect --format '{{{{.Id}}}}' {name}")).run();
        self.engine(&format!("tag {image} {name}")).ok();
        self.engine(&format!("push {name}")).ok();
        if before.code == 0 {
            self.engine(&format!("tag {} {name}", before.out.trim())).ok();
        } else {
            self.engine(&format!("rmi {name}")).ok();
        }
    }

    /// Returns another volume of this world.
    pub fn extra_volume(&self) -> String {
        format!("{}-extra", self.id)
    }

    /// Removes an image at the end.
    pub fn will_remove_image(&self, image: &str) {
        self.images.borrow_mut().push(image.to_owned());
    }

    /// Removes containers without podman's grace period of ten seconds.
    pub fn removal(&self, names: &str) -> Call {
        let at_once = if self.engine.is_docker() { "" } else { "--ignore --time 0" };
        self.engine(&format!("rm --force {at_once} --volumes {names}"))
    }

    /// Removes networks at the end.
    pub fn will_remove_networks(&self, names: &[&str]) {
        self.networks.borrow_mut().extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Removes a container that is not a cage at the end.
    pub fn will_remove_container(&self, name: &str) {
        self.containers.borrow_mut().push(name.to_owned());
    }
}

/// Makes a program available under another path. A hard link takes no time; a copy is made by another process, because a
/// file that this one had open for writing while a second test starts a process could not be run.
fn link_or_copy(program: &Path, path: &Path) {
    if fs::hard_link(program, path).is_err() {
        assert!(Command::new("cp").arg(program).arg(path).status().unwrap().success());
    }
}

/// Removes everything from the engine, also after a failure.
impl Drop for World {
    fn drop(&mut self) {
        let remove = |words: String| self.engine(&words).run().out;
        let ids = remove(format!("ps --all --quiet --filter label={}", self.label()));
        let mut containers: Vec<&str> = ids.lines().collect();
        let others = self.containers.borrow();
        containers.extend(others.iter().map(String::as_str));
        if !containers.is_empty() {
            self.removal(&containers.join(" ")).run();
        }
        for network in self.networks.borrow().iter() {
            remove(format!("network rm {network}"));
        }
        remove(format!("volume rm {} {}", self.volume(), self.extra_volume()));
        for image in self.images.borrow().iter().rev() {
            remove(format!("rmi {image}"));
            // docker keeps the former image of a registry's name.
            if let (true, Some((repository, _))) = (self.engine.is_docker(), image.rsplit_once(':')) {
                let digests =
                    format!("images --digests --format {{{{.Repository}}}}@{{{{.Digest}}}} {repository}");
                for old in remove(digests).lines() {
                    remove(format!("rmi {old}"));
                }
            }
        }
    }
}

/// A program that is about to run.
pub struct Call {
    what: String,
    command: Command,
    stdin: Option<String>,
}

impl Call {
    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets another directory than the project.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets the text on stdin.
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// Runs it.
    #[track_caller]
    pub fn run(mut self) -> Ran {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), self.stdin) {
            // The program may not read stdin.
            let _ = pipe.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().unwrap();
        Ran {
            what: self.what,
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and requires success.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.exits(0)
    }

    /// Runs it and requires this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        let ran = self.run();
        assert!(ran.code == code, "should have exited with {code}: {ran}");
        ran
    }
}

/// A program that has run.
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// The data on stdout.
    pub out: String,
    /// The messages on stderr.
    pub err: String,
    what: String,
}

impl Ran {
    /// Requires this text on stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "should have said {text:?}: {self}");
        self
    }

    /// Requires the absence of this text on stderr.
    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(!self.err.contains(text), "should not have said {text:?}: {self}");
        self
    }

    /// Requires that stdout begins with this text.
    #[track_caller]
    pub fn begins(self, text: &str) -> Self {
        assert!(self.out.starts_with(text), "should have begun with {text:?}: {self}");
        self
    }

    /// Requires exactly this text on stdout.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.out == text, "should have printed {text:?}: {self}");
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` exited with {}\n--- stdout\n{}--- stderr\n{}---",
            self.what, self.code, self.out, self.err
        )
    }
}
