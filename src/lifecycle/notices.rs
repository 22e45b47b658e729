//! Messages to the user about a new cage.

use std::path::Path;

use crate::base::text;
use crate::cage::existing::Cage;
use crate::cage::image_facts::Outside;
use crate::cage::options::{NO_ROOT, NO_SSH};
use crate::cage::ssh_agent::Agent;
use crate::cage::{isolation, ssh_agent};
use crate::engine::mount::Mount;
use crate::host::worktree::GitDir;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::new_cage::NewCage;

/// The number of stores that are named from which git borrows objects. Code in a cage can make many.
const MAX_BORROWED: usize = 10;

impl NewCage<'_> {
    /// Returns the messages for the user's first cage.
    pub(super) fn welcome(&self, entry: &Entry) -> Vec<String> {
        let host = &self.context.session.host;
        if !self.preflight.is_first || !host.terminal.stderr {
            return Vec::new();
        }
        let has_agent = match self.agent() {
            Some(Agent::Link(link)) => link.has_agent(),
            Some(Agent::Machine) => true,
            None => false,
        };
        let agent = if has_agent { ", your SSH agent" } else { "" };
        let leave = format!(
            "  leave:   `exit` stops it; {} detaches, `cage start` re-attaches",
            host.detach_keys.shown()
        );
        let mut lines = vec![
            format!(
                "welcome! This cage can see this project{agent} and little else of your machine unless you add it"
            ),
            "  agent:   `cage run claude --dangerously-skip-permissions`".to_owned(),
            "  log in:  once, as `cage help run` describes: all cages share the home".to_owned(),
            format!("  home:    {} in volume {}, shared by all cages", self.user.home, host.home_volume),
        ];
        lines.extend(matches!(entry, Entry::Attach).then_some(leave));
        lines.push("  reset:   `cage restart` gives a clean box; project and home stay".to_owned());
        lines.push("  promise: `cage help start`, and SECURITY.md in cage's repository".to_owned());
        lines
    }

    /// Returns a message for a terminal if no SSH agent is running here.
    pub(super) fn agentless(&self) -> Option<String> {
        let Some(Agent::Link(link)) = self.agent() else { return None };
        let message = "no SSH agent is running here: git over SSH will fail in this cage";
        (self.context.session.host.terminal.stderr && !link.has_agent()).then(|| message.to_owned())
    }

    /// Returns the warnings about this cage.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Self { context: Context { session, project, .. }, options, preflight, .. } = self;
        let engine = &preflight.engine;
        let mut warnings = Vec::new();
        if !options.has(NO_SSH) {
            if !self.features.agent {
                let remedy = ssh_agent::remedy(engine.machine);
                warnings.push(format!(
                    "the engine can't mount your SSH agent's socket; continuing without it. {remedy}"
                ));
            } else if let Some(advice) = &self.advice {
                warnings.push(advice.clone());
            }
        }
        warnings.extend(self.preflight.env.notes().iter().cloned());
        warnings.extend(self.proxy_warning());
        if self.roots_files {
            let why = "the image's user is root: files that the cage creates in the project belong to root";
            warnings.push(format!("{why}; --no-root makes them yours"));
        }
        warnings.extend(self.outside_warning());
        warnings.extend(self.preflight.personal.warnings.iter().cloned());
        warnings.extend(isolation::weaknesses(&session.host, options, &project.path));
        let is_inside = |other: &&Cage| {
            other.project() != project.path && Path::new(other.project()).starts_with(&project.path)
        };
        for other in self.preflight.others.iter().filter(is_inside) {
            warnings.push(format!(
                "the project of {0} is in this one: code in this cage can change it, so that {0} starts again only with \
                 `--allow-nested`",
                other.name
            ));
        }
        for other in self.cages_losing_home() {
            warnings.push(format!(
                "the home that {other} uses, too, will belong to this project's owner, so that {other} can no longer write it; \
                 `--home project` gives this project a separate home"
            ));
        }
        let unenforced = options.limits().filter(|limit| engine.unenforced.contains(limit));
        warnings.extend(
            unenforced.map(|limit| format!("this engine can't limit {limit}: the cage may use any amount")),
        );
        warnings.extend(self.worktrees.borrowed().iter().take(MAX_BORROWED).map(|store| {
            let mount = Mount::path(store, store).readonly().to_volume_option();
            format!(
                "git borrows objects from {}, which is not in the cage: add `-v {}`",
                text::name(store),
                text::escape(&text::quote(&mount))
            )
        }));
        if let GitDir::Refused(why) = &self.git {
            warnings.push(format!(
                "git won't work in the cage, because {}/.git is not used: {why}",
                project.path
            ));
        }
        warnings
    }

    /// Returns the warning about files of the image's user that stay another user's in the cage.
    fn outside_warning(&self) -> Option<String> {
        let Outside { files, has_more } = &self.outside;
        let first = files.first()?;
        let stay = |number: &str| {
            format!(
                "{number} of the image's user outside of its home belong to another user in the cage, e.g. {}",
                text::name(first)
            )
        };
        if *has_more {
            let chown = format!("`sudo chown -R {} DIRECTORY` inside gives them", self.user.name);
            Some(format!("{}; {chown} to the cage's user", stay("many files")))
        } else {
            self.options
                .has(NO_ROOT)
                .then(|| format!("{}; without --no-root they would be handed over", stay("files")))
        }
    }
}
