//! Recorded answers of engines to `info`.

use super::*;
use crate::host::systemd::Systemd;

impl Engine {
    /// Returns the engine that answered docker's `info` with this on a host with that system.
    pub fn recorded(os: Os, info: &str) -> Self {
        let mut host = Host::sample(&[]);
        host.os = os;
        host.nodename = Some("vm".into());
        read_docker(info, "docker", &host).unwrap().engine
    }
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
fn cp_follows_links_before_a_version_and_if_that_is_unknown() {
    for (version, expected) in [
        ("20.10.24+dfsg1", true),
        ("28.2.2", true),
        ("29.5.0", true),
        ("29.6.0", false),
        ("30.0", false),
        ("", true),
    ] {
        let engine = Engine::recorded(Os::Linux, &format!(r#"{{"ServerVersion": "{version}"}}"#));
        assert_eq!(engine.copies_through_links, expected, "{version}");
    }
}

#[test]
fn a_podman_behind_dockers_client_is_refused() {
    let said = r#"{"Plugins": {"Log": ["k8s-file", "none", "passthrough", "journald"]}}"#;
    let error = read_docker(said, "docker", &Host::sample(&[])).unwrap_err();
    assert_eq!(error.to_string(), "`docker` talks to podman here");
}

#[test]
fn an_old_docker_client_without_its_engine_succeeds_with_errors() {
    // Recorded: docker 20.10.24.
    let said = r#"{"ServerErrors":["Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?"],
        "ClientInfo":{"Debug":false,"Context":"default","Plugins":[],"Warnings":null}}"#;
    assert!(server_errors(said).unwrap().starts_with("Cannot connect to the Docker daemon"));
    assert_eq!(server_errors(r#"{"ServerVersion":"28.2.2"}"#), None, "the control");
}

#[test]
fn podman_tells_its_mode_limits_and_directory() {
    let said = |rootless: bool, remote: bool, controllers: &str| {
        format!(
            r#"{{"host": {{"cgroupVersion": "v2", "cgroupControllers": [{controllers}],
            "security": {{"rootless": {rootless}, "seccompEnabled": true}}, "serviceIsRemote": {remote}}},
            "store": {{"graphRoot": "/var/lib/containers/storage"}}, "version": {{"Version": "5.4.2"}}}}"#
        )
    };
    let mut host = Host::sample(&[]);
    host.set_systemd(Systemd {
        controllers: Some(vec!["memory".into(), "pids".into()]),
        ends_at_logout: false,
    });
    let info = read_podman(&said(true, false, r#""memory", "pids""#), &host).unwrap();
    assert_eq!((info.engine.mode, info.engine.machine), (Mode::Rootless, None));
    assert_eq!(info.engine.unenforced, [Limit::Processors]);
    assert_eq!((info.version.as_str(), info.seccomp), ("5.4.2", true));
    assert_eq!(info.directory, Some("/var/lib/containers/storage".into()));

    let info = read_podman(&said(false, true, ""), &host).unwrap();
    assert_eq!((info.engine.mode, info.directory), (Mode::Rootful, None));
    assert!(info.engine.unenforced.is_empty());

    host.os = Os::Mac;
    let info = read_podman(&said(true, true, r#""cpu", "memory", "pids""#), &host).unwrap();
    assert_eq!(info.engine.machine, Some(Product::PodmanMachine));
    assert!(info.engine.unenforced.is_empty());
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(version_numbers("1.1.5+ds1"), Some((1, 1)));
    assert_eq!(version_numbers("20.10.24+dfsg1"), Some((20, 10)));
    assert_eq!(version_numbers("v29.0.0-rc.1"), Some((29, 0)));
    assert_eq!(version_numbers("5"), Some((5, 0)));
    assert_eq!(version_numbers(""), None);
    assert_eq!(version_numbers("dev"), None);
}
