//! A cage in an engine on another machine, if that has the project.

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::options::NO_SSH;
use crate::cage::proof::prove;
use crate::host::worktree::GitDir;
use crate::lifecycle::context::Context;

impl Context<'_> {
    /// Checks that the engine at `address`, on another machine, has the project and the directory that git needs, in a container of
    /// `image`.
    ///
    /// # Errors
    /// When it doesn't, or a signal came.
    pub(super) fn prove(&self, image: &str, address: &str, git: &GitDir) -> Result<()> {
        let Self { session, runtime, project, .. } = *self;
        if session.global.dry_run {
            console::warn("not checked: whether that machine has the project");
            return Ok(());
        }
        let dirs: Vec<&str> = [project.path.as_str()].into_iter().chain(git.outside()).collect();
        let proved = session.interrupts.hold(|| prove(runtime, session.runner, image, address, &dirs));
        ensure!(!session.interrupts.came(), Failure::new("interrupted"));
        proved
    }

    /// Checks the same if the engine is on another machine.
    ///
    /// # Errors
    /// As [`Context::prove`].
    pub fn prove_if_elsewhere(&self, image: &str, git: &GitDir) -> Result<()> {
        let Self { session, runtime, .. } = *self;
        let Some(address) = runtime.elsewhere(&session.host, session.runner)? else { return Ok(()) };
        self.prove(image, &address, git)
    }
}

/// Returns how a cage with these options on the machine at `address` differs from one on this machine, in few words. `has_agent`
/// and `has_files` tell whether this machine has an SSH agent and files for new homes.
pub fn notes(options: &CreateOptions, address: &str, has_agent: bool, has_files: bool) -> Vec<String> {
    let mut notes =
        vec![format!("the cage is on another machine, {}, which has this directory", text::escape(address))];
    if has_agent && !options.has(NO_SSH) {
        notes.push("your SSH agent doesn't come along".to_owned());
    }
    if options.ports().next().is_some() {
        notes.push("ports are published there, not here; `cage forward` reaches them here".to_owned());
    }
    if options.mounts().any(|mount| mount.source_path().is_some()) {
        notes.push("`-v` mounts that machine's files".to_owned());
    }
    if has_files {
        notes.push("the files in ~/.config/cage/home stay here".to_owned());
    }
    notes
}
