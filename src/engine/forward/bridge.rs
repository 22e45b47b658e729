//! Bridges: programs in a container that connect to a port there, with their standard streams as the other end.
//!
//! On stderr a bridge prints its process ID, then `refused` if nothing listens, and `end N` once the server has sent all of
//! its N bytes: engines report a closed stdout only when the whole command exits.

use crate::base::script;

/// Prints the name and path of the best program for a bridge.
pub const PROBE: &str = script::body(include_str!("probe.sh"));

/// The programs that [`PROBE`] looks for, as shown to users.
pub const PROGRAMS: &str = "perl, python3 or bash";

/// Ends processes of bridges.
pub const CLEANUP: &str = script::body(include_str!("cleanup.sh"));

const PERL: &str = script::body(include_str!("connect.pl"));
const PYTHON: &str = script::body(include_str!("connect.py"));
const BASH: &str = script::body(include_str!("connect.bash"));

/// Prints its process ID and becomes the command that follows.
const START: &str = r#"echo "$$" >&2; exec "$@""#;

/// A program that can run a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    path: String,
    args: &'static [&'static str],
}

impl Bridge {
    /// Reads the output of [`PROBE`]; `None` if it found no program.
    pub fn parse(output: &str) -> Option<Self> {
        let (name, path) = output.trim().split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
        let args: &[&str] = match name {
            "perl" => &["-e", PERL],
            "python3" => &["-I", "-S", "-c", PYTHON],
            "bash" => &["-c", BASH, "bash"],
            _ => return None,
        };
        Some(Self { path: path.to_owned(), args })
    }

    /// Returns the command that connects its standard streams to a port.
    pub fn command(&self, port: u16) -> Vec<String> {
        let start = ["/bin/sh", "-c", START, "sh", &self.path];
        let command = start.iter().chain(self.args).map(|word| (*word).to_owned());
        command.chain([port.to_string()]).collect()
    }
}
