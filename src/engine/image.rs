//! Images, as the engine describes them.

use anyhow::Result;
use serde_json::Value;

use crate::engine::json::{at, or_default};

/// An image on this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// The ID, as the engine writes it.
    pub id: String,
    /// The day of its creation, `YYYY-MM-DD`, if known.
    pub date: Option<String>,
    /// The names that the engine has for it, `REPOSITORY:TAG`.
    pub tags: Vec<String>,
    /// The repositories from which it was pulled, `REPOSITORY@sha256:…`.
    pub digests: Vec<String>,
    /// Former names, which only podman keeps.
    pub former_names: Vec<String>,
    /// The size in bytes, including layers that other images share.
    pub size: u64,
    /// The environment variables, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The paths at which containers get new volumes.
    pub volumes: Vec<String>,
    /// The names of annotations, which podman passes on to the runtime of its containers.
    pub annotations: Vec<String>,
}

/// The starts of annotations by which crun, runc and others isolate a container differently, such as without a filter of system calls:
/// <https://github.com/containers/crun/blob/main/crun.1.md>.
const ORDERS: [&str; 6] = [
    "run.oci.",
    "org.systemd.property.",
    "io.podman.annotations.",
    "io.containers.",
    "io.katacontainers.",
    "dev.gvisor.",
];

impl Image {
    /// Reads one object of the engine's answer to `image inspect`.
    pub(super) fn read(object: &Value) -> Result<Self> {
        // Reproducible images have the year 1 or no date.
        let created = at::<Option<&str>>(object, "/Created")?.filter(|time| !time.starts_with("0001"));
        let names = |value: Option<&Value>| {
            let names = value.and_then(Value::as_object).into_iter().flat_map(|names| names.keys().cloned());
            names.collect()
        };
        Ok(Self {
            id: at(object, "/Id")?,
            date: created.and_then(|time| time.get(..10)).map(str::to_owned),
            tags: or_default(object, "/RepoTags")?,
            digests: or_default(object, "/RepoDigests")?,
            former_names: or_default(object, "/NamesHistory")?,
            size: or_default(object, "/Size")?,
            environment: or_default(object, "/Config/Env")?,
            volumes: names(object.pointer("/Config/Volumes")),
            annotations: names(object.get("Annotations")),
        })
    }

    /// Returns an annotation by which the image would choose its isolation, if it has one.
    pub fn order(&self) -> Option<&str> {
        let is_order = |name: &&String| ORDERS.iter().any(|start| name.starts_with(start));
        self.annotations.iter().find(is_order).map(String::as_str)
    }

    /// Returns whether the image sets a variable.
    pub fn sets(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// Returns the value of a variable that the image sets.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.environment.iter().filter_map(|variable| variable.split_once('='));
        variables.find(|(of, _)| *of == name).map(|(_, value)| value)
    }
}

/// Returns the first eight digits of an image's ID.
pub fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..8).unwrap_or(digits)
}

/// Returns whether two names mean the same image: podman adds what a name leaves out.
pub fn is_same_name(one: &str, other: &str) -> bool {
    fn short(name: &str) -> &str {
        let name = name
            .strip_prefix("localhost/")
            .or_else(|| name.strip_prefix("docker.io/library/"))
            .unwrap_or(name);
        name.strip_suffix(":latest").unwrap_or(name)
    }
    short(one) == short(other)
}

/// Returns whether an image's name means a local image, which is never pulled.
pub fn is_local(image: &str) -> bool {
    // podman calls its local images localhost/NAME.
    !image.contains('/') || image.starts_with("localhost/")
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Image {
        /// An image of which little is known.
        pub fn sample(id: &str) -> Self {
            Self {
                id: id.into(),
                date: None,
                tags: Vec::new(),
                digests: Vec::new(),
                former_names: Vec::new(),
                size: 0,
                environment: Vec::new(),
                volumes: Vec::new(),
                annotations: Vec::new(),
            }
        }
    }
}
