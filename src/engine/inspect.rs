//! What `inspect` prints.

use anyhow::Result;
use serde_json::Value;

use super::container::{Container, RawContainer};
use super::image::{Image, RawImage};

/// The objects that `inspect` described.
#[derive(Debug, Clone, Default)]
pub struct Inspected {
    /// The containers that exist, of those asked for.
    pub containers: Vec<Container>,
    /// The images that exist, of those asked for.
    pub images: Vec<Image>,
}

impl Inspected {
    /// Reads docker's or podman's JSON.
    ///
    /// # Errors
    /// When it isn't the JSON of `inspect`.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        for object in serde_json::from_slice::<Vec<Value>>(json)? {
            // Volumes, networks and pods may have the same name.
            if object.get("State").is_some() && object.get("Image").is_some() {
                found.containers.push(serde_json::from_value::<RawContainer>(object)?.into());
            } else if object.get("RootFS").is_some() {
                found.images.push(serde_json::from_value::<RawImage>(object)?.into());
            }
        }
        Ok(found)
    }
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
}
