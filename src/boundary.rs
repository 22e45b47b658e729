//! The wall of a cage: what it is by default, and what takes it down.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::container::Container;
use crate::error::Failure;
use crate::options::CreateOptions;
use crate::project::Project;
use crate::runtime::Volume;
use crate::ssh_agent::{Link, SOCKET};
use crate::ui;

/// Capabilities that every cage does without: making device nodes and giving files capabilities, both of which other users
/// of the host could use in the project, and writing to its audit log. Package managers, sudo, debuggers and databases work
/// without them.
pub const DROPPED: [&str; 3] = ["MKNOD", "SETFCAP", "AUDIT_WRITE"];

/// Those of them that are dropped where these arguments go to the engine: podman refuses to drop what it is told to add.
pub fn dropped(args: &[String]) -> Vec<&'static str> {
    let is_added = |name: &str| {
        options(args).any(|(flag, value)| {
            let value = value.to_ascii_uppercase();
            flag == "--cap-add" && value.strip_prefix("CAP_").unwrap_or(&value) == name
        })
    };
    DROPPED.into_iter().filter(|name| !is_added(name)).collect()
}

/// How many processes there may be in a cage. docker by itself sets no limit.
pub const PIDS_LIMIT: u32 = 4096;

/// Arguments that cage itself depends on.
const OWN_ARGS: [&str; 5] = ["--name", "--rm", "--cidfile", "--pull", "--label-file"];

/// Checks arguments for the engine's `create`. `label` is the one that marks cages.
///
/// # Errors
/// When one would make a container that cage can't find again.
pub fn check_engine_args(args: &[String], label: &str) -> Result<()> {
    let is_own = |name: &str| name.starts_with("cage.") || name == label;
    for (flag, value) in options(args) {
        ensure!(
            !OWN_ARGS.contains(&flag),
            Failure::new(format!("`{flag}` can't be passed on to the engine: cage depends on it"))
        );
        ensure!(
            !matches!(flag, "-l" | "--label") || !is_own(value.split('=').next().unwrap_or_default()),
            Failure::new(format!(
                "label `{}` can't be passed on to the engine: it is cage's own",
                ui::escape(value)
            ))
        );
    }
    Ok(())
}

/// What of the boundary these arguments of the engine's and this network take down, each in a sentence.
pub fn weaknesses(args: &[String], network: Option<&str>, project: &str) -> Vec<String> {
    let network = network.map(|network| ("--network", network));
    options(args).chain(network).filter_map(|(flag, value)| weakness(flag, value, project)).collect()
}

fn weakness(flag: &str, value: &str, project: &str) -> Option<String> {
    let why = match flag {
        "--privileged" if value != "false" => "root in the cage is root on this machine",
        "--network" | "--net" if value.trim_start_matches("name=") == "host" => {
            "the cage reaches everything that listens on this machine"
        }
        "--network" | "--net" if value.starts_with("container:") => {
            "the cage is in another container's network"
        }
        "--pid" | "--ipc" | "--uts" | "--userns" | "--cgroupns" if value == "host" => {
            "the cage shares it with this machine"
        }
        "--pid" | "--ipc" if value.starts_with("container:") => "the cage shares it with another container",
        "--cap-add" => "it gives root in the cage more power over this machine",
        "--security-opt"
            if value.contains("unconfined") || value.contains("unmask") || value.contains("disable") =>
        {
            "it takes away a protection of the engine's"
        }
        "--device" | "--device-cgroup-rule" => "the cage can use that device of this machine",
        "--volumes-from" => "the cage has everything that is mounted in that container",
        "-v" | "--volume" | "--mount" => return mount_weakness(flag, value, project),
        _ => return None,
    };
    let value = if value.is_empty() { String::new() } else { format!(" {value}") };
    Some(format!("`{flag}{value}` weakens the cage: {why}"))
}

/// What an option mounts, and whether read-only.
fn mounted<'a>(flag: &str, value: &'a str) -> Option<(&'a str, bool)> {
    if flag == "--mount" {
        let field = |names: &[&str]| {
            let mut fields = value.split(',').map(|field| field.split_once('=').unwrap_or((field, "true")));
            fields.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
        };
        let readonly = field(&["readonly", "ro"]).is_some_and(|value| value != "false" && value != "0");
        Some((field(&["source", "src"])?, readonly))
    } else if matches!(flag, "-v" | "--volume") {
        let (source, rest) = value.split_once(':')?;
        Some((source, rest.split([':', ',']).any(|option| option == "ro")))
    } else {
        None
    }
}

fn mount_weakness(flag: &str, value: &str, project: &str) -> Option<String> {
    let (source, readonly) = mounted(flag, value)?;
    let sockets = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
    if sockets.iter().any(|socket| source.ends_with(socket)) {
        return Some(format!(
            "`{flag} {value}` takes the cage down: whoever has an engine's socket has this machine"
        ));
    }
    let is_path = source.starts_with(['/', '.', '~']);
    (is_path && !readonly && !Path::new(source).starts_with(project))
        .then(|| format!("`{flag} {value}` weakens the cage: it can change {source}"))
}

/// The options among arguments, with their values. An option without one has what follows it for a value, which does no
/// harm here.
fn options(args: &[String]) -> impl Iterator<Item = (&str, &str)> {
    let next = args.iter().skip(1).map(String::as_str).chain([""]);
    args.iter().zip(next).filter_map(|(word, next)| {
        let long = word.starts_with("--");
        match word.split_once('=') {
            Some((flag, value)) if long || (flag.len() == 2 && flag.starts_with('-')) => Some((flag, value)),
            // `-v/a:/b` and `-lx=y`.
            _ if !long && word.starts_with('-') && word.len() > 2 && word.is_char_boundary(2) => {
                Some(word.split_at(2))
            }
            None if word.starts_with('-') => Some((word, if next.starts_with('-') { "" } else { next })),
            _ => None,
        }
    })
}

/// Checks that no other cage can write where the project or a source of its mounts is, nor where a link is by which the
/// project was reached: it could put another link there, and the engine would mount what that leads to.
///
/// # Errors
/// When one can.
pub fn check_nested(
    project: &Project,
    options: &CreateOptions,
    cages: &[Container],
    label: &str,
) -> Result<()> {
    let paths: Vec<PathBuf> =
        [project.dir()].into_iter().chain(options.sources()).chain(links(&project.reached)).collect();
    for cage in cages.iter().filter(|cage| cage.cage_name() != project.name) {
        for source in cage.writable_sources(label) {
            let below = |path: &&PathBuf| path.starts_with(&source) && path.as_path() != Path::new(&source);
            if let Some(path) = paths.iter().find(below) {
                let its_own = cage.project(label);
                let hint = if project.above().any(|above| its_own == Some(above)) {
                    "`cage shell` here uses that cage; --allow-nested, if you trust what runs in it, makes one of its own"
                } else {
                    "--allow-nested, if you trust what runs in that cage"
                };
                return Err(Failure::new(format!(
                    "{} is in {}, where {} can write",
                    ui::escape(&path.to_string_lossy()),
                    ui::escape(&source),
                    cage.name
                ))
                .hint(hint)
                .into());
            }
        }
    }
    Ok(())
}

/// Checks that what a stopped cage mounts is where it was: whoever was in a cage that can write there may have put a link
/// in the path, such as in that of the repository of a worktree, and the engine would follow it. `link` is cage's own.
///
/// # Errors
/// When there is one.
pub fn check_mounts(container: &Container, link: Option<&Link>) -> Result<()> {
    let passed_on = container.options().engine_args;
    for source in container.sources() {
        // What was passed on to the engine is taken as it was written.
        let as_written = options(&passed_on)
            .any(|(flag, value)| mounted(flag, value).is_some_and(|(path, _)| path == source));
        if !as_written && source != SOCKET && link.is_none_or(|link| link.path != Path::new(source)) {
            check_unlinked(Path::new(source))?;
        }
    }
    Ok(())
}

/// Checks that there is no link on the way to what is about to be mounted, nor anything that can't be looked at: an engine
/// that root runs could. What is not there at all the engine refuses itself; in a virtual machine it may have another path.
///
/// # Errors
/// When there is one.
pub fn check_unlinked(path: &Path) -> Result<()> {
    let mut here = PathBuf::new();
    for part in path.components() {
        here.push(part);
        let shown = || ui::escape(&here.to_string_lossy());
        match fs::symlink_metadata(&here) {
            Ok(metadata) if metadata.is_symlink() => {
                let leads = fs::read_link(&here).unwrap_or_default();
                return Err(Failure::new(format!(
                    "{} in the cage now leads to {}",
                    shown(),
                    ui::escape(&leads.to_string_lossy())
                ))
                .hint("somebody put a link there; put back what it was, or `cage restart` without it")
                .into());
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => bail!(Failure::new(format!("cannot look at {}: {error}", shown()))),
        }
    }
    Ok(())
}

/// The links that one goes through on the way to `path`, each where it really is.
fn links(path: &Path) -> Vec<PathBuf> {
    let mut links = Vec::new();
    let mut here = PathBuf::from("/");
    for part in path.components() {
        let next = here.join(part);
        if fs::symlink_metadata(&next).is_ok_and(|metadata| metadata.is_symlink()) {
            links.push(next.clone());
        }
        let Ok(real) = fs::canonicalize(&next) else { return links };
        here = real;
    }
    links
}

/// Checks that a cage's home, if there is one already, is a plain volume: one made with options can be any directory of
/// the host.
///
/// # Errors
/// When it isn't.
pub fn check_home(volume: Option<Volume>) -> Result<()> {
    let Some(volume) = volume else { return Ok(()) };
    ensure!(
        volume.is_plain(),
        Failure::new(format!(
            "the volume {} is not a plain one: it was made with a driver or options",
            volume.name
        ))
        .hint(
            "cage's home must be a volume of its own: remove that one, or name another with CAGE_HOME_VOLUME"
        )
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(words: &str) -> Vec<String> {
        weaknesses(&shell_words::split(words).unwrap(), None, "/p/app")
    }

    #[test]
    fn what_takes_the_wall_down_is_told_however_it_is_written() {
        for words in [
            "--privileged",
            "--privileged=true",
            "--network host",
            "--net=host",
            "--network container:x",
            "--pid host",
            "--ipc=host",
            "--userns=host",
            "--cap-add SYS_ADMIN",
            "--cap-add=ALL",
            "--security-opt seccomp=unconfined",
            "--security-opt label=disable",
            "--device /dev/kvm",
            "--volumes-from other",
            "-v /var/run/docker.sock:/var/run/docker.sock",
            "-v/run/podman/podman.sock:/x:ro",
            "--volume=/home/me:/x",
            "--mount type=bind,source=/home/me,target=/x",
            "--mount type=bind,src=/run/docker.sock,dst=/x,ro",
            "--mount=type=bind,target=/x,source=/home/me,readonly=false",
        ] {
            let told = weak(words);
            assert_eq!(told.len(), 1, "{words}: {told:?}");
        }
        assert_eq!(
            weak("--cap-add SYS_ADMIN --memory 1g --privileged").join("\n"),
            "`--cap-add SYS_ADMIN` weakens the cage: it gives root in the cage more power over this machine\n\
             `--privileged` weakens the cage: root in the cage is root on this machine"
        );
        assert_eq!(weaknesses(&[], Some("host"), "/p").len(), 1);
    }

    #[test]
    fn what_leaves_it_standing_is_not() {
        for words in [
            "",
            "--privileged=false",
            "--network none",
            "--network my-net",
            "-v /home/me/data:/data:ro",
            "-v data:/data",
            "-v /p/app/sub:/sub",
            "--mount type=bind,source=/home/me,target=/x,readonly",
            "--mount type=volume,target=/x",
            "--memory 4g --cpus=2 --gpus all --shm-size 1g --dns 1.1.1.1",
            "--cap-drop ALL --security-opt no-new-privileges --runtime runsc",
        ] {
            assert_eq!(weak(words), [] as [String; 0], "{words}");
        }
    }

    #[test]
    fn what_is_added_is_not_dropped() {
        let dropped = |words: &str| dropped(&shell_words::split(words).unwrap());
        assert_eq!(dropped("--cap-add SYS_PTRACE --init"), DROPPED);
        assert_eq!(dropped("--cap-add MKNOD --cap-add=cap_setfcap"), ["AUDIT_WRITE"]);
    }

    #[test]
    fn arguments_that_cage_depends_on_are_refused_by_name() {
        let check = |words: &str| check_engine_args(&shell_words::split(words).unwrap(), "my.project");
        for words in [
            "--name x",
            "--name=x",
            "--memory 1g --rm",
            "--label cage.project=/x",
            "-lcage.image=x",
            "-l=cage.x=y",
            "--label my.project=/x",
            "--label=my.project",
        ] {
            assert!(check(words).is_err(), "{words}");
        }
        for words in ["", "--label mine=1", "--label my.projects=1", "--memory 1g", "-- x", "-", "é", "-é=x"]
        {
            assert!(check(words).is_ok(), "{words}");
        }
    }
}
