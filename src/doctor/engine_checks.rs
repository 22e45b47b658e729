//! The checks of an engine that answers: where it runs, its version, and how far it isolates.

use super::engines::Client;
use super::report::Check;
use crate::base::text;
use crate::engine::info::{Info, Limit, Mode, Product};
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
    let is_old = numbers(version)? < oldest;
    is_old.then(|| Check::problem("version", format!("{name} {version} is older than {major}.{minor}"), fix))
}

/// Returns the two numbers that a version begins with.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or_default()))
}

fn limits(host: &Host, info: &Info) -> Check {
    let engine = &info.engine;
    if engine.unenforced.is_empty() {
        return Check::ok("limits", "the engine can limit processes, memory and processors");
    }
    let names: Vec<String> = engine.unenforced.iter().map(Limit::to_string).collect();
    let fix = match engine.mode {
        Mode::Rootful => "turn on the kernel's cgroup controllers for them",
        Mode::Rootless if host.cgroup_v2 => {
            "put `Delegate=cpu cpuset io memory pids` into the unit user@.service, then log in again"
        }
        Mode::Rootless => {
            "boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`), or use an engine that runs as root"
        }
    };
    Check::warning("limits", format!("the engine can't limit {}", names.join(", ")), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(numbers("1.1.5+ds1"), Some((1, 1)));
        assert_eq!(numbers("20.10.24+dfsg1"), Some((20, 10)));
        assert_eq!(numbers("v29.0.0-rc.1"), Some((29, 0)));
        assert_eq!(numbers("5"), Some((5, 0)));
        assert_eq!(numbers(""), None);
        assert_eq!(numbers("dev"), None);
    }
}
