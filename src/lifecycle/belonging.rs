//! The engine that has a cage, or the home that cages share.
//!
//! An engine that is down can't tell what it has. So cage keeps the engine of each cage in `~/.local/state/cage/NAME.engine`, and
//! that of the home in `VOLUME.engine`, where no cage can write. A command about a cage asks that engine and no other, unless the
//! user names one.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::place::{Place, how_to_start};
use crate::engine::runtime::{Runtime, is_skipped};
use crate::host::machine::{Host, is_installed};
use crate::lifecycle::plan::Step;

/// The kind of these files.
const KIND: &str = "engine";

/// The engine that a cage or a home belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// The name of the cage or the volume.
    #[serde(skip)]
    pub name: String,
    /// The name by which the client was chosen.
    pub runtime: String,
    /// Where the engine is.
    pub place: Place,
    /// The value of `CAGE_RUNTIME` when this was written. The same value chooses no other engine later.
    pub chosen: Option<String>,
}

/// A change of one of these files.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    text: String,
    before: Option<String>,
}

impl Record {
    /// Returns the step that writes the file.
    pub fn write(&self) -> Step {
        Step::Remember(self.path.clone(), self.text.clone())
    }

    /// Returns the step that takes the change back.
    pub fn restore(&self) -> Step {
        match &self.before {
            Some(before) => Step::Remember(self.path.clone(), before.clone()),
            None => Step::Unlink(self.path.clone()),
        }
    }
}

impl Belonging {
    /// Reads the engine of the cage or volume `name`, if it is known.
    ///
    /// # Errors
    /// When the file can't be read: another engine would be taken for the right one.
    pub fn of(host: &Host, name: &str) -> Result<Option<Self>> {
        let Some(path) = host.state_file(name, KIND) else { return Ok(None) };
        let Some(text) = file::read_small("cage's file", &path, OFlags::NOFOLLOW)? else { return Ok(None) };
        let unreadable = || {
            Failure::new(format!("cannot read {}", text::escape(&path.to_string_lossy())))
                .hint(format!("it has the engine of {name}: remove it, and name the engine with `--runtime`"))
        };
        let read: Self = serde_json::from_str(&text).with_context(unreadable)?;
        Ok(Some(Self { name: name.to_owned(), ..read }))
    }

    /// Returns the change that writes this to its file.
    ///
    /// # Errors
    /// As [`Belonging::of`].
    pub fn record(&self, host: &Host) -> Result<Option<Record>> {
        let before = Self::of(host, &self.name)?;
        let Some(path) = host.state_file(&self.name, KIND).filter(|_| before.as_ref() != Some(self)) else {
            return Ok(None);
        };
        let before = before.map(|before| serde_json::to_string(&before)).transpose()?;
        Ok(Some(Record { path, text: serde_json::to_string(self)?, before }))
    }

    /// If this engine is out of reach, adds to an error what the engine has, and two ways out: reach it, or name another engine.
    pub fn explain(&self, host: &Host, error: anyhow::Error, identified: bool) -> anyhow::Error {
        let start = if is_trouble(&error, Trouble::PermissionDenied) {
            "get access to it".to_owned()
        } else if !is_installed(host, &self.runtime) {
            format!("put `{}` into PATH", text::escape(&self.runtime))
        } else if is_skipped(&error, identified) || is_trouble(&error, Trouble::TimedOut) {
            format!("start it ({})", how_to_start(self.place.kind, host.os, &self.place.address))
        } else {
            return error;
        };
        let other = self.place.kind.other().program();
        error.context(Failure::new(format!("{} is in {}", self.name, self.place)).hint(format!(
            "{start}, or name another engine, with other cages and another home: `--runtime {other}` or CAGE_RUNTIME={other}"
        )))
    }

    /// Returns the error for a client that talks to the engine `here` instead.
    pub fn elsewhere(&self, runtime: &Runtime, here: &Place) -> Failure {
        let name = text::escape(&runtime.name);
        let way = if runtime.kind == self.place.kind {
            format!("{} leads there", self.place.kind.chosen_by())
        } else {
            format!("`--runtime {}` leads there", text::escape(&self.runtime))
        };
        Failure::new(format!("{} is in {}, and this is {here}", self.name, self.place)).hint(format!(
            "{way}; or name this engine, with other cages and another home: `--runtime {name}`"
        ))
    }
}

/// Returns the file with the engine of the cage or volume `name`, if it may be this client's.
pub fn file_of(host: &Host, runtime: &Runtime, name: &str) -> Option<PathBuf> {
    let is_other = matches!(Belonging::of(host, name), Ok(Some(of)) if of.place.kind != runtime.kind);
    host.state_file(name, KIND).filter(|path| !is_other && path.exists())
}
