//! The checks of an engine that answers: where it runs, its version, and how far it isolates.

use super::engines::Client;
use super::report::Check;
use crate::base::text;
use crate::engine::info::{Info, Limit, Mode, Product, version_numbers};
use crate::host::machine::Host;

/// The free space in bytes below which pulling an image is likely to fail.
const LITTLE_SPACE: u64 = 2_000_000_000;

/// Returns the checks of an engine that answers.
pub fn engine_checks(host: &Host, client: &Client, info: &Info) -> Vec<Check> {
    let mut checks = Vec::new();
    if info.engine.machine == Some(Product::Elsewhere) {
        let place = format!("on another machine, {}", client.endpoint);
        checks.push(if client.is_unprotected {
            let message = format!("{place}, not protected: anyone in the network can use it");
            Check::warning("endpoint", message, "use ssh://, or tcp:// with TLS")
        } else {
            Check::ok("endpoint", format!("{place}: it can have cages for directories that it shares"))
        });
    }
    checks.push(Check::ok("mode", info.engine.location()));
    checks.extend(old_version(client, info));
    checks.push(limits(host, info));
    let runs_as_user = info.engine.mode == Mode::Rootless && info.engine.machine.is_none();
    checks.extend((runs_as_user && host.systemd().ends_at_logout).then(|| {
        Check::warning("logout", "logging out ends your cages", "`loginctl enable-linger` keeps them")
    }));
    checks.extend(client.dialect().filter(|dialect| dialect.lacks_init(host)).map(|_| no_init()));
    checks.push(match (info.seccomp, info.engine.machine) {
        (true, _) if info.engine.selinux => {
            Check::ok("protections", "seccomp; SELinux is off for cages (label=disable)")
        }
        (true, _) => Check::ok("protections", "seccomp"),
        (false, Some(_)) => {
            Check::ok("protections", "no seccomp, as usual in this product's virtual machine")
        }
        (false, None) => Check::warning(
            "protections",
            "the engine runs containers without seccomp",
            "remove `seccomp=unconfined` from the engine's settings",
        ),
    });
    checks.extend(client.free_space.map(|free| {
        let message = format!("{} free for images and cages", text::bytes(free));
        if free < LITTLE_SPACE {
            Check::warning("disk", message, "`cage prune` or the engine's `system prune` frees space")
        } else {
            Check::ok("disk", message)
        }
    }));
    checks
}

/// Returns a problem if the engine is too old for cage.
fn old_version(client: &Client, info: &Info) -> Option<Check> {
    let (oldest, fix) = client.dialect()?.oldest_version(info.engine.mode)?;
    let (name, version, (major, minor)) = (&client.name, &info.version, oldest);
    let is_old = version_numbers(version)? < oldest;
    is_old.then(|| Check::problem("version", format!("{name} {version} is older than {major}.{minor}"), fix))
}

fn limits(host: &Host, info: &Info) -> Check {
    let engine = &info.engine;
    if engine.unenforced.is_empty() {
        return Check::ok("limits", "the engine can limit processes, memory and processors");
    }
    let names: Vec<String> = engine.unenforced.iter().map(Limit::to_string).collect();
    let fix = match engine.mode {
        Mode::Rootful => "turn on the kernel's cgroup controllers for them",
        Mode::Rootless if host.systemd().controllers.is_some() => {
            "put `Delegate=cpu cpuset io memory pids` into the unit user@.service, then log in again"
        }
        Mode::Rootless => {
            "boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`), or use an engine that runs as root"
        }
    };
    Check::warning("limits", format!("the engine can't limit {}", names.join(", ")), fix)
}

/// Returns the warning about an engine whose init is not installed. cage then creates containers without one.
fn no_init() -> Check {
    Check::warning(
        "init",
        "catatonit is not installed: a program whose parent has ended stays as a zombie when it ends",
        "install the package catatonit",
    )
}
