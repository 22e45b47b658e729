//! Kinds of engine failures, recognised by the shape of the engines' messages.
//!
//! Messages quote names, paths and commands of the user. So a text counts only at the start or the end of a line, or outside
//! of quotation marks, and patterns of lines that end in an unquoted path come first.

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The engine does not answer.
    Unreachable,
    /// The user may not open the engine's socket.
    PermissionDenied,
    /// The container that the command is about doesn't exist.
    NoSuchContainer,
    /// The image isn't on this machine, and was not to be pulled.
    NoSuchImage,
    /// Another container has the name that the command gives.
    NameTaken,
    /// Another program listens on a published port.
    PortTaken,
    /// The engine may not listen at a published port, or has no such address.
    PortRefused,
    /// The image doesn't have the user or group that is to run a command.
    NoSuchUser,
    /// The engine can't enforce a limit that the container is to have.
    NoController,
    /// podman runs without a login session of its user, or can't find its runtime for another reason.
    NoSession,
    /// The engine's disk is full.
    DiskFull,
    /// The container's first process has ended.
    NotRunning,
    /// The engine's init program is not installed.
    NoInit,
    /// The SSH agent's socket can't be mounted.
    NoAgent,
    /// The engine can't see a directory that is to be mounted.
    NotShared,
    /// The image is made for another kind of processor.
    OtherProcessor,
    /// podman is too old to map users.
    TooOld,
    /// The engine can pause no container: it runs without root on cgroup v1.
    NoFreezer,
    /// The mounted directory was deleted on the host.
    DirectoryGone,
    /// The command took longer than its time limit.
    TimedOut,
    /// Any other failure.
    Other,
}

/// Patterns of messages in lower case, from docker 20.10 to 29 and podman 4 to 5. The first that fits a line counts. A `*` stands
/// for any text.
const PATTERNS: [(Trouble, &[&str]); 17] = [
    (Trouble::PermissionDenied, &["permission denied while trying to connect to the docker *"]),
    (
        Trouble::Unreachable,
        &[
            "cannot connect to the docker daemon at *",
            "failed to connect to the docker api at *",
            "error during connect: *",
            "cannot connect to podman*",
            "unable to connect to podman*",
        ],
    ),
    (Trouble::NoSuchImage, &MISSING_IMAGE),
    // podman 5's `rename`, which doesn't say the name.
    (Trouble::NameTaken, &["renaming container *unique constraint failed: containerconfig.name"]),
    (Trouble::NoSuchUser, &["unable to find user *", "unable to find group *"]),
    (
        Trouble::NotShared,
        &[
            "invalid mount config for type \"bind\": bind source path does not exist: *",
            "mounts denied:*",
            "statfs /*",
        ],
    ),
    (
        Trouble::NoInit,
        &[
            "exec: \"docker-init\": executable file not found*",
            "container-init binary not found*",
            "lookup init binary: *",
            "*\" to rootfs at \"/sbin/docker-init\": stat /usr/bin/docker-init: no such file or directory",
        ],
    ),
    (
        Trouble::NoController,
        &[
            "*` is not available under /sys/fs/cgroup/*",
            "*the requested cgroup controller `*",
            "*error setting cgroup config for prochooks process: *",
            "nanocpus can not be set, *",
        ],
    ),
    (
        Trouble::NoSession,
        &["default oci runtime *", "failed to obtain podman configuration: lstat /run/user/*"],
    ),
    (
        Trouble::NoFreezer,
        &[
            "can not pause containers on rootless containers with cgroup v1*",
            "*: cannot toggle freezer: cgroups not configured for container*",
        ],
    ),
    (Trouble::DirectoryGone, &["*possible container breakout*", "*outside of container mount namespace*"]),
    (
        Trouble::PortRefused,
        &[
            "*bind: cannot assign requested address",
            "*bind: permission denied",
            "*(cannot assign requested address) for option *",
            "*(permission denied) for option *",
        ],
    ),
    (
        Trouble::PortTaken,
        &[
            "*port is already allocated",
            "*address already in use",
            "ports are not available: *",
            "failed to bind port *",
            "failed to bind any port for *",
        ],
    ),
    (Trouble::DiskFull, &["*no space left on device"]),
    (
        Trouble::TooOld,
        &["unrecognized namespace mode keep-id*", "keep-id is only supported in rootless mode*"],
    ),
    (Trouble::OtherProcessor, &["*exec format error"]),
    (
        Trouble::NotRunning,
        &["container * is not running", "can only create exec sessions on running containers*"],
    ),
];

const MISSING_IMAGE: [&str; 2] = ["no such image: *", "*: image not known"];

/// Words in front of a message. There may be several.
const PREFIXES: [&str; 9] = [
    "docker: ",
    "error: ",
    "error inspecting object: ",
    "error response from daemon: ",
    "error when allocating new name: ",
    "got ",
    "inspecting object: ",
    "looking up container to share net namespace with: ",
    "creating container storage: ",
];

/// Words after a message.
const SUFFIXES: [&str; 4] = [": unknown", ": oci runtime error", ".", " "];

/// Recognises the failure of a command with these arguments by the engine's message.
pub(super) fn recognise(words: &str, args: &[String]) -> Trouble {
    let lines: Vec<String> = words.lines().map(|line| bare(&line.to_lowercase()).to_owned()).collect();
    if lines.iter().any(|line| names_agent(line)) {
        return Trouble::NoAgent;
    }
    if lines.iter().any(|line| missing_container(line).is_some_and(|name| is_own(args, name))) {
        return Trouble::NoSuchContainer;
    }
    if lines.iter().any(|line| taken_name(line).is_some_and(|name| is_own(args, name))) {
        return Trouble::NameTaken;
    }
    let says = |pattern: &&str| lines.iter().any(|line| fits(pattern, line));
    let known = PATTERNS.iter().find(|(_, patterns)| patterns.iter().any(says));
    match known {
        Some((trouble, _)) => *trouble,
        None if lines.iter().any(|line| misses_init(line, args)) => Trouble::NoInit,
        None => Trouble::Other,
    }
}

/// Returns whether the only failure is that containers or images don't exist.
pub(super) fn is_only_of_missing_things(words: &str) -> bool {
    let is_missing = |line: &str| {
        let line = line.to_lowercase();
        let line = bare(&line);
        missing_container(line).is_some() || MISSING_IMAGE.iter().any(|pattern| fits(pattern, line))
    };
    let is_error = |line: &str| line.to_lowercase().starts_with("error");
    words.lines().any(is_missing) && words.lines().all(|line| is_missing(line) || !is_error(line))
}

/// Returns the client's reason why an engine does not answer, unless the engine is at its usual socket.
pub(super) fn no_answer(words: &str) -> Option<&str> {
    let usual = ["at unix:///var/run/docker.sock", "at unix:///run/user/"];
    let line = words.lines().map(bare).rfind(|line| line.contains("://"))?;
    let why = line.split_once("\": ").map_or(line, |(_, why)| why);
    (!usual.iter().any(|usual| line.contains(usual))).then_some(why)
}

/// Returns the address of a taken port, such as `127.0.0.1:3000`.
pub(super) fn taken_port(words: &str) -> Option<String> {
    const BEFORE: [&str; 13] = [
        "Bind for ",
        "bind host port for ",
        "bind host port ",
        "exposing port TCP ",
        "exposing port UDP ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp4 ",
        "listen udp6 ",
        "listen udp ",
        // pasta: `Failed to bind port 3000 (Address already in use) for option '-t 127.0.0.1/3000-3000:3000-3000'`.
        "'-t ",
        "'-u ",
    ];
    let after = |text: &str| words.split_once(text).map(|(_, rest)| rest);
    let address = BEFORE.iter().find_map(|text| address(after(text)?));
    address.or_else(|| Some(digits(after("ailed to bind port ")?)?.to_owned()))
}

/// Returns the address with which `text` begins.
fn address(text: &str) -> Option<String> {
    let end = if text.starts_with('[') { text.find("]:")? + 1 } else { text.find([':', '/'])? };
    let (host, port) = (&text[..end], digits(&text[end + 1..])?);
    // A host with a dash is pasta's range of ports, without an address.
    (!host.contains('-') && !host.contains(char::is_whitespace)).then(|| format!("{host}:{port}"))
}

fn digits(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some(&text[..end]).filter(|digits| digits.parse::<u16>().is_ok())
}

/// Returns whether a line fits a pattern. Between two stars, a text must be outside of quotation marks.
fn fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        Some(("", text)) if text.ends_with('*') => unquoted(line).contains(text.trim_end_matches('*')),
        Some((start, end)) => line.starts_with(start) && line.ends_with(end),
        None => line == pattern,
    }
}

/// Removes prefixes and suffixes from a message.
fn bare(mut line: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest;
    }
    while let Some(rest) = SUFFIXES.iter().find_map(|suffix| line.strip_suffix(suffix)) {
        line = rest;
    }
    line
}

/// Removes quoted text.
fn unquoted(line: &str) -> String {
    line.split('"').step_by(2).collect()
}

fn missing_container(line: &str) -> Option<&str> {
    let starts = ["no such container: ", "no such container ", "no such object: "];
    if let Some(name) = starts.iter().find_map(|start| line.strip_prefix(start)) {
        return Some(name.trim_matches('"'));
    }
    let rest = line.strip_suffix("\" found: no such container")?;
    rest.rsplit_once('"').map(|(_, name)| name)
}

fn taken_name(line: &str) -> Option<&str> {
    if let Some((_, rest)) = line.split_once("the container name \"") {
        let (name, rest) = rest.split_once('"')?;
        return rest.starts_with(" is already in use by ").then_some(name.trim_start_matches('/'));
    }
    let rest = line.strip_prefix("renaming container ")?;
    let (rest, _) = rest.split_once(" already in use, cannot rename container ")?;
    rest.split_once(": name ").map(|(_, name)| name)
}

/// Returns whether a command with these arguments is about the container `name`. A new container may name others, to share
/// their network or volumes.
fn is_own(args: &[String], name: &str) -> bool {
    let is_name = |arg: &str| arg.eq_ignore_ascii_case(name);
    match args.first().map(String::as_str) {
        Some("create" | "run") => {
            args.windows(2).find(|pair| pair[0] == "--name").is_some_and(|pair| is_name(&pair[1]))
        }
        // `cp` takes `NAME:PATH`.
        _ => args.iter().any(|arg| is_name(arg) || arg.split_once(':').is_some_and(|(arg, _)| is_name(arg))),
    }
}

/// Returns whether a line names the SSH agent's socket, or cage's link to it.
fn names_agent(line: &str) -> bool {
    line.split([' ', '"', '\'', ',', '=']).map(|word| word.trim_end_matches([':', '.'])).any(|word| {
        word == "/run/host-services/ssh-auth.sock"
            || word.strip_suffix(".agent").is_some_and(|link| link.contains("/cage/cage-"))
    })
}

/// Returns whether `create --init` failed because podman's init is missing. Versions use different messages, but all name the
/// program.
fn misses_init(line: &str, args: &[String]) -> bool {
    const INIT: &str = "catatonit";
    let is_asked = args.iter().any(|arg| arg == "--init") && !args.iter().any(|arg| arg.contains(INIT));
    is_asked && line.contains(INIT)
}

#[cfg(test)]
mod tests;
