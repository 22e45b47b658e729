//! `cage completions`: a script for the user's shell.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::base::console;
use crate::host::machine::COMPLETE;

/// Print a script that makes your shell complete cage's commands
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
    /// Shell that runs the script
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        if let Some(adapter) = Shells::builtins().completer(&self.shell.to_string()) {
            // By name, not path: the script outlives an upgrade that installs cage elsewhere.
            adapter.write_registration(COMPLETE, "cage", "cage", "cage", &mut script)?;
        }
        if self.shell == Shell::Zsh {
            // zsh runs a file in `fpath` as the function `_cage` at the first Tab, which needs an answer already.
            script.extend_from_slice(
                b"\n[ \"$funcstack[1]\" != _cage ] || _clap_dynamic_completer_cage \"$@\"\n",
            );
        }
        console::data(String::from_utf8_lossy(&script).trim_matches('\n'))?;
        Ok(())
    }
}
