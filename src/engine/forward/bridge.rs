//! What connects to a port inside a cage: a program that is there anyway, with its standard streams as the other end.
//!
//! On stderr it says its process ID first, `refused` if nothing listens, and, where it can tell, `end N` when the server
//! ends its half after N bytes: engines tell of a closed stdout only when the whole command ends.

use crate::base::script;

/// A program that connects, inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    tool: Tool,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Perl,
    Python,
    Node,
    Busybox,
    Bash,
}

/// The names of the programs that [`PROBE`] looks for, for people.
pub const NAMES: &str = "perl, python3, node, busybox or bash";

/// Prints the best program that is there and works, and its path. The first three pass the end of either half on. busybox
/// takes the server's end for the end of all, which few programs notice; so does bash, and it can't tell the server of the
/// client's. Other programs than these can't be made to do both: socat and most kinds of nc don't end when the server has.
///
/// The image's programs are taken before those of the home, which another project may have infected.
pub const PROBE: &str = script::body(include_str!("probe.sh"));

/// Lives in the cage as long as ports are forwarded. Ends processes of connections as their IDs come, and in the end, also
/// when cage was killed, all that are left. They have $1 in their environment, and lead a group.
pub const KEEPER: &str = script::body(include_str!("keeper.sh"));

/// Says its process ID, and becomes what follows.
const START: &str = r#"echo "$$" >&2; exec "$@""#;

/// Two processes, since neither direction may wait for the other.
const PERL: &str = script::body(include_str!("connect.pl"));

const PYTHON: &str = script::body(include_str!("connect.py"));

const NODE: &str = r#"const net = require("net");
const connect = hosts => {
    const server = net.connect({host: hosts[0], port: +process.argv[1], allowHalfOpen: true});
    server.once("error", refused);
    function refused() {
        if (hosts.length > 1) return connect(hosts.slice(1));
        console.error("refused");
        process.exitCode = 1;
    }
    server.once("connect", () => {
        server.off("error", refused).on("error", () => process.stdin.destroy()).setNoDelay();
        process.stdin.pipe(server);
        server.pipe(process.stdout);
        server.on("end", () => console.error("end " + server.bytesRead));
    });
};
connect(["127.0.0.1", "::1"]);
"#;

const BUSYBOX: &str = r#"exec 3>&2 2>/dev/null
"$1" nc 127.0.0.1 "$2" || "$1" nc ::1 "$2" || { echo refused >&3; exit 1; }"#;

const BASH: &str = script::body(include_str!("connect.bash"));

impl Bridge {
    /// Reads what [`PROBE`] printed; `None` if it found nothing.
    pub fn parse(answer: &str) -> Option<Self> {
        let (name, path) = answer.trim().split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
        let tool = match name {
            "perl" => Tool::Perl,
            "python3" => Tool::Python,
            "node" => Tool::Node,
            "busybox" => Tool::Busybox,
            "bash" => Tool::Bash,
            _ => return None,
        };
        Some(Self { tool, path: path.to_owned() })
    }

    /// The command that connects its standard streams with a port.
    pub fn command(&self, port: u16) -> Vec<String> {
        let port = port.to_string();
        let path = self.path.as_str();
        let start = ["/bin/sh", "-c", START, "sh"];
        let command = match self.tool {
            Tool::Perl => vec![path, "-e", PERL],
            Tool::Python => vec![path, "-I", "-S", "-c", PYTHON],
            Tool::Node => vec![path, "-e", NODE],
            Tool::Busybox => vec!["/bin/sh", "-c", BUSYBOX, "sh", path],
            Tool::Bash => vec![path, "-c", BASH, "bash"],
        };
        start.into_iter().chain(command).chain([port.as_str()]).map(str::to_owned).collect()
    }
}
