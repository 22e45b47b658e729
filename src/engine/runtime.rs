//! The container runtime: which docker or podman is used.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::engine::command::Invocation;
use crate::engine::dialect::Dialect;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::Runner;
use crate::host::machine::Host;
use crate::host::places::is_shared;

/// A docker or podman client on this machine.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The dialect of its command line.
    pub kind: Dialect,
    /// The name by which the user chose it, for messages and command lines.
    pub name: String,
    program: PathBuf,
}

impl Runtime {
    /// Returns the names and paths of the programs to try, best first: the one that `choice` (`--runtime` or `CAGE_RUNTIME`)
    /// names, or each engine's usual one. A program inside `project`, which is writable in the cage, is never among them.
    ///
    /// # Errors
    /// When there is none, or not the chosen one.
    pub fn candidates<'a>(
        host: &Host,
        choice: Option<&'a str>,
        project: Option<&Path>,
    ) -> Result<Vec<(&'a str, PathBuf)>> {
        let names =
            choice.map_or_else(|| Dialect::in_order().map(Dialect::program).collect(), |choice| vec![choice]);
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
                .hint("code in a cage there could replace it; choose a smaller directory, or name the runtime by its path")
            }
            (Some(choice), _) => Failure::new(format!("container runtime `{}` not found", text::escape(choice)))
                .hint("`--runtime` and CAGE_RUNTIME take docker, podman, or the path of one"),
            (None, _) => Failure::new("no container runtime found: neither `docker` nor `podman` is in PATH").hint(
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
    pub fn identify(runner: Runner, name: &str, program: PathBuf) -> Result<Self> {
        let real = file::real(&program);
        let real_name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut runtime = Self { kind: Dialect::Docker, name: name.to_owned(), program };
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

    /// Returns a command line of this client.
    pub fn command<A: Into<String>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        Invocation::new(self.kind, self.program.clone(), self.name.clone(), args)
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
    // The current directory may be writable in a cage, whichever project the command is about.
    let here = host.cwd.as_deref().filter(|cwd| host.may_be_a_project(cwd));
    let dirs = || project.into_iter().chain(here);
    // So may a directory above, since the current directory can be inside a project. An absolute path is meant.
    let by_path = Path::new(name).is_absolute();
    let may_be = |dir: &&Path| host.may_be_a_project(dir) && !host.has_programs(dir) && !is_shared(dir);
    let above: Vec<&Path> =
        dirs().flat_map(|dir| dir.ancestors().skip(1).take_while(may_be)).filter(|_| !by_path).collect();
    let trusted = |program: &PathBuf| {
        let real = file::real(program);
        let inside = |dir: &Path| program.starts_with(dir) || real.starts_with(dir);
        program.is_absolute() && !dirs().chain(above.iter().copied()).any(inside)
    };
    // Relative entries of PATH depend on the current directory, so they are not looked up in it.
    which::which_in_all(name, host.path_variable("PATH"), "/nonexistent").ok()?.find(trusted)
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

#[cfg(test)]
impl Runtime {
    /// Returns a client that is not installed.
    pub fn sample(kind: Dialect) -> Self {
        let name = kind.program();
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
