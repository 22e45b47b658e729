//! Queries to an engine: its address and properties, its containers, images and volumes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;
use std::{panic, thread};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::container::Container;
use crate::engine::dialect::Endpoint;
use crate::engine::error::EngineError;
use crate::engine::image::Image;
use crate::engine::info;
use crate::engine::info::{Engine, Info, Product, version_numbers};
use crate::engine::json::{at, or_default};
use crate::engine::runner::{Runner, spawn};
use crate::engine::runtime::Runtime;
use crate::engine::trouble;
use crate::host::machine::Host;

/// The time limit for an engine's answer. One that hangs is as good as one that is down.
const ANSWER: Duration = Duration::from_secs(60);

/// An existing volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// Whether the volume is a plain directory that the engine manages.
    pub is_plain: bool,
    /// The directory on the engine's machine; empty for a volume that is not plain.
    pub directory: PathBuf,
}

/// What to look for beside containers.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of an image.
    pub image: &'a str,
    /// The name of a volume.
    pub volume: &'a str,
}

impl Volume {
    /// Reads docker's or podman's JSON.
    fn read(object: &Value) -> Result<Self> {
        let options: HashMap<String, String> = or_default(object, "/Options")?;
        let is_plain = at::<String>(object, "/Driver")? == "local" && options.is_empty();
        let directory = if is_plain { at(object, "/Mountpoint")? } else { PathBuf::new() };
        Ok(Self { name: at(object, "/Name")?, is_plain, directory })
    }
}

/// The objects that `inspect` described.
#[derive(Debug, Clone, Default)]
pub struct Inspected {
    /// The requested containers that exist.
    pub containers: Vec<Container>,
    /// The requested images that exist.
    pub images: Vec<Image>,
    /// The requested volumes that exist.
    pub volumes: Vec<Volume>,
}

impl Inspected {
    /// Reads docker's or podman's JSON.
    fn parse(json: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        // One by one, as a value takes ten times the memory of its text.
        for object in serde_json::from_slice::<Vec<&RawValue>>(json)? {
            let object: Value = serde_json::from_str(object.get())?;
            // Networks and pods may have the same name.
            if object.get("State").is_some() && object.get("Image").is_some() {
                found.containers.push(Container::read(&object)?);
            } else if object.get("RootFS").is_some() {
                found.images.push(Image::read(&object)?);
            } else if object.get("Mountpoint").is_some() {
                found.volumes.push(Volume::read(&object)?);
            }
        }
        Ok(found)
    }
}

impl Runtime {
    /// Asks two questions, side by side where that is quicker and there can be another thread.
    ///
    /// # Errors
    /// Those of `one`, then those of `other`.
    pub fn ask_both<A: Send, B>(
        &self,
        one: impl Fn() -> Result<A> + Sync,
        other: impl FnOnce() -> Result<B>,
    ) -> Result<(A, B)> {
        if !self.kind.answers_side_by_side() {
            return Ok((one()?, other()?));
        }
        thread::scope(|scope| {
            let beside = spawn(scope, &one);
            let other = other();
            let one = match beside {
                Ok(beside) => beside.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
                Err(_) => one(),
            };
            Ok((one?, other?))
        })
    }

    /// Returns the properties of the engine. Asks the engine only if they aren't known beforehand.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn engine(&self, host: &Host, runner: Runner) -> Result<Engine> {
        let known = self.kind.known_engine(host);
        known.map_or_else(|| Ok(self.ask_info(host, runner)?.engine), Ok)
    }

    /// Returns whether the engine itself gives containers the name `host.docker.internal`. Asks the client for its version.
    ///
    /// # Errors
    /// When the client can't be started.
    pub fn names_host(&self, runner: Runner) -> Result<bool> {
        let Some(since) = self.kind.names_host_since() else { return Ok(false) };
        let said = runner.run(&self.command(["--version"]))?;
        Ok(said.split_whitespace().find_map(version_numbers).is_some_and(|version| version >= since))
    }

    /// Returns the address of the engine, or an empty string for a podman on this machine.
    ///
    /// # Errors
    /// When the client can't be started or its answer can't be read.
    pub fn endpoint(&self, host: &Host, runner: Runner) -> Result<String> {
        match self.kind.endpoint(host) {
            Endpoint::Local => Ok(String::new()),
            Endpoint::Address(address) => Ok(address),
            Endpoint::Ask(args) => {
                let output = runner.capture(&self.command(args.iter().copied()))?;
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Endpoint::Connection(name) => {
                let ask = self.command(["system", "connection", "list", "--format", "json"]);
                let said = runner.run(&ask)?;
                connection(&said, name.as_deref())
                    .with_context(|| format!("cannot read the answer of `{ask}`"))
            }
        }
    }

    /// Asks the engine to describe itself.
    ///
    /// # Errors
    /// When the engine does not answer, or the client is not made for the engine that answers.
    pub fn ask_info(&self, host: &Host, runner: Runner) -> Result<Info> {
        let ask = self.command(["info", "--format", "{{json .}}"]).within(ANSWER);
        let output = runner.run_for_output(&ask)?;
        let said = String::from_utf8_lossy(&output.stdout);
        if let Some(words) = info::server_errors(&said) {
            return Err(EngineError::new(&ask, output.status, words.as_bytes()).into());
        }
        let mut info = self.kind.read_info(&said, &self.name, host)?;
        let address = self.network_address(host, runner)?;
        // A product's virtual machine may be reached at a loopback address.
        if address.is_some_and(|address| is_remote(&address) || info.engine.machine.is_none()) {
            info.engine.machine = Some(Product::Elsewhere);
            info.directory = None;
        }
        Ok(info)
    }

    /// Returns the address of the engine if that is on another machine.
    ///
    /// # Errors
    /// As [`Runtime::ask_info`].
    pub fn elsewhere(&self, host: &Host, runner: Runner) -> Result<Option<String>> {
        let Some(address) = self.network_address(host, runner)? else { return Ok(None) };
        let is_there = is_remote(&address) || self.engine(host, runner)?.machine == Some(Product::Elsewhere);
        Ok(is_there.then_some(address))
    }

    /// Returns the address of the engine if the client reaches it over a network.
    fn network_address(&self, host: &Host, runner: Runner) -> Result<Option<String>> {
        if self.kind.is_at_home(host) {
            return Ok(None);
        }
        Ok(Some(self.endpoint(host, runner)?).filter(|address| network_host(address).is_some()))
    }

    /// Returns whether everybody in the network can read and change what the client and the engine at `address` say to each other.
    ///
    /// # Errors
    /// When the client can't be started.
    pub fn is_unprotected(&self, host: &Host, runner: Runner, address: &str) -> Result<bool> {
        if !is_remote(address) || address.starts_with("ssh://") || self.kind.sets_tls(host) {
            return Ok(false);
        }
        let Some(ask) = self.kind.ask_for_tls(host) else { return Ok(true) };
        Ok(matches!(runner.run(&self.command(ask.iter().copied()))?.trim(), "{}" | "null"))
    }

    /// Returns those containers with these names or IDs that exist.
    ///
    /// # Errors
    /// When the engine does not answer, or its answer can't be read.
    pub fn containers(&self, runner: Runner, names: &[&str]) -> Result<Vec<Container>> {
        Ok(self.inspect(runner, &["container", "inspect"], names)?.containers)
    }

    /// Returns those images with these names or IDs that exist.
    ///
    /// # Errors
    /// As [`Runtime::containers`].
    pub fn images(&self, runner: Runner, names: &[&str]) -> Result<Vec<Image>> {
        Ok(self.inspect(runner, &["image", "inspect"], names)?.images)
    }

    /// Returns those of some containers and `wanted` objects that exist, with one call; the volume only where that is quicker than
    /// another call. docker looks for a missing container among all other kinds of objects, unless only containers are asked for.
    ///
    /// # Errors
    /// As [`Runtime::containers`].
    pub fn look(&self, runner: Runner, names: &[&str], wanted: Option<Wanted>) -> Result<Inspected> {
        let Some(Wanted { image, volume }) = wanted else {
            return self.inspect(runner, &["container", "inspect"], names);
        };
        let volume = Some(volume).filter(|_| !self.kind.answers_side_by_side());
        let names: Vec<&str> = names.iter().copied().chain([image]).chain(volume).collect();
        let found = self.inspect(runner, &["inspect"], &names);
        let error = found.as_ref().err().and_then(|error| error.downcast_ref::<EngineError>());
        if volume.is_some() && error.is_some_and(|error| misses_volume(&error.words)) {
            return self.inspect(runner, &["inspect"], &names[..names.len() - 1]);
        }
        found
    }

    fn inspect(&self, runner: Runner, verb: &[&str], names: &[&str]) -> Result<Inspected> {
        let mut all = Inspected::default();
        // Systems limit the length of a command line, and cage that of an answer.
        for names in names.chunks(1000) {
            let found = self.inspect_some(runner, verb, names)?;
            all.containers.extend(found.containers);
            all.images.extend(found.images);
            all.volumes.extend(found.volumes);
        }
        Ok(all)
    }

    fn inspect_some(&self, runner: Runner, verb: &[&str], names: &[&str]) -> Result<Inspected> {
        let invocation = self.command([verb, names].concat()).within(ANSWER);
        let mut output = runner.capture(&invocation)?;
        // Without objects the answer is `[]`. A busy podman now and then prints nothing, and one that finds an image by looking at
        // all of them fails if another one is removed meanwhile.
        let is_passing = |output: &Output| {
            let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
            output.stdout.is_empty() || words.contains("locating image with id")
        };
        for _ in 0..3 {
            if is_passing(&output) {
                output = runner.capture(&invocation)?;
            }
        }
        // The engine prints the objects that exist, and on stderr a line for each missing one. Other lines may be there, too:
        // podman's warnings and a notice of the package podman-docker.
        let error = EngineError::new(&invocation, output.status, &output.stderr);
        ensure!(output.status.success() || trouble::is_only_of_missing_things(&error.words), error);
        Inspected::parse(&output.stdout).with_context(|| format!("cannot read the answer of `{invocation}`"))
    }

    /// Returns the ID of every container with `label`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn labelled(&self, runner: Runner, label: &str) -> Result<Vec<String>> {
        let filter = format!("label={label}");
        let ask = self.command(["ps", "--all", "--filter", &filter, "--format", "{{.ID}}"]).within(ANSWER);
        Ok(runner.run(&ask)?.lines().map(str::to_owned).collect())
    }

    /// Returns the volume of this name, if there is one.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volume(&self, runner: Runner, name: &str) -> Result<Option<Volume>> {
        let invocation = self.command(["volume", "inspect", name]).within(ANSWER);
        let output = runner.capture(&invocation)?;
        let error = EngineError::new(&invocation, output.status, &output.stderr);
        if !output.status.success() {
            return if misses_volume(&error.words) { Ok(None) } else { Err(error.into()) };
        }
        let found = Inspected::parse(&output.stdout);
        let found = found.with_context(|| format!("cannot read the answer of `{invocation}`"))?.volumes;
        // podman accepts the beginning of a name, if only one volume has it.
        Ok(found.into_iter().find(|volume| volume.name == name))
    }

    /// Returns the names of all volumes.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volumes(&self, runner: Runner) -> Result<Vec<String>> {
        self.lines(runner, &["volume", "ls", "--format", "{{.Name}}"])
    }

    /// Returns the names of the volumes with `label`, each with the label's value.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn labelled_volumes(&self, runner: Runner, label: &str) -> Result<Vec<(String, String)>> {
        let filter = format!("label={label}");
        let names = self.lines(runner, &["volume", "ls", "--filter", &filter, "--format", "{{.Name}}"])?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let format = "{{.Name}} {{json .Labels}}";
        let inspect = ["volume", "inspect", "--format", format].into_iter().map(str::to_owned);
        // If a volume has been removed meanwhile, the command fails, but prints the others.
        let output = runner.capture(&self.command(inspect.chain(names)))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let rows = said.lines().filter_map(|line| {
            let (name, labels) = line.split_once(' ')?;
            let mut labels: HashMap<String, String> = serde_json::from_str(labels).ok()?;
            Some((name.to_owned(), labels.remove(label)?))
        });
        Ok(rows.collect())
    }

    /// Returns the IDs of the containers that match the filter `what`: those that use a `volume`, or those of an image and its
    /// descendants (`ancestor`). The IDs are as long as [`Container::id`].
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn users_of(&self, runner: Runner, what: &str, name: &str) -> Result<Vec<String>> {
        self.lines(runner, &["ps", "--all", "--filter", &format!("{what}={name}"), "--format", "{{.ID}}"])
    }

    /// Returns the IDs of the images without a name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn nameless_images(&self, runner: Runner) -> Result<Vec<String>> {
        self.lines(runner, &["images", "--filter", "dangling=true", "--no-trunc", "--quiet"])
    }

    fn lines(&self, runner: Runner, args: &[&str]) -> Result<Vec<String>> {
        let invocation = self.command(args.iter().copied());
        let mut said = runner.run(&invocation);
        // podman 4.3's `volume ls` fails if any volume is removed at that moment: so ask again, but not for ever.
        for _ in 0..3 {
            if said.as_ref().is_err_and(|error| misses_volume(&error.words)) {
                said = runner.run(&invocation);
            }
        }
        Ok(said?.lines().map(str::to_owned).collect())
    }
}

/// Returns whether an engine failed because a volume doesn't exist. podman takes a name for the beginning of others, and then answers
/// nothing else either.
fn misses_volume(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("no such volume") || words.contains("more than one result for volume name")
}

/// Returns the address of podman's connection `name`, or of its default connection. If there is none, podman uses its socket on
/// this machine, and the address is empty.
fn connection(said: &str, name: Option<&str>) -> Result<String> {
    let connections: Vec<Value> = serde_json::from_str(said)?;
    let is_meant = |connection: &&Value| match name {
        Some(name) => connection["Name"] == name,
        None => connection["Default"] == true,
    };
    connections.iter().find(is_meant).map_or(Ok(String::new()), |connection| at(connection, "/URI"))
}

/// Returns whether the engine at this address is on another machine. A loopback address counts as this machine: it may be a
/// tunnel to another one, but usually it leads to a virtual machine.
pub fn is_remote(endpoint: &str) -> bool {
    network_host(endpoint).is_some_and(|host| !["localhost", "127.0.0.1", "[::1]"].contains(&host))
}

/// Returns the host in an address of a network.
fn network_host(endpoint: &str) -> Option<&str> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host = host.rsplit_once(':').filter(|(_, text)| port(text)).map_or(host, |(host, _)| host);
    matches!(scheme, "ssh" | "tcp" | "http" | "https").then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::container::State;
    use crate::engine::image::short_id;

    const DOCKER: &str = r#"[{
        "Id": "6a39", "Name": "/cage-app-1", "Image": "sha256:84961777dbfb0467",
        "State": {"Status": "running", "Running": true, "ExitCode": 0},
        "Config": {"Image": "ghcr.io/x/y:1", "Labels": {"cage.project": "/p/app"}, "StopSignal": "SIGHUP", "Entrypoint": null},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "3999"}], "90/tcp": null}},
        "Mounts": [{"Type": "bind", "Source": "/p/app"}, {"Type": "volume", "Name": "cage-home", "Destination": "/home/vscode"}]
    }, {"Id": "sha256:8496", "RepoTags": ["x"], "Created": "2026-11-23T06:55:43.1Z", "RootFS": {}}]"#;

    const PODMAN: &str = r#"[{
        "Id": "6a39", "Name": "cage-app-1", "Image": "84961777dbfb0467", "ImageName": "localhost/x:latest",
        "State": {"Status": "exited", "Running": false, "ExitCode": 7},
        "Config": {"Image": "localhost/x:latest", "Labels": null, "StopSignal": 15, "Entrypoint": ""},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "3999"}]}},
        "NetworkSettings": {"Ports": {}}, "Mounts": []
    }]"#;

    #[test]
    fn both_engines_answers_are_read() {
        let found = Inspected::parse(DOCKER.as_bytes()).unwrap();
        let container = &found.containers[0];
        assert_eq!((container.name.as_str(), container.state), ("cage-app-1", State::Running));
        assert_eq!(container.ports[0].to_string(), "80/tcp -> 127.0.0.1:3999");
        assert_eq!(container.mount_point_of("cage-home"), Some("/home/vscode"));
        assert_eq!(container.mount_point_of("other"), None);
        assert_eq!(short_id(&container.image_id), "84961777");
        assert_eq!(found.images[0].date.as_deref(), Some("2026-11-23"));

        let container = &Inspected::parse(PODMAN.as_bytes()).unwrap().containers[0];
        assert_eq!((container.name.as_str(), container.state), ("cage-app-1", State::Stopped));
        assert_eq!(container.ports[0].to_string(), "80/tcp -> 0.0.0.0:3999");
        assert_eq!(short_id(&container.image_id), "84961777");
    }

    #[test]
    fn rubbish_is_an_error_not_a_panic() {
        for text in ["", "{}", "[1", "[{\"State\": 1, \"Image\": 2}]", "\u{0}"] {
            assert!(Inspected::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Inspected::parse(b"[{}, 1, null]").unwrap().containers.is_empty());
    }

    #[test]
    fn podmans_connection_is_the_named_or_the_default_one() {
        // Recorded: podman 4.3.1; 5 adds more keys.
        let said = r#"[
            {"Name": "build", "URI": "ssh://me@build:22/run/podman/podman.sock", "Identity": "", "Default": false},
            {"Name": "vm", "URI": "ssh://core@127.0.0.1:5", "Identity": "", "Default": true, "IsMachine": true}
        ]"#;
        let of = |name| connection(said, name).unwrap();
        assert_eq!(of(Some("build")), "ssh://me@build:22/run/podman/podman.sock");
        assert_eq!(of(None), "ssh://core@127.0.0.1:5");
        // Recorded: podman 4.3.1 then tries the socket on this machine.
        assert_eq!(of(Some("nope")), "");
        assert_eq!(connection("[]", None).unwrap(), "");
        assert!(connection("", None).is_err());
    }

    #[test]
    fn an_engine_on_another_machine_is_known_by_its_address() {
        for remote in ["ssh://me@build:22", "ssh://build", "tcp://10.0.0.5:2375", "tcp://build:2376"] {
            assert!(is_remote(remote), "{remote}");
        }
        for local in [
            "",
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://me@localhost:2222",
        ] {
            assert!(!is_remote(local), "{local}");
        }
    }
}
