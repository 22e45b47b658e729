//! Recorded messages of engines, and the kind of failure that each is.

use super::*;

fn args(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Recorded messages: engine and version, command, message and kind.
const RECORDED: &[(&str, &str, &str, Trouble)] = &[
    (
        "docker 28.2",
        "info",
        "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
        Trouble::Unreachable,
    ),
    (
        "docker 28.2",
        "run x",
        "docker: Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?.\nSee 'docker run --help'.",
        Trouble::Unreachable,
    ),
    (
        "docker 29",
        "info",
        "failed to connect to the docker API at unix:///x.sock; check if the path is correct and if the daemon is running",
        Trouble::Unreachable,
    ),
    (
        "podman 4.3",
        "info",
        "Cannot connect to Podman. Please verify your connection to the Linux system using `podman system connection list`\nError: unable to connect to Podman socket: Get \"http://d/v4.3.1/libpod/_ping\": dial unix ///run/podman/podman.sock: connect: no such file or directory",
        Trouble::Unreachable,
    ),
    (
        "docker 20.10",
        "info",
        "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get \"http://x\": dial unix /var/run/docker.sock: connect: permission denied",
        Trouble::PermissionDenied,
    ),
    (
        "docker 28.2",
        "info",
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
        Trouble::PermissionDenied,
    ),
    (
        "docker 29",
        "info",
        "permission denied while trying to connect to the docker API at unix:///x",
        Trouble::PermissionDenied,
    ),
    (
        "docker 28.2",
        "start x",
        "Error response from daemon: No such container: x\nError: failed to start containers: x",
        Trouble::NoSuchContainer,
    ),
    ("docker 20.10", "container inspect x", "Error: No such container: x", Trouble::NoSuchContainer),
    ("docker 28.2", "inspect x", "Error: No such object: x", Trouble::NoSuchContainer),
    (
        "docker 28.2",
        "cp - x:/etc",
        "Error response from daemon: No such container: x",
        Trouble::NoSuchContainer,
    ),
    (
        "podman 4.3",
        "container inspect x",
        "Error: inspecting object: no such container x",
        Trouble::NoSuchContainer,
    ),
    ("podman 4.3", "inspect x", "Error: inspecting object: no such object: \"x\"", Trouble::NoSuchContainer),
    (
        "podman 4.3",
        "exec x true",
        "Error: no container with name or ID \"x\" found: no such container",
        Trouble::NoSuchContainer,
    ),
    (
        "docker 28.2",
        "image inspect x",
        "Error response from daemon: no such image: x: No such image: x:latest",
        Trouble::NoSuchImage,
    ),
    ("docker 20.10", "image inspect x", "Error: No such image: x", Trouble::NoSuchImage),
    ("podman 4.3", "create --pull never x", "Error: x: image not known", Trouble::NoSuchImage),
    (
        "docker 28.2",
        "create --name x image",
        "Error response from daemon: Conflict. The container name \"/x\" is already in use by container \"4dd7\". You have to remove (or rename) that container to be able to reuse that name.",
        Trouble::NameTaken,
    ),
    (
        "docker 28.2",
        "rename y x",
        "Error response from daemon: Error when allocating new name: Conflict. The container name \"/x\" is already in use by container \"4dd7\". You have to remove (or rename) that container to be able to reuse that name.\nError: failed to rename container named y",
        Trouble::NameTaken,
    ),
    (
        "podman 4.3",
        "create --name x image",
        "Error: creating container storage: the container name \"x\" is already in use by 65b9. You have to remove that container to be able to reuse that name: that name is already in use",
        Trouble::NameTaken,
    ),
    (
        "podman 4.3",
        "rename y x",
        "Error: renaming container 0028: name x already in use, cannot rename container 0028: container already exists",
        Trouble::NameTaken,
    ),
    (
        "docker 28.2",
        "start x",
        "Error response from daemon: failed to set up container networking: driver failed programming external connectivity on endpoint x (1): Bind for 127.0.0.1:3000 failed: port is already allocated",
        Trouble::PortTaken,
    ),
    (
        "docker 20.10",
        "start x",
        "docker: Error response from daemon: driver failed programming external connectivity on endpoint x (84ff): Error starting userland proxy: listen tcp4 10.99.99.99:4999: bind: cannot assign requested address",
        Trouble::PortRefused,
    ),
    (
        "podman 4.3, rootless",
        "start x",
        "Error: rootlessport cannot expose privileged port 82, you can add 'net.ipv4.ip_unprivileged_port_start=82' to /etc/sysctl.conf (currently 1024), or choose a larger port number (>= 1024): listen tcp 127.0.0.1:82: bind: permission denied",
        Trouble::PortRefused,
    ),
    ("docker 28.2", "pull x", "write /var/lib/docker/tmp/x: no space left on device", Trouble::DiskFull),
    (
        "docker 20.10",
        "start x",
        "Error response from daemon: exec: \"docker-init\": executable file not found in $PATH",
        Trouble::NoInit,
    ),
    (
        "podman 4.3",
        "create --init x",
        "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file or directory",
        Trouble::NoInit,
    ),
    (
        "podman 5.4",
        "create --init x",
        "Error: lookup init binary: exec: \"catatonit\": executable file not found in $PATH",
        Trouble::NoInit,
    ),
    (
        "a later podman",
        "create --init x",
        "Error: could not find \"catatonit\" in one of {[/usr/libexec/podman]  []}",
        Trouble::NoInit,
    ),
    (
        "docker 28.2",
        "exec x true",
        "Error response from daemon: Container 61ef is not running",
        Trouble::NotRunning,
    ),
    (
        "docker 29",
        "exec x true",
        "Error response from daemon: container 61ef is not running",
        Trouble::NotRunning,
    ),
    (
        "podman 4.3",
        "exec x true",
        "Error: can only create exec sessions on running containers: container state improper",
        Trouble::NotRunning,
    ),
    (
        "Docker Desktop",
        "create x",
        "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /run/host-services/ssh-auth.sock",
        Trouble::NoAgent,
    ),
    (
        "docker 28.2",
        "create x",
        "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /home/me/.local/state/cage/cage-x.agent",
        Trouble::NoAgent,
    ),
    (
        "podman 4.3",
        "create x",
        "Error: statfs /home/me/.local/state/cage/cage-x.agent: no such file or directory",
        Trouble::NoAgent,
    ),
    (
        "docker 28.2",
        "create x",
        "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /srv/app",
        Trouble::NotShared,
    ),
    (
        "Docker Desktop",
        "create x",
        "Error response from daemon: Mounts denied: \nThe path /srv/app is not shared from the host",
        Trouble::NotShared,
    ),
    ("podman 4.3", "create x", "Error: statfs /srv/app: no such file or directory", Trouble::NotShared),
    (
        "podman 4.2",
        "create x",
        "Error: unrecognized namespace mode keep-id:uid=501,gid=20 passed",
        Trouble::TooOld,
    ),
    ("podman 4.3", "create x", "Error: keep-id is only supported in rootless mode", Trouble::TooOld),
    (
        "docker 26.1",
        "exec --user nosuch x true",
        "unable to find user nosuch: no matching entries in passwd file",
        Trouble::NoSuchUser,
    ),
    (
        "podman 5.4",
        "exec --user 0:nosuch x true",
        "Error: unable to find group nosuch: no matching entries in group file",
        Trouble::NoSuchUser,
    ),
    (
        "podman 5.4, crun",
        "start x",
        "Error: unable to start container \"0f\": crun: controller `cpu` is not available under \
         /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers: OCI runtime error",
        Trouble::NoController,
    ),
    (
        "podman 5.4, crun",
        "start x",
        "Error: unable to start container \"0f\": crun: controller `pids` is not available under \
         /sys/fs/cgroup/user.slice/cgroup.controllers: OCI runtime error",
        Trouble::NoController,
    ),
    (
        "docker, from its source",
        "create x",
        "Error response from daemon: NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or \
         the cgroup is not mounted",
        Trouble::NoController,
    ),
    (
        "podman 5.4",
        "ps",
        "Error: default OCI runtime \"crun\" not found: invalid argument",
        Trouble::NoSession,
    ),
    (
        "podman 5.4",
        "ps",
        "Failed to obtain podman configuration: lstat /run/user/1001: no such file or directory",
        Trouble::NoSession,
    ),
    ("docker 28.2", "run x", "exec /bin/sh: exec format error", Trouble::OtherProcessor),
    (
        "docker 20.10",
        "exec -w /p x true",
        "OCI runtime exec failed: exec failed: unable to start container process: current working directory is outside of container mount namespace root -- possible container breakout detected: unknown",
        Trouble::DirectoryGone,
    ),
    ("docker 28.2", "start x", "something else", Trouble::Other),
];

#[test]
fn failures_are_recognised_on_every_engine() {
    for (engine, command, words, trouble) in RECORDED {
        assert_eq!(recognise(words, &args(command)), *trouble, "{engine}: {words}");
    }
}

#[test]
fn another_missing_container_is_not_the_cage() {
    for (command, words) in [
        (
            "create --name x --network container:other image",
            "Error response from daemon: No such container: other",
        ),
        (
            "start x",
            "Error response from daemon: No such container: other\nError: failed to start containers: x",
        ),
        (
            "create --name x --volumes-from other image",
            "Error response from daemon: No such container: other",
        ),
        (
            "create --name x --network container:other image",
            "Error: looking up container to share net namespace with: no container with name or ID \"other\" found: no such container",
        ),
        (
            "create --name x --volumes-from other image",
            "Error: looking up container \"other\" for volumes-from: no container with name or ID \"other\" found: no such container",
        ),
    ] {
        assert_eq!(recognise(words, &args(command)), Trouble::Other, "{words}");
    }
}

#[test]
fn text_of_the_user_is_no_kind_of_failure() {
    for (words, trouble) in [
        ("Error: keep-id/x: image not known", Trouble::NoSuchImage),
        ("Error response from daemon: No such image: keep-id/docker-init:latest", Trouble::NoSuchImage),
        (
            "Error response from daemon: pull access denied for docker-init, repository does not exist",
            Trouble::Other,
        ),
        ("Error: initializing source docker://catatonit:latest: reading manifest", Trouble::Other),
        (
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"docker-init\": executable file not found in $PATH: unknown",
            Trouble::Other,
        ),
        (
            "OCI runtime exec failed: exec failed: exec: \"possible container breakout\": executable file not found in $PATH: unknown",
            Trouble::Other,
        ),
        ("Error: statfs /srv/no space left on device: no such file or directory", Trouble::NotShared),
        (
            "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /srv/port is already allocated",
            Trouble::NotShared,
        ),
        ("Error: workdir \"/srv/statfs /x is not running\" does not exist on container 1", Trouble::Other),
        ("cat: '/x/Cannot connect to the Docker daemon at': No such file or directory", Trouble::Other),
    ] {
        assert_eq!(recognise(words, &args("create --name x image")), trouble, "{words}");
    }
    let words = "Error: could not find \"catatonit\" in one of {[]}";
    assert_eq!(recognise(words, &args("create --init catatonit/x")), Trouble::Other, "an image's name");
    assert_eq!(recognise(words, &args("create x")), Trouble::Other, "no init was wanted");
}

#[test]
fn missing_things_may_stand_beside_warnings_only() {
    // Recorded: podman 4.3.1.
    let two = "error inspecting object: no such container y\nError: inspecting object: no such container x";
    assert!(is_only_of_missing_things(two));
    let image =
        "error inspecting object: no such object: \"x\"\nError: inspecting object: y: image not known";
    assert!(is_only_of_missing_things(image));
    let warned = "time=\"2026\" level=warning msg=\"cgroups\"\nError: No such object: x";
    assert!(is_only_of_missing_things(warned));
    assert!(!is_only_of_missing_things("Error: No such object: x\nError: database is locked"));
    assert!(!is_only_of_missing_things(""));
}

#[test]
fn a_taken_port_is_named() {
    for (engine, words, port) in [
        (
            "docker 20.10",
            "driver failed programming external connectivity on endpoint cage-x (1): Bind for 127.0.0.1:3000 failed: port is already allocated",
            "127.0.0.1:3000",
        ),
        (
            "docker 20.10",
            "Error starting userland proxy: listen tcp4 127.0.0.1:3000: bind: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "docker 28",
            "failed to bind host port for 127.0.0.1:3000:172.17.0.2:80/tcp: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "docker 28.3",
            "failed to bind host port 127.0.0.1:3000/tcp: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "docker 28, rootless",
            "error while calling RootlessKit PortManager.AddPort(): listen tcp4 127.0.0.1:3000: bind: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "Docker Desktop",
            "Ports are not available: exposing port TCP 127.0.0.1:3000 -> 127.0.0.1:0: listen tcp 127.0.0.1:3000: bind: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "podman 4.3",
            "Error: cannot listen on the TCP port: listen tcp4 127.0.0.1:3000: bind: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "podman 4.3, rootless",
            "Error: rootlessport listen tcp 127.0.0.1:3000: bind: address already in use",
            "127.0.0.1:3000",
        ),
        (
            "podman 5, pasta",
            "Error: pasta failed with exit code 1:\nFailed to bind port 3000 (Address already in use) for option '-t 127.0.0.1/3000-3000:3000-3000', exiting",
            "127.0.0.1:3000",
        ),
        (
            "podman 5, pasta",
            "Error: pasta failed with exit code 1:\nFailed to bind port 3000 (Address already in use) for option '-t 3000-3000:3000-3000', exiting",
            "3000",
        ),
        (
            "podman 4.3",
            "Error: cannot listen on the UDP port: listen udp4 127.0.0.1:49318: bind: address already in use",
            "127.0.0.1:49318",
        ),
        ("docker 28", "listen tcp6 [::1]:3000: bind: address already in use", "[::1]:3000"),
    ] {
        assert_eq!(recognise(words, &args("start x")), Trouble::PortTaken, "{engine}");
        assert_eq!(taken_port(words).as_deref(), Some(port), "{engine}");
    }
}
