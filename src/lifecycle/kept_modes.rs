//! Terminal modes, kept from detaching until the next attachment.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::file;
use crate::host::machine::Host;
use crate::terminal::modes::Modes;

/// The file of a cage, `~/.local/state/cage/NAME.modes`.
#[derive(Debug, Clone)]
pub struct KeptModes {
    path: PathBuf,
    /// When the container was started, if it is running.
    since: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// When the container was started, as the engine writes it. After a restart the modes don't apply.
    since: String,
    modes: Modes,
}

/// Returns the path of the file of the cage `name`; `None` where there is no place for one.
pub fn path(host: &Host, name: &str) -> Option<PathBuf> {
    Some(host.state_dir()?.join(format!("{name}.modes")))
}

impl KeptModes {
    /// The file of the cage `name`; `None` where there is no place for one.
    pub fn of(host: &Host, name: &str, since: Option<&str>) -> Option<Self> {
        Some(Self { path: path(host, name)?, since: since.map(str::to_owned) })
    }

    /// Reads and removes the modes. Returns the default ones if there are none, or of another start of the container.
    pub fn take(&self) -> Modes {
        let read = || {
            let text = fs::read_to_string(&self.path).ok()?;
            let _ = fs::remove_file(&self.path);
            let content: Content = serde_json::from_str(&text).ok()?;
            (self.since == Some(content.since)).then(|| content.modes.checked())
        };
        read().unwrap_or_default()
    }

    /// Writes the modes. Without them the user has to make a program set its modes again.
    pub fn keep(&self, since: &str, modes: &Modes) {
        let content = Content { since: since.to_owned(), modes: modes.clone() };
        let _ = serde_json::to_string(&content).map(|text| file::write_private(&self.path, &text));
    }
}
