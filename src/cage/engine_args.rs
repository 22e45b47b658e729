//! Arguments for the engine's own `create` that cage refuses or adapts to.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::engine::args::{Content, Flag, MountSource, Place, flags};
use crate::host::reach::Reach;

/// Capabilities that no cage has: they create device nodes and files with capabilities, which other users of the host could use in
/// the project. Package managers, sudo, debuggers and databases work without them. `AUDIT_WRITE` stays: without it sudo prints
/// "unable to send audit message" each time on a kernel with auditing.
pub const DROPPED: [&str; 2] = ["MKNOD", "SETFCAP"];

/// Arguments that cage itself depends on. podman reads `--purge` as `--rm`:
/// <https://github.com/containers/podman/blob/v4.3.1/cmd/podman/utils/alias.go>.
const OWN: [&str; 8] = ["name", "rm", "purge", "replace", "rootfs", "cidfile", "pull", "label-file"];

/// Checks arguments for the engine's `create`. `label` is the label that marks cages.
///
/// # Errors
/// When an argument would make a container that cage can't find again.
pub fn check_engine_args(args: &[String], label: &str) -> Result<()> {
    for flag in flags(args) {
        let key = flag.value.split('=').next().unwrap_or_default();
        let refused =
            |what: String, why: &str| Failure::new(format!("{what} can't be passed on to the engine: {why}"));
        ensure!(
            flag.name != "label" || !(key.starts_with("cage.") || key == label),
            refused(format!("label `{}`", text::escape(flag.value)), "it is cage's own")
        );
        ensure!(!OWN.contains(&flag.name), refused(format!("`--{}`", flag.name), "cage depends on it"));
        // Code in the cage could end it, after it has put a link in the place of a mount's source.
        let starts_again = match flag.name {
            "restart" => flag.value != "no",
            "health-on-failure" => !["none", "kill", "stop"].contains(&flag.value),
            name => name.starts_with("health-startup"),
        };
        ensure!(
            !starts_again,
            refused(
                format!("`--{} {}`", flag.name, text::escape(flag.value)),
                "the engine would start the cage without cage's checks"
            )
            .hint("to have the cage after a login, run `cage start -d` then")
        );
    }
    Ok(())
}

/// Arguments with paths in the container, or with any text, and those that mount something, which is checked elsewhere.
const INSIDE: [&str; 16] = [
    "annotation",
    "chrootdirs",
    "entrypoint",
    "env",
    "health-cmd",
    "hostname",
    "label",
    "mount",
    "passwd-entry",
    "secret",
    "sysctl",
    "tmpfs",
    "user",
    "volume",
    "volumes-from",
    "workdir",
];

/// Checks that no file that these arguments have the engine use is where code in a cage can write: an env file takes variables of
/// this machine, a link leads to other files, and podman runs the program that `--runtime` names. `here` is the client's directory.
///
/// # Errors
/// When one is.
pub fn check_files(args: &[String], here: &Path, reach: &Reach) -> Result<()> {
    for flag in flags(args) {
        let place = files_of(&flag, here).find_map(|file| reach.place_of(&here.join(file)));
        ensure!(
            place.is_none(),
            Failure::new(format!(
                "`--{} {}` names a file in {}, where code in a cage can write",
                flag.name,
                text::escape(flag.value),
                text::escape(&place.unwrap_or(here).to_string_lossy())
            ))
            .hint("move the file out; `.cage.env` is for variables of a project")
        );
    }
    Ok(())
}

/// Returns the files that the engine may read, write or run because of a flag: of a flag that cage doesn't know, everything with a
/// slash, but for relative paths at which there is nothing, such as `linux/amd64`.
fn files_of<'a>(flag: &Flag<'a>, here: &Path) -> impl Iterator<Item = &'a str> {
    let named = match flag.name {
        "authfile" | "conmon-pidfile" | "decryption-key" | "env-file" | "pidfile" => Some(flag.value),
        "log-opt" => flag.value.strip_prefix("path="),
        "security-opt" => {
            let file = flag.value.strip_prefix("seccomp=").or(flag.value.strip_prefix("seccomp:"));
            file.filter(|file| !matches!(*file, "unconfined" | "builtin"))
        }
        _ => None,
    };
    let text = if INSIDE.contains(&flag.name) { "" } else { flag.value };
    let is_path = |part: &&str| {
        ["/", "./", "../"].iter().any(|start| part.starts_with(start))
            || (part.contains('/') && here.join(part).symlink_metadata().is_ok())
    };
    named.into_iter().chain(text.split(['=', ':', ',']).filter(is_path))
}

/// Returns the capabilities to drop, except those that these arguments add: podman refuses to add and drop the same capability.
pub fn dropped(args: &[String]) -> Vec<&'static str> {
    let flags = flags(args);
    let is_added = |name: &str| {
        flags.iter().filter(|flag| flag.name == "cap-add").any(|flag| {
            let value = flag.value.to_ascii_uppercase();
            value.split(',').any(|value| value.strip_prefix("CAP_").unwrap_or(value) == name)
        })
    };
    DROPPED.into_iter().filter(|name| !is_added(name)).collect()
}

/// Returns the paths on this machine that the arguments make the engine mount, for a command in the directory `here`.
pub fn written(args: &[String], here: &Path) -> Vec<String> {
    let paths = all_mounted(args).into_iter().filter(MountSource::is_path);
    paths.filter_map(|source| here.join(source.name).into_os_string().into_string().ok()).collect()
}

/// Returns the sources that these arguments mount.
pub fn all_mounted(args: &[String]) -> Vec<MountSource> {
    flags(args).iter().flat_map(Flag::sources).collect()
}

/// Returns the places at which these arguments mount something. Links in the paths of sources, which the engine follows, are
/// resolved.
pub fn places(args: &[String]) -> Vec<Place> {
    let real = |place: Place| match place.content {
        Content::Path(path) => {
            let path = file::real(&Path::new("/").join(path)).to_string_lossy().into_owned();
            Place { content: Content::Path(path), ..place }
        }
        _ => place,
    };
    flags(args).iter().filter_map(Flag::place).map(real).collect()
}
