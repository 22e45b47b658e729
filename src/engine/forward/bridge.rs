//! What connects to a port inside a cage: a program that is there anyway, with its standard streams as the other end.
//!
//! On stderr it says its process ID first, `refused` if nothing listens, and, where it can tell, `end N` when the server
//! ends its half after N bytes: engines tell of a closed stdout only when the whole command ends.

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
pub const PROBE: &str = r#"PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:$PATH
works() { path=$(command -v "$1") && shift && "$path" "$@" </dev/null >/dev/null 2>&1; }
is() { echo "$1 $path"; exit; }
works perl -MSocket=IN6ADDR_LOOPBACK -e 1 && is perl
works python3 -I -S -c 'import _thread, socket' && is python3
works node -e 0 && is node
for path in /bin/busybox /usr/bin/busybox; do
    case $("$path" nc -h 2>&1) in *BusyBox*) is busybox ;; esac
done
works bash -c : && is bash
true"#;

/// Lives in the cage as long as ports are forwarded. Ends processes of connections as their IDs come, and in the end, also
/// when cage was killed, all that are left. They have $1 in their environment, and lead a group.
pub const KEEPER: &str = r#"PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
mark=$1
end() {
    tr '\0' '\n' <"/proc/$1/environ" | grep -qxF "$mark" || return 0
    kill -KILL -"$1" || kill -KILL "$1"
}
{
    while read -r process; do end "$process"; done
    for process in /proc/[0-9]*; do end "${process#/proc/}"; done
} 2>/dev/null
true"#;

/// Says its process ID, and becomes what follows.
const START: &str = r#"echo "$$" >&2; exec "$@""#;

/// Two processes, since neither direction may wait for the other.
const PERL: &str = r#"use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY IN6ADDR_LOOPBACK pack_sockaddr_in6);
my $port = shift;
my $socket;
for ([PF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)], [PF_INET6, pack_sockaddr_in6($port, IN6ADDR_LOOPBACK)]) {
    last if socket($socket, $_->[0], SOCK_STREAM, 0) && connect($socket, $_->[1]);
    undef $socket;
}
$socket or die "refused\n";
setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
sub pump {
    my ($from, $to) = @_;
    my $all = 0;
    while (my $size = sysread($from, my $data, 65536)) {
        for (my $done = 0; $done < $size;) { $done += syswrite($to, $data, $size - $done, $done) || return $all }
        $all += $size;
    }
    $all;
}
defined(my $child = fork) or die "fork: $!\n";
if (!$child) {
    pump(*STDIN, $socket);
    shutdown($socket, 1);
    exit;
}
print STDERR "end ", pump($socket, *STDOUT), "\n";
waitpid($child, 0);
"#;

const PYTHON: &str = r#"import _thread, os, socket, sys
for host in "127.0.0.1", "::1":
    try:
        server = socket.create_connection((host, int(sys.argv[1])))
        break
    except OSError:
        pass
else:
    sys.exit("refused")
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def pump(read, write):
    size = 0
    try:
        for data in iter(lambda: read(65536), b""):
            write(data)
            size += len(data)
    except OSError:
        pass
    return size
def up():
    pump(lambda size: os.read(0, size), server.sendall)
    try:
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    done.release()
def write(data):
    while data:
        data = data[os.write(1, data):]
done = _thread.allocate_lock()
done.acquire()
_thread.start_new_thread(up, ())
os.write(2, b"end %d\n" % pump(server.recv, write))
done.acquire()
os._exit(0)
"#;

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

const BASH: &str = r"{ exec 3<>/dev/tcp/127.0.0.1/$1 || exec 3<>/dev/tcp/::1/$1; } 2>/dev/null || { echo refused >&2; exit 1; }
cat <&0 >&3 &
cat <&3
kill -KILL $!";

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
