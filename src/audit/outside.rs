//! What a scan has to know about the machine outside of the project.

use std::path::PathBuf;

use crate::host::machine::Host;
use crate::host::reach::Reach;

/// Facts about the machine outside of the project.
#[derive(Debug, Default)]
pub struct Outside {
    /// The user's home, which `~` in settings stands for.
    pub home: Option<PathBuf>,
    /// The places that code in a cage can write.
    pub writable: Reach,
}

impl Outside {
    /// Gathers the facts. If it can't be read which places can be written, all count as such.
    pub fn of(host: &Host) -> Self {
        let writable = host.reach().unwrap_or_else(|_| vec![PathBuf::from("/")]);
        Self { home: host.home.clone(), writable: writable.into_iter().collect() }
    }
}
