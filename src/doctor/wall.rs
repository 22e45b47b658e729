//! An engine that answers: where it is, what it is known to lack, and what of a cage's wall it can't hold.

use super::{Candidate, Check, Facts, Inside, Level, Server};
use crate::commands::status::place;
use crate::engine::runtime::{Engine, Limit, Mode};
use crate::host::machine::Host;
use crate::lifecycle::create::is_remote;

/// What is known of an engine that answers.
pub fn server_checks(host: &Host, candidate: &Candidate, server: &Server) -> Vec<Check> {
    let mut checks = Vec::new();
    if is_remote(&candidate.endpoint) {
        let message = format!("the engine is on another machine, {}", &candidate.endpoint);
        checks.push(Check::new("endpoint", Level::Problem, message).fix(
            "a cage mounts the project, and another machine doesn't have it: use an engine on this one",
        ));
    }
    let platform =
        Some(&server.platform).filter(|platform| server.engine.machine.is_some() && !platform.is_empty());
    let platform = platform.map(|platform| format!(": {platform}")).unwrap_or_default();
    checks.push(Check::new("mode", Level::Ok, format!("{}{platform}", place(&server.engine))));
    checks.extend(versions(candidate, server));
    checks.push(limits(host, &server.engine));
    checks.push(protections(server));
    checks
}

/// Floors below which something is known not to work, or not to hold.
fn versions(candidate: &Candidate, server: &Server) -> Vec<Check> {
    let mut checks = Vec::new();
    let is_podman = candidate.is_podman();
    let older = |version: &str, floor| numbers(version).is_some_and(|version| version < floor);
    let mut problem = |message: String, fix: &str| {
        checks.push(Check::new("version", Level::Problem, message).fix(fix));
    };
    if is_podman && server.engine.mode == Mode::Rootless && older(&server.version, (4, 3, 0)) {
        let message = format!("podman {} can't map you to the image's user", &server.version);
        problem(message, "update podman to 4.3 or newer, or use it as root");
    }
    for (what, version) in [("engine", Some(&server.version)), ("client", candidate.client.as_ref())] {
        if let Some(version) = version.filter(|version| !is_podman && older(version, (20, 10, 0))) {
            problem(format!("docker's {what} {version} is older than 20.10"), "update docker");
        }
    }
    let desktop = server.platform.strip_prefix("Docker Desktop ");
    if let Some(version) = desktop.filter(|version| older(version, (4, 44, 3))) {
        let message =
            format!("containers of Docker Desktop {version} can take this machine over (CVE-2025-9074)");
        problem(message, "update Docker Desktop to 4.44.3 or newer");
    }
    if let Some((name, version)) = &server.oci_runtime {
        let text = format!("{name} {version}");
        let is_old = name == "runc"
            && (older(version, (1, 2, 8)) || (!older(version, (1, 3, 0)) && older(version, (1, 3, 3))));
        checks.push(if is_old {
            let message = format!(
                "{text} is older than 1.2.8 or 1.3.3: unless your distribution has mended it, a cage can break out \
                 (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881)"
            );
            Check::new("oci-runtime", Level::Warning, message)
                .fix(match server.engine.machine {
                    Some(product) => format!("update {product}"),
                    None => "update runc, or look up these numbers in your distribution's security tracker".into(),
                })
        } else {
            Check::new("oci-runtime", Level::Ok, text)
        });
    }
    checks
}

/// The three numbers that a version begins with.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = version.trim_start_matches('v').splitn(3, '.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse::<u32>().ok()
    });
    let major = numbers.next()??;
    Some((major, numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0)))
}

fn limits(host: &Host, engine: &Engine) -> Check {
    if engine.unenforced.is_empty() {
        return Check::new("limits", Level::Ok, "processes, memory and processors can be limited");
    }
    let names: Vec<String> = engine.unenforced.iter().map(Limit::to_string).collect();
    let fix = if engine.mode == Mode::Rootful {
        "turn the kernel's cgroup controllers for them on"
    } else if host.cgroup_v2 {
        "let systemd hand them on: `Delegate=cpu cpuset io memory pids` for user@.service, then log in again"
    } else {
        "boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`), or use an engine that root runs"
    };
    let message = format!("this engine can't limit {}: a cage may use any amount", names.join(", "));
    Check::new("limits", Level::Warning, message).fix(fix)
}

fn protections(server: &Server) -> Check {
    if !server.seccomp && server.engine.machine.is_some() {
        return Check::new(
            "protections",
            Level::Ok,
            "no filter of system calls (seccomp), as the product has it",
        );
    }
    if !server.seccomp {
        return Check::new(
            "protections",
            Level::Warning,
            "the engine does not filter system calls (seccomp)",
        )
        .fix("take `seccomp=unconfined` out of its settings");
    }
    let apparmor = if server.apparmor { ", AppArmor" } else { "" };
    // What is mounted isn't relabelled.
    let selinux = if server.engine.selinux { "; SELinux does not confine cages (label=disable)" } else { "" };
    Check::new("protections", Level::Ok, format!("seccomp{apparmor}{selinux}"))
}

/// Cages try it; docker also says so.
pub fn init(facts: &Facts, inside: &Inside) -> Option<Check> {
    let has = inside.trial.init.or_else(|| facts.server()?.1.init);
    Some(if has? {
        Check::new("init", Level::Ok, "the engine has one, which cages start with")
    } else {
        Check::new(
            "init",
            Level::Warning,
            "the engine has none: programs that end stay as zombies until the cage stops",
        )
        .fix("install `docker-init` (tini) or `catatonit`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(numbers("1.1.5+ds1"), Some((1, 1, 5)));
        assert_eq!(numbers("4.44.3 (202357)"), Some((4, 44, 3)));
        assert_eq!(numbers("v29.0.0-rc.1"), Some((29, 0, 0)));
        assert_eq!(numbers("5.0"), Some((5, 0, 0)));
        assert_eq!(numbers(""), None);
        assert_eq!(numbers("dev"), None);
    }
}
