//! The container runtime: docker or podman, which of them is used, and what it is asked.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::engine::command::Invocation;
use crate::engine::container::{Container, Image, Inspected};
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::Runner;
use crate::host::machine::{Host, Os};
use crate::host::project::is_everybodys;

/// What a runtime's command line speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// docker, whatever engine or virtual machine is behind it.
    Docker,
    /// podman, also where it is called docker.
    Podman,
}

/// Who runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Root.
    Rootful,
    /// The person, or in a virtual machine its user who stands for the person.
    Rootless,
}

/// What runs an engine in a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Docker Desktop, on a Mac, on Linux, or for WSL.
    DockerDesktop,
    /// `OrbStack`.
    OrbStack,
    /// Rancher Desktop with dockerd.
    RancherDesktop,
    /// Colima.
    Colima,
    /// Lima by itself.
    Lima,
    /// `podman machine`.
    PodmanMachine,
    /// One that can't be told.
    Unknown,
}

/// What the engine behind a runtime is like.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Who runs the containers.
    pub mode: Mode,
    /// The virtual machine that they run in, if they do.
    pub machine: Option<Product>,
    /// Does `SELinux` keep containers from mounted directories?
    pub selinux: bool,
    /// Does it map all users inside to others outside (docker's `userns-remap`)?
    pub remaps: bool,
    /// The limits that it can't enforce.
    pub unenforced: Vec<Limit>,
}

/// What a container can be given a limited amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Processes.
    Processes,
    /// Memory.
    Memory,
    /// Processor time.
    Processors,
}

impl Engine {
    /// Returns where the engine runs, and as which user.
    pub fn location(&self) -> String {
        match (self.mode, self.machine) {
            (Mode::Rootful, None) => "run by root on this machine".to_owned(),
            (Mode::Rootless, None) => "run without root on this machine".to_owned(),
            (_, Some(product)) => format!("in a virtual machine ({product})"),
        }
    }
}

/// A volume that exists.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name.
    pub name: String,
    driver: String,
    options: String,
}

impl Volume {
    /// Is it a directory of the engine's own, and nothing else?
    pub fn is_plain(&self) -> bool {
        self.driver == "local" && matches!(self.options.as_str(), "null" | "{}")
    }
}

/// What docker says of its engine.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(default)]
    operating_system: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    security_options: Option<Vec<String>>,
    #[serde(default)]
    plugins: DockerPlugins,
    #[serde(default)]
    pids_limit: Option<bool>,
    #[serde(default)]
    memory_limit: Option<bool>,
    #[serde(default)]
    cpu_cfs_quota: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct DockerPlugins {
    #[serde(default)]
    log: Option<Vec<String>>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Processors => "processors",
        })
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DockerDesktop => "Docker Desktop",
            Self::OrbStack => "OrbStack",
            Self::RancherDesktop => "Rancher Desktop",
            Self::Colima => "Colima",
            Self::Lima => "Lima",
            Self::PodmanMachine => "podman machine",
            Self::Unknown => "a virtual machine",
        })
    }
}

impl DockerInfo {
    fn engine(&self, host: &Host) -> Engine {
        let has = |option: &str| {
            self.security_options.iter().flatten().any(|text| text.split(',').any(|field| field == option))
        };
        let mode = if has("name=rootless") { Mode::Rootless } else { Mode::Rootful };
        let limits = [
            (Limit::Processes, self.pids_limit),
            (Limit::Memory, self.memory_limit),
            (Limit::Processors, self.cpu_cfs_quota),
        ];
        let unenforced =
            limits.into_iter().filter(|(_, can)| *can == Some(false)).map(|(limit, _)| limit).collect();
        Engine {
            mode,
            machine: self.product(host),
            selinux: has("name=selinux"),
            remaps: has("name=userns"),
            unenforced,
        }
    }

    /// Is it a podman that answers docker's client? It has a way to log that docker never had.
    fn is_podman(&self) -> bool {
        self.plugins.log.iter().flatten().any(|driver| driver == "k8s-file")
    }

    /// Products are known by what they say of their system, or by the names that they give their machines, which the
    /// person may change. An engine that has this machine's own name is in none, even if this machine is one itself.
    fn product(&self, host: &Host) -> Option<Product> {
        let here = host.os == Os::Linux && host.nodename.as_ref() == Some(&self.name);
        let named = if here { "" } else { self.name.as_str() };
        let says =
            |system: &str, name: &str| self.operating_system.starts_with(system) || named.contains(name);
        if says("Docker Desktop", "docker-desktop") {
            Some(Product::DockerDesktop)
        } else if says("OrbStack", "orbstack") {
            Some(Product::OrbStack)
        } else if says("Rancher Desktop", "rancher-desktop") {
            Some(Product::RancherDesktop)
        } else if named.starts_with("colima") {
            Some(Product::Colima)
        } else if named.starts_with("lima-") {
            Some(Product::Lima)
        } else {
            (host.os != Os::Linux).then_some(Product::Unknown)
        }
    }
}

/// A runtime found on this machine.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// What it speaks.
    pub kind: RuntimeKind,
    /// What it is called in messages and command lines.
    pub name: String,
    program: PathBuf,
}

impl Runtime {
    /// The programs to try, best first, by name and path: the one that `choice` (`--runtime` or `CAGE_RUNTIME`) names, or
    /// docker and then podman. Never a program inside `project`, which whoever is in the cage can write.
    ///
    /// # Errors
    /// When there is none, or the chosen one is not there.
    pub fn candidates<'a>(
        host: &Host,
        choice: Option<&'a str>,
        project: Option<&Path>,
    ) -> Result<Vec<(&'a str, PathBuf)>> {
        let names = choice.map_or_else(|| vec!["docker", "podman"], |choice| vec![choice]);
        let find =
            |project| names.iter().filter_map(move |name| Some((*name, find_program(host, name, project)?)));
        let found: Vec<_> = find(project).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let failure = match (choice, project) {
            (_, Some(project)) if find(None).next().is_some() => {
                Failure::new(format!(
                    "the container runtime is inside {}, or in a directory above it that may be a project",
                    text::escape(&project.to_string_lossy())
                ))
                .hint("whoever is in a cage there could replace it; choose a smaller directory, or name the runtime by its path")
            }
            (Some(choice), _) => Failure::new(format!("container runtime `{}` not found", text::escape(choice)))
                .hint("`--runtime` and CAGE_RUNTIME take docker, podman, or the path of one"),
            (None, _) => Failure::new("no container runtime found: neither `docker` nor `podman` is in PATH").hint(
                "install Docker (https://docs.docker.com/get-docker), colima or podman (https://podman.io)",
            ),
        };
        Err(failure.into())
    }

    /// Tells what `program` speaks. A binary is what its name says; a script, such as the podman-docker package's
    /// `docker`, is asked for its version.
    ///
    /// # Errors
    /// When it doesn't say, or is a runtime that cage can't use.
    pub fn identify(runner: Runner, name: &str, program: PathBuf) -> Result<Self> {
        let real = file::real(&program);
        let real_name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut runtime = Self { kind: RuntimeKind::Docker, name: name.to_owned(), program };
        let says = if is_script(&real) { runner.run(&runtime.command(["--version"]))? } else { real_name };
        if says.contains("nerdctl") {
            bail!(
                Failure::new(format!(
                    "`{name}` is nerdctl, which can't attach to or copy into a container as cage needs"
                ))
                .hint("choose the dockerd (moby) engine, or use docker or podman")
            );
        }
        // docker says `Docker version 28.2.2, build …`; a podman that was linked as docker says `docker version 4.3.1`.
        if says.contains("podman") || says.starts_with("docker version") {
            runtime.kind = RuntimeKind::Podman;
        }
        Ok(runtime)
    }

    /// A command line of this runtime.
    pub fn command<A: Into<String>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        Invocation::new(self.program.clone(), self.name.clone(), args)
    }

    /// What the engine is like.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn engine(&self, host: &Host, runner: Runner) -> Result<Engine> {
        match self.kind {
            RuntimeKind::Podman if host.os == Os::Linux && host.variable("CONTAINER_HOST").is_none() => {
                // `podman info` takes a quarter of a second, a whole one without root, and says what is known already.
                let mode = if host.ids.uid == 0 { Mode::Rootful } else { Mode::Rootless };
                // https://docs.podman.io/en/v4.3/markdown/podman-run.1.html says so of each limit.
                let unenforced = match mode {
                    Mode::Rootless if !host.cgroup_v2 => {
                        vec![Limit::Processes, Limit::Memory, Limit::Processors]
                    }
                    _ => Vec::new(),
                };
                Ok(Engine { mode, machine: None, selinux: host.selinux, remaps: false, unenforced })
            }
            RuntimeKind::Podman => {
                let rootless =
                    runner.run(&self.command(["info", "--format", "{{.Host.Security.Rootless}}"]))?;
                let mode = if rootless.trim() == "false" { Mode::Rootful } else { Mode::Rootless };
                let machine = (host.os != Os::Linux).then_some(Product::PodmanMachine);
                Ok(Engine { mode, machine, selinux: host.selinux, remaps: false, unenforced: Vec::new() })
            }
            RuntimeKind::Docker => {
                let said = runner.run(&self.info())?;
                self.read_engine(&said, host)
            }
        }
    }

    /// Asks the engine for all that it says of itself.
    pub fn info(&self) -> Invocation {
        self.command(["info", "--format", "{{json .}}"])
    }

    /// Reads what a docker says of itself.
    ///
    /// # Errors
    /// When it can't be read, or is a podman's.
    pub fn read_engine(&self, said: &str, host: &Host) -> Result<Engine> {
        let info: DockerInfo = serde_json::from_str(said)
            .with_context(|| format!("cannot read the answer of `{}`", self.info()))?;
        ensure!(
            !info.is_podman(),
            // Its client can't map users as podman's own does, and podman's `cp` changes owners.
            Failure::new(format!("`{}` talks to podman here", text::escape(&self.name)))
                .hint("`--runtime podman` or CAGE_RUNTIME=podman uses podman's own client")
        );
        Ok(info.engine(host))
    }

    /// Looks at containers by name or ID; one that doesn't exist is not an error.
    ///
    /// # Errors
    /// When the engine does not answer, or its answer can't be read.
    pub fn containers(&self, runner: Runner, names: &[&str]) -> Result<Vec<Container>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inspect(runner, ["container", "inspect"].iter().chain(names))?.containers)
    }

    /// Looks at images by name or ID; one that doesn't exist is not an error.
    ///
    /// # Errors
    /// As [`Runtime::containers`].
    pub fn images(&self, runner: Runner, names: &[&str]) -> Result<Vec<Image>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inspect(runner, ["image", "inspect"].iter().chain(names))?.images)
    }

    /// Looks at containers and an image at once: one call instead of two.
    ///
    /// # Errors
    /// As [`Runtime::containers`].
    pub fn containers_and_image(&self, runner: Runner, names: &[&str], image: &str) -> Result<Inspected> {
        self.inspect(runner, ["inspect"].iter().chain(names).chain(&[image]))
    }

    fn inspect<'a>(&self, runner: Runner, args: impl Iterator<Item = &'a &'a str>) -> Result<Inspected> {
        let invocation = self.command(args.copied());
        let output = runner.capture(&invocation)?;
        if !output.status.success() {
            // Those that exist are printed all the same, and each that doesn't has a line on stderr. There may be others:
            // podman warns of many things, and what stands in for docker says so each time.
            let error = EngineError::new(&invocation, output.status, &output.stderr);
            if !error.is_only_of_missing_things() {
                return Err(error.into());
            }
        }
        Inspected::parse(&output.stdout).with_context(|| format!("cannot read the answer of `{invocation}`"))
    }

    /// Every container with `label`, as its ID and the engine's words for its state (`Up 5 minutes`).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn labelled(&self, runner: Runner, label: &str) -> Result<Vec<(String, String)>> {
        let filter = format!("label={label}");
        let format = "{{.ID}} {{.Status}}";
        let lines = runner.run(&self.command(["ps", "--all", "--filter", &filter, "--format", format]))?;
        Ok(lines
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, status)| (id.to_owned(), status.to_owned()))
            .collect())
    }

    /// Is there a volume of this name?
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn has_volume(&self, runner: Runner, name: &str) -> Result<bool> {
        Ok(self.volume(runner, name)?.is_some())
    }

    /// The volume of this name, if there is one.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volume(&self, runner: Runner, name: &str) -> Result<Option<Volume>> {
        let format = "{{.Name}} {{.Driver}} {{json .Options}}";
        let invocation = self.command(["volume", "inspect", "--format", format, name]);
        let output = runner.capture(&invocation)?;
        let error = EngineError::new(&invocation, output.status, &output.stderr);
        if !output.status.success() {
            let missing = error.words().to_lowercase().contains("no such volume");
            return if missing { Ok(None) } else { Err(error.into()) };
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let mut words = said.trim().splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let volume = Volume { name: word(), driver: word(), options: word() };
        // podman takes the beginning of a name for the name, if there is only one such volume.
        Ok(Some(volume).filter(|volume| volume.name == name))
    }

    /// The names of all volumes.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volumes(&self, runner: Runner) -> Result<Vec<String>> {
        self.lines(runner, &["volume", "ls", "--format", "{{.Name}}"])
    }

    /// The names of the volumes that have `label`, each with the label's value.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn labelled_volumes(&self, runner: Runner, label: &str) -> Result<Vec<(String, String)>> {
        let filter = format!("label={label}");
        let names = self.lines(runner, &["volume", "ls", "--filter", &filter, "--format", "{{.Name}}"])?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let format = "{{.Name}} {{json .Labels}}";
        let inspect = ["volume", "inspect", "--format", format].into_iter().map(str::to_owned);
        // One that has gone meanwhile makes it fail, and the others are printed all the same.
        let output = runner.capture(&self.command(inspect.chain(names)))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let rows = said.lines().filter_map(|line| {
            let (name, labels) = line.split_once(' ')?;
            let mut labels: HashMap<String, String> = serde_json::from_str(labels).ok()?;
            Some((name.to_owned(), labels.remove(label)?))
        });
        Ok(rows.collect())
    }

    /// The IDs, as long as [`Container::id`], of the containers that have a `volume`, or are made of an image or what was
    /// made of that (`ancestor`).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn users_of(&self, runner: Runner, what: &str, name: &str) -> Result<Vec<String>> {
        self.lines(runner, &["ps", "--all", "--filter", &format!("{what}={name}"), "--format", "{{.ID}}"])
    }

    /// The IDs of the images that no name leads to.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn nameless_images(&self, runner: Runner) -> Result<Vec<String>> {
        self.lines(runner, &["images", "--filter", "dangling=true", "--no-trunc", "--quiet"])
    }

    fn lines(&self, runner: Runner, args: &[&str]) -> Result<Vec<String>> {
        Ok(runner.run(&self.command(args.iter().copied()))?.lines().map(str::to_owned).collect())
    }
}

/// Returns whether cage tries the next runtime after `error`: the engine can't be reached, or the program did not even name
/// its version (was not `identified`), like the stub in WSL.
pub fn is_skipped(error: &anyhow::Error, identified: bool) -> bool {
    let trouble = error.downcast_ref::<EngineError>().map(EngineError::trouble);
    match trouble {
        Some(Trouble::Unreachable | Trouble::PermissionDenied) => true,
        Some(_) => !identified,
        None => false,
    }
}

fn find_program(host: &Host, name: &str, project: Option<&Path>) -> Option<PathBuf> {
    // A cage may be able to write here, whatever the command is about.
    let here = host.cwd.as_deref().filter(|cwd| may_be_a_project(host, cwd));
    let dirs = || project.into_iter().chain(here);
    // And above: one may stand below a project, where its cage is meant. Who names a path means it.
    let by_path = Path::new(name).is_absolute();
    let may_be = |dir: &&Path| may_be_a_project(host, dir) && !has_programs(host, dir) && !is_everybodys(dir);
    let above: Vec<&Path> =
        dirs().flat_map(|dir| dir.ancestors().skip(1).take_while(may_be)).filter(|_| !by_path).collect();
    let trusted = |program: &PathBuf| {
        let real = file::real(program);
        let inside = |dir: &Path| program.starts_with(dir) || real.starts_with(dir);
        program.is_absolute() && !dirs().chain(above.iter().copied()).any(inside)
    };
    // A relative entry in PATH is wherever one happens to stand, so there is no directory to look it up from.
    which::which_in_all(name, host.path_variable("PATH"), "/nonexistent").ok()?.find(trusted)
}

/// Programs are installed below the system's directories and the home; standing there makes nothing a project.
fn may_be_a_project(host: &Host, dir: &Path) -> bool {
    let system = ["/bin", "/sbin", "/usr", "/opt", "/nix", "/snap", "/Applications"];
    let above_home = host.home.as_ref().is_some_and(|home| home.starts_with(dir));
    dir != Path::new("/") && !above_home && !system.iter().any(|system| dir.starts_with(system))
}

/// Where programs are installed in a home; standing below such a directory doesn't make it a project.
fn has_programs(host: &Host, dir: &Path) -> bool {
    let usual = [".local", ".docker", ".rd", ".orbstack", ".colima", ".nix-profile", "bin"];
    host.home.as_ref().is_some_and(|home| usual.iter().any(|name| dir.starts_with(home.join(name))))
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

#[cfg(test)]
impl Engine {
    /// The engine that said this to `docker info` on a host with that system.
    pub fn recorded(os: Os, info: &str) -> Self {
        let mut host = Host::sample(&[]);
        host.os = os;
        host.nodename = Some("vm".into());
        serde_json::from_str::<DockerInfo>(info).unwrap().engine(&host)
    }
}

#[cfg(test)]
impl Volume {
    /// A local volume with these options.
    pub fn sample(name: &str, options: &str) -> Self {
        Self { name: name.into(), driver: "local".into(), options: options.into() }
    }
}

#[cfg(test)]
impl Runtime {
    /// A runtime that is not there.
    pub fn sample(kind: RuntimeKind) -> Self {
        let name = match kind {
            RuntimeKind::Docker => "docker",
            RuntimeKind::Podman => "podman",
        };
        Self { kind, name: name.into(), program: format!("/usr/bin/{name}").into() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn program(&self, path: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn candidates(
            &self,
            path: &str,
            choice: Option<&str>,
            project: Option<&str>,
        ) -> Result<Vec<Runtime>> {
            let dirs: Vec<String> =
                path.split(':').map(|dir| self.0.path().join(dir).display().to_string()).collect();
            let host = Host::sample(&[("PATH", &dirs.join(":"))]);
            let project = project.map(|project| self.0.path().join(project));
            Runtime::candidates(&host, choice, project.as_deref())?
                .into_iter()
                .map(|(name, program)| {
                    Runtime::identify(Runner { verbose: false, limit: None }, name, program)
                })
                .collect()
        }
    }

    fn kinds(found: Result<Vec<Runtime>>) -> Vec<(String, RuntimeKind)> {
        found.unwrap().into_iter().map(|runtime| (runtime.name, runtime.kind)).collect()
    }

    #[test]
    fn an_engine_is_known_by_what_it_says_of_itself() {
        let engine = |os, system: &str, name: &str, options: &str| {
            let json = format!(
                r#"{{"OperatingSystem": "{system}", "Name": "{name}", "SecurityOptions": [{options}], "Containers": 3}}"#
            );
            let engine = Engine::recorded(os, &json);
            (engine.mode, engine.machine)
        };
        let seccomp = r#""name=seccomp,profile=default""#;
        let rootless = r#""name=seccomp,profile=default","name=rootless""#;
        let apparmor = r#""name=apparmor","name=seccomp,profile=builtin","name=cgroupns""#;
        let (debian, ubuntu) = ("Debian GNU/Linux 12 (bookworm)", "Ubuntu 24.04 LTS");
        let vm = |product| (Mode::Rootful, Some(product));
        assert_eq!(engine(Os::Linux, debian, "vm", seccomp), (Mode::Rootful, None));
        assert_eq!(engine(Os::Linux, debian, "vm", rootless), (Mode::Rootless, None));
        for os in [Os::Mac, Os::Linux] {
            let desktop = engine(os, "Docker Desktop", "docker-desktop", seccomp);
            assert_eq!(desktop, vm(Product::DockerDesktop));
            assert_eq!(engine(os, ubuntu, "colima", apparmor), vm(Product::Colima));
            let lima = engine(os, ubuntu, "lima-docker", rootless);
            assert_eq!(lima, (Mode::Rootless, Some(Product::Lima)));
        }
        assert_eq!(engine(Os::Mac, ubuntu, "colima-work", apparmor), vm(Product::Colima));
        assert_eq!(engine(Os::Mac, "OrbStack", "orbstack", seccomp), vm(Product::OrbStack));
        let rancher = engine(Os::Mac, "Alpine Linux v3.20", "lima-rancher-desktop", seccomp);
        assert_eq!(rancher, vm(Product::RancherDesktop));
        assert_eq!(engine(Os::Mac, ubuntu, "renamed", seccomp), vm(Product::Unknown));
        assert!(Engine::recorded(Os::Linux, r#"{"SecurityOptions": ["name=selinux"]}"#).selinux);
    }

    #[test]
    fn docker_first_then_podman() {
        let machine = Machine::new();
        machine.program("bin/docker", "binary");
        machine.program("bin/podman", "binary");
        assert_eq!(
            kinds(machine.candidates("bin", None, None)),
            [("docker".into(), RuntimeKind::Docker), ("podman".into(), RuntimeKind::Podman)]
        );
        assert_eq!(
            kinds(machine.candidates("bin", Some("podman"), None)),
            [("podman".into(), RuntimeKind::Podman)]
        );
    }

    #[test]
    fn podman_called_docker_is_recognised() {
        let machine = Machine::new();
        let podman = machine.program("real/podman", "binary");
        fs::create_dir(machine.0.path().join("link")).unwrap();
        symlink(podman, machine.0.path().join("link/docker")).unwrap();
        machine.program(
            "shim/docker",
            "#!/bin/sh\necho 'Emulate Docker CLI using podman.' >&2; echo podman version 4.3.1\n",
        );
        machine.program("wrapper/docker", "#!/bin/sh\necho 'Docker version 28.2.2, build e6534b4'\n");
        assert_eq!(kinds(machine.candidates("link", None, None)), [("docker".into(), RuntimeKind::Podman)]);
        assert_eq!(kinds(machine.candidates("shim", None, None)), [("docker".into(), RuntimeKind::Podman)]);
        assert_eq!(
            kinds(machine.candidates("wrapper", None, None)),
            [("docker".into(), RuntimeKind::Docker)]
        );
    }

    #[test]
    fn a_runtime_inside_the_project_or_a_relative_path_is_never_run() {
        let machine = Machine::new();
        let planted = machine.program("project/bin/docker", "#!/bin/sh\ntouch /tmp/never\n");
        fs::create_dir(machine.0.path().join("links")).unwrap();
        symlink(planted, machine.0.path().join("links/docker")).unwrap();
        assert_eq!(kinds(machine.candidates("project/bin", None, None)).len(), 1);
        for path in ["project/bin", "links"] {
            let error = machine.candidates(path, None, Some("project")).unwrap_err().to_string();
            let inside =
                format!("the container runtime is inside {}", machine.0.path().join("project").display());
            assert!(error.starts_with(&inside), "{error}");
        }
        let standing_there = |cwd: &str| {
            let mut host = Host::sample(&[("PATH", machine.0.path().join("project/bin").to_str().unwrap())]);
            host.cwd = Some(machine.0.path().join(cwd));
            find_program(&host, "docker", None).is_some()
        };
        fs::create_dir_all(machine.0.path().join("project/src/deep")).unwrap();
        let elsewhere = Machine::new();
        let elsewhere = elsewhere.0.path().to_str().unwrap();
        assert!(standing_there(elsewhere), "the control: it would be run");
        for dir in ["project", "project/bin", "project/src/deep"] {
            assert!(!standing_there(dir), "{dir}");
        }
        let host = Host::sample(&[("PATH", ".:bin:")]);
        assert_eq!(find_program(&host, "docker", None), None);
    }

    #[test]
    fn a_chosen_runtime_that_is_absent_is_named() {
        let machine = Machine::new();
        machine.program("bin/docker", "binary");
        let error = machine.candidates("bin", Some("podman"), None).unwrap_err().to_string();
        assert_eq!(error, "container runtime `podman` not found");
    }
}
