//! The container runtime: which docker or podman is used.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{file, text};
pub use crate::engine::command::Runtime;
use crate::engine::dialect::Dialect;
use crate::engine::error::{EngineError, Trouble, is_trouble};
use crate::engine::runner::Runner;
use crate::host::machine::Host;
use crate::host::reach::Reach;

/// A program that may be a container runtime.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The name by which the user chose it.
    pub name: &'a str,
    /// The path of the program.
    pub program: PathBuf,
    /// The variables with which it runs.
    variables: Vec<(OsString, OsString)>,
    /// Why an earlier program of this name is not used, if there is one.
    pub instead_of: Option<String>,
}

impl Reach {
    fn of(host: &Host, project: Option<&Path>) -> Result<Self> {
        // The current directory may become the project of a cage, whichever project the command is about.
        let here = host.cwd.as_deref().filter(|cwd| host.may_be_a_project(cwd));
        let places = project.into_iter().chain(here).map(Path::to_owned);
        Ok(places.chain(host.reach()?).collect())
    }

    /// Returns the variables to change for the client. PATH, where engines look for programs that they start, some as root, and the
    /// variables with libraries lose relative entries and those that code in a cage can write; all others lose only the latter. The
    /// runtime directory is added if it is missing.
    fn variables(&self, host: &Host) -> Result<Vec<(OsString, OsString)>> {
        let is_safe =
            |entry: &PathBuf| entry.is_absolute() && entry.exists() && self.place_of(entry).is_none();
        let filtered = |name: &&'static str| {
            let entries = std::env::split_paths(host.path_variable(name)?).filter(is_safe);
            Some(std::env::join_paths(entries).map(|value| (name.into(), value)).map_err(Into::into))
        };
        let is_known =
            |name: &OsStr| LISTS.iter().chain(&SETTINGS).chain(&["HOME"]).any(|known| name == *known);
        let others = host.variables().filter(|(name, _)| !is_known(name));
        let others = others.filter_map(|(name, value)| Some(Ok((name.into(), self.without_places(value)?))));
        let runtime_dir = host.missing_runtime_dir().map(|dir| Ok(("XDG_RUNTIME_DIR".into(), dir.into())));
        LISTS.iter().filter_map(filtered).chain(others).chain(runtime_dir).collect()
    }

    /// Returns the value of a variable without its entries that have a path which code in a cage can write, as in
    /// `NODE_OPTIONS=--require=/path`; `None` if there is no such entry.
    fn without_places(&self, value: &OsStr) -> Option<OsString> {
        let is_place = |part: &[u8]| {
            let path = part
                .iter()
                .position(|c| *c == b'/')
                .map(|start| Path::new(OsStr::from_bytes(&part[start..])));
            path.is_some_and(|path| self.place_of(path).is_some())
        };
        let (bytes, is_end) = (value.as_bytes(), |c: &u8| c.is_ascii_whitespace() || b"=,;\"'".contains(c));
        let entries: Vec<&[u8]> = bytes.split(|c| *c == b':').collect();
        let kept = entries.iter().filter(|entry| !entry.split(is_end).any(is_place)).copied();
        let kept = kept.collect::<Vec<_>>();
        (kept.len() < entries.len()).then(|| OsStr::from_bytes(&kept.join(&b':')).to_owned())
    }

    /// Checks that no variable leads an engine's client to settings or a socket that code in a cage can write.
    fn check_settings(&self, host: &Host) -> Result<()> {
        let here = host.cwd.as_deref().unwrap_or(Path::new("/"));
        for name in SETTINGS {
            let value = host.path_variable(name).unwrap_or(Path::new(""));
            if let Some(place) =
                named_paths(name, value).iter().find_map(|path| self.place_of(&here.join(path)))
            {
                let place = text::escape(&place.to_string_lossy());
                bail!(
                    Failure::new(format!("{name} leads into {place}, which code in a cage can write"))
                        .hint(format!("unset {name}, or move what it names"))
                );
            }
        }
        Ok(())
    }
}

/// Returns the paths that the value of a variable in [`SETTINGS`] names.
fn named_paths<'a>(name: &str, value: &'a Path) -> Vec<&'a Path> {
    match (value.to_str().unwrap_or("?"), value.to_str().and_then(|value| value.split_once("://"))) {
        ("", _) => Vec::new(),
        (_, Some(("unix", path))) => vec![Path::new(path)],
        // An engine elsewhere; docker reads a name alone as that of a machine.
        (_, Some(_)) => Vec::new(),
        (address, None) if name.ends_with("_HOST") && !address.contains('/') => Vec::new(),
        // `overlay.mount_program=/path,…`
        (options, None) if name == STORAGE_OPTS => {
            options.split(['=', ',']).filter(|part| part.contains('/')).map(Path::new).collect()
        }
        (_, None) => vec![value],
    }
}

/// The variable with options of podman's storage, some of which name programs.
const STORAGE_OPTS: &str = "STORAGE_OPTS";

/// Variables with directories, libraries or files from which an engine's client, or a script or credential helper that it starts,
/// runs or loads something, and with directories in which it keeps layers or names of images. Each may be a list.
const LISTS: [&str; 21] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "GCONV_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "BASH_ENV",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PERL5LIB",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "RUBYLIB",
    "SSH_ASKPASS",
    "TMPDIR",
    "XDG_CACHE_HOME",
];

/// Variables that name settings, sockets or the storage of engines. Settings can name programs.
const SETTINGS: [&str; 16] = [
    "CONTAINERS_CONF",
    "CONTAINERS_CONF_OVERRIDE",
    "CONTAINERS_HELPER_BINARY_DIR",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "PODMAN_CONNECTIONS_CONF",
    "REGISTRY_AUTH_FILE",
    "SSH_AUTH_SOCK",
    STORAGE_OPTS,
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

impl Runtime {
    /// Returns the programs to try, best first: the one that `choice` (`--runtime` or `CAGE_RUNTIME`) names, or each engine's usual
    /// one. A program inside `project`, the current directory, or another place that a cage can write is never among them.
    ///
    /// # Errors
    /// When there is none, or not the chosen one.
    pub fn candidates<'a>(
        host: &Host,
        choice: Option<&'a str>,
        project: Option<&Path>,
    ) -> Result<Vec<Candidate<'a>>> {
        let names =
            choice.map_or_else(|| Dialect::in_order().map(Dialect::program).collect(), |choice| vec![choice]);
        let reach = Reach::of(host, project)?;
        reach.check_settings(host)?;
        let variables = reach.variables(host)?;
        let shown = |path: &Path| text::escape(&path.to_string_lossy());
        let (mut found, mut skipped) = (Vec::new(), None);
        for name in names {
            // Relative entries of PATH depend on the current directory, so they are not looked up in it.
            let programs = which::which_in_all(name, host.path_variable("PATH"), "/nonexistent");
            let mut instead_of = None;
            for program in programs.into_iter().flatten().filter(|program| program.is_absolute()) {
                let Some(place) = reach.place_of(&program) else {
                    found.push(Candidate { name, program, variables: variables.clone(), instead_of });
                    break;
                };
                let why =
                    format!("{} is in {}, which code in a cage can write", shown(&program), shown(place));
                instead_of = instead_of.or(Some(why));
                skipped = skipped.or_else(|| instead_of.clone());
            }
        }
        if let Some(first) = found.first_mut() {
            first.instead_of = first.instead_of.take().or(skipped);
            return Ok(found);
        }
        let failure = match (skipped, choice) {
            (Some(why), _) => Failure::new(format!("no container runtime to trust: {why}"))
                .hint("install it elsewhere, or start cage in a smaller directory; ~/.local/state/cage/writable.* has what cages can write"),
            (None, Some(choice)) => {
                Failure::new(format!("container runtime `{}` not found", text::escape(choice)))
                    .hint("`--runtime` and CAGE_RUNTIME take docker, podman, or the path of one")
            }
            (None, None) => Failure::new(
                "no container runtime found: neither `docker` nor `podman` is in PATH",
            )
            .hint(
                "install Docker (https://docs.docker.com/get-docker), colima or podman (https://podman.io)",
            ),
        };
        Err(failure.into())
    }

    /// Recognises the dialect of `program`: of a binary by its name, of a script, such as the podman-docker package's
    /// `docker`, by its `--version`.
    ///
    /// # Errors
    /// When the program names no version, or is a client that cage can't use.
    pub fn identify(runner: Runner, Candidate { name, program, variables, .. }: Candidate) -> Result<Self> {
        let real = file::real(&program);
        let real_name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut runtime = Self { kind: Dialect::Docker, name: name.to_owned(), program, variables };
        let says = if is_script(&real) { runner.run(&runtime.command(["--version"]))? } else { real_name };
        if says.contains("nerdctl") {
            bail!(
                Failure::new(format!(
                    "`{name}` is nerdctl, which can't attach to or copy into a container as cage needs"
                ))
                .hint("choose the dockerd (moby) engine, or use docker or podman")
            );
        }
        runtime.kind = Dialect::of_client(&says);
        Ok(runtime)
    }
}

impl Runtime {
    /// Checks that the client's program is not in a place that a new cage can write: no command could trust it afterwards.
    ///
    /// # Errors
    /// When it is.
    pub fn check_outside(&self, places: &[String]) -> Result<()> {
        let reach: Reach = places.iter().map(PathBuf::from).collect();
        let Some(place) = reach.place_of(&self.program) else { return Ok(()) };
        let shown = |path: &Path| text::escape(&path.to_string_lossy());
        bail!(
            Failure::new(format!("the container runtime {} is in {}", shown(&self.program), shown(place)))
                .hint("code in the cage could replace it: mount that place with `:ro`, or start cage in a smaller directory")
        )
    }
}

/// Returns whether cage tries the next runtime after this error: either the engine can't be reached, or the program printed no
/// version (it was not `identified`), like Docker Desktop's stub in WSL.
pub fn is_skipped(error: &anyhow::Error, identified: bool) -> bool {
    is_trouble(error, Trouble::Unreachable)
        || is_trouble(error, Trouble::PermissionDenied)
        || (!identified && error.is::<EngineError>())
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
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
                .map(|candidate| Runtime::identify(Runner { verbose: false, limit: None }, candidate))
                .collect()
        }
    }

    fn kinds(found: Result<Vec<Runtime>>) -> Vec<(String, Dialect)> {
        found.unwrap().into_iter().map(|runtime| (runtime.name, runtime.kind)).collect()
    }

    #[test]
    fn docker_first_then_podman() {
        let machine = Machine::new();
        machine.program("bin/docker", "binary");
        machine.program("bin/podman", "binary");
        assert_eq!(
            kinds(machine.candidates("bin", None, None)),
            [("docker".into(), Dialect::Docker), ("podman".into(), Dialect::Podman)]
        );
        assert_eq!(
            kinds(machine.candidates("bin", Some("podman"), None)),
            [("podman".into(), Dialect::Podman)]
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
        assert_eq!(kinds(machine.candidates("link", None, None)), [("docker".into(), Dialect::Podman)]);
        assert_eq!(kinds(machine.candidates("shim", None, None)), [("docker".into(), Dialect::Podman)]);
        assert_eq!(kinds(machine.candidates("wrapper", None, None)), [("docker".into(), Dialect::Docker)]);
    }

    #[test]
    fn a_runtime_inside_the_project_or_a_relative_path_is_never_run() {
        let machine = Machine::new();
        let planted = machine.program("project/bin/docker", "#!/bin/sh\n:\n");
        fs::create_dir(machine.0.path().join("links")).unwrap();
        symlink(planted, machine.0.path().join("links/docker")).unwrap();
        assert_eq!(kinds(machine.candidates("project/bin", None, None)).len(), 1);
        for path in ["project/bin", "links"] {
            let error = machine.candidates(path, None, Some("project")).unwrap_err().to_string();
            let place = machine.0.path().join("project");
            let inside = format!(" is in {}, which code in a cage can write", place.display());
            assert!(error.ends_with(&inside), "{error}");
        }
        let path = machine.0.path().join("project/bin");
        let in_directory = |cwd: &Path, path: &str| {
            let mut host = Host::sample(&[("PATH", path)]);
            host.cwd = Some(cwd.to_owned());
            Runtime::candidates(&host, None, None).is_ok()
        };
        let elsewhere = Machine::new();
        assert!(in_directory(elsewhere.0.path(), path.to_str().unwrap()), "the control: it would be run");
        assert!(!in_directory(&machine.0.path().join("project"), path.to_str().unwrap()));
        assert!(!in_directory(elsewhere.0.path(), ".:bin:"));
    }

    #[test]
    fn what_another_cage_can_write_is_not_run_and_not_in_the_path() {
        let machine = Machine::new();
        for dir in ["home", "other/bin", "other/deep/bin", "bin", "sbin"] {
            fs::create_dir_all(machine.0.path().join(dir)).unwrap();
        }
        let path = |dir: &str| machine.0.path().join(dir).display().to_string();
        machine.program("other/bin/docker", "");
        machine.program("bin/docker", "");
        symlink(path("sbin"), path("other/link")).unwrap();
        symlink(path("other/deep"), path("way")).unwrap();
        let dirs = ["other/bin", "other/link", "way/bin", "bin", "sbin"].map(path);
        let mut host = Host::sample(&[("PATH", &format!(".:{}::relative", dirs.join(":")))]);
        host.home = Some(path("home").into());
        let found = |host: &Host| {
            let found = Runtime::candidates(host, None, None).unwrap();
            (found[0].program.display().to_string(), found[0].variables[0].1.to_str().unwrap().to_owned())
        };
        assert_eq!(found(&host), (path("other/bin/docker"), dirs.join(":")), "the control: no cage is known");
        host.keep_reach("docker", [path("other")]);
        assert_eq!(found(&host), (path("bin/docker"), format!("{}:{}", path("bin"), path("sbin"))));
        let other = path("other");
        let value = |value: &str| {
            let mut host = Host::sample(&[("PATH", &path("bin")), ("ANY", value)]);
            host.home = Some(path("home").into());
            let found = Runtime::candidates(&host, None, None).unwrap().remove(0).variables;
            found.into_iter().find_map(|(name, value)| (name == "ANY").then(|| value.into_string().unwrap()))
        };
        for harmless in ["", "x", "a=/b", &path("bin"), "https://host/x"] {
            assert_eq!(value(harmless), None, "{harmless}");
        }
        let lists = [format!("--require={other}/x.js -v"), format!("-I{other}"), format!("file://{other}/x")];
        for (list, left) in lists.iter().zip(["", "", "file"]) {
            assert_eq!(value(list).as_deref(), Some(left));
        }
        assert_eq!(value(&format!("/a:{other}/lib:/b")).as_deref(), Some("/a:/b"));
        host.keep_reach("docker", []);
        assert_eq!(found(&host).0, path("bin/docker"), "what was planted stays when the cage is gone");
        host.keep_reach("docker", ["/".to_owned(), path("")]);
        assert_eq!(found(&host).0, path("bin/docker"), "nothing would be left");
        host.keep_reach("podman", [path("bin")]);
        assert!(Runtime::candidates(&host, None, None).is_err(), "both are in reach");
        fs::write(machine.0.path().join("home/.local/state/cage/writable.docker.cage.project"), "x").unwrap();
        assert!(Runtime::candidates(&host, None, None).is_err(), "it can't be read");
    }

    #[test]
    fn a_chosen_runtime_that_is_absent_is_named() {
        let machine = Machine::new();
        machine.program("bin/docker", "binary");
        let error = machine.candidates("bin", Some("podman"), None).unwrap_err().to_string();
        assert_eq!(error, "container runtime `podman` not found");
    }
}
