//! The policy for pulling the image of a new cage: `--pull` and `CAGE_PULL`.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::base::error::Failure;
use crate::base::text;
use crate::engine::image::is_local;
use crate::host::machine::Host;

/// The variable with the user's own default.
pub const VARIABLE: &str = "CAGE_PULL";

/// The `--pull` flag of the commands that create a cage.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PullFlag {
    #[arg(
        long,
        value_name = "WHEN",
        help_heading = "Image",
        help = "Choose when to pull the image for a new cage [default: always] [env: CAGE_PULL]"
    )]
    pull: Option<PullPolicy>,
}

/// When to pull the image for a new cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// Pull each time; if that fails, use the image that is here
    Always,
    /// Pull if the image isn't here
    Missing,
    /// Don't pull
    Never,
}

impl PullFlag {
    /// Returns the policy that was typed, or the one in `CAGE_PULL`.
    ///
    /// # Errors
    /// When `CAGE_PULL` is invalid, even if a policy was typed.
    pub fn policy(self, host: &Host) -> Result<PullPolicy> {
        let variable = host.variable(VARIABLE).unwrap_or("always");
        let default = PullPolicy::from_str(variable, false).map_err(|_| {
            Failure::new(format!(
                "CAGE_PULL `{}` is none of always, missing and never",
                text::escape(variable)
            ))
        })?;
        Ok(self.pull.unwrap_or(default))
    }

    /// Returns whether to pull an image, which is never done for a local one; `is_here` tells whether this machine has it.
    ///
    /// # Errors
    /// As [`PullFlag::policy`].
    pub fn wants(self, host: &Host, image: &str, is_here: bool) -> Result<bool> {
        let policy = self.policy(host)?;
        let wanted = policy == PullPolicy::Always || policy == PullPolicy::Missing && !is_here;
        Ok(wanted && !is_local(image))
    }
}
