//! `cage update`.

use anyhow::{Result, ensure};
use clap::Args;

use crate::base::error::Failure;
use crate::engine::image::is_local;
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::fetch;

/// Pull the latest image
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage update     For new cages; `cage upgrade` also replaces this one")]
pub struct Update {}

impl Update {
    /// Pulls the image.
    ///
    /// # Errors
    /// When the image is local, or can't be pulled.
    pub fn run(session: &Session) -> Result<u8> {
        refuse_local(&session.host.image)?;
        let (runtime, _) =
            session.ask(None, |runtime| runtime.images(session.runner, &[&session.host.image]))?;
        session.carry_out(&fetch(&session.host, &runtime, &session.host.image, None))
    }
}

/// Refuses a local image, which can't be pulled.
///
/// # Errors
/// When it is one.
pub fn refuse_local(image: &str) -> Result<()> {
    ensure!(
        !is_local(image),
        Failure::new(format!("Cannot update local image '{image}'. Pull or build it manually."))
            .hint("`cage restart` creates the cage again from the local image")
    );
    Ok(())
}
