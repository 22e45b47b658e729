//! Images, as the engine describes them.

use serde::Deserialize;

/// An image on this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its ID, as the engine writes it.
    pub id: String,
    /// The day it was made, `YYYY-MM-DD`, if it says.
    pub date: Option<String>,
    /// The names that it has.
    pub tags: Vec<String>,
    /// The repositories that it came from, `REPOSITORY@sha256:…`.
    pub digests: Vec<String>,
    /// The names that it had; only podman keeps them.
    pub former_names: Vec<String>,
    /// In bytes; it may share some of them with others.
    pub size: u64,
    /// Its environment variables, `NAME=VALUE`.
    pub environment: Vec<String>,
}

impl Image {
    /// Returns whether the image sets a variable.
    pub fn sets(&self, name: &str) -> bool {
        self.environment.iter().any(|variable| variable.split('=').next() == Some(name))
    }
}

/// Returns the first eight digits of an image's ID.
pub fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..8).unwrap_or(digits)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawImage {
    id: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    names_history: Option<Vec<String>>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    config: Option<RawImageConfig>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawImageConfig {
    #[serde(default)]
    env: Option<Vec<String>>,
}

impl From<RawImage> for Image {
    fn from(raw: RawImage) -> Self {
        // Reproducible images say the year 1 or nothing.
        let config = raw.config.unwrap_or_default();
        let created = raw.created.filter(|time| !time.starts_with("0001"));
        Self {
            date: created.as_deref().and_then(|time| time.get(..10)).map(str::to_owned),
            id: raw.id,
            tags: raw.repo_tags.unwrap_or_default(),
            digests: raw.repo_digests.unwrap_or_default(),
            former_names: raw.names_history.unwrap_or_default(),
            size: raw.size,
            environment: config.env.unwrap_or_default(),
        }
    }
}

/// Returns whether an image's name means a local image, which is never pulled.
pub fn is_local(image: &str) -> bool {
    // podman calls its local images localhost/NAME.
    !image.contains('/') || image.starts_with("localhost/")
}

#[cfg(test)]
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
        }
    }
}
