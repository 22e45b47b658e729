//! `cage completions`.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::base::console;
use crate::complete;

/// Print a script that makes your shell complete cage's commands, options and cages
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  cage completions bash         For ~/.bashrc:  eval "$(cage completions bash)"
  cage completions zsh          For ~/.zshrc, below compinit:
                                eval "$(cage completions zsh)"
  cage completions fish         For ~/.config/fish/config.fish:
                                cage completions fish | source
  cage completions elvish       For ~/.config/elvish/rc.elv:
                                eval (cage completions elvish | slurp)
  cage completions powershell   For $PROFILE:
                                cage completions powershell | Out-String | iex"#)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Does it.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn run(&self) -> Result<()> {
        console::data(complete::script(self.shell)?.trim_matches('\n'))?;
        Ok(())
    }
}
