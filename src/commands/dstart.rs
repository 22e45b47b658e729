//! An explanation in place of the script's `cage dstart`, which gave a cage the engine's socket.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::base::text::quote;
use crate::host::machine::{Host, Os};

/// The path where programs in a cage look for docker's socket.
const INSIDE: &str = "/var/run/docker.sock";

/// Returns what `dstart` would give away, and what to type instead.
pub fn instead_of_dstart() -> Vec<String> {
    let host = Host::gather().ok().map(|(host, _)| host);
    let what = "the script's dstart gave the cage your engine's socket. Code that has it controls your machine: it can start \
                a container that mounts all your files";
    let mut tips = vec![what.to_owned()];
    tips.extend(host.iter().flat_map(ways));
    tips.push("docs/from-the-script.md in cage's repository says more".to_owned());
    tips
}

fn ways(host: &Host) -> Vec<String> {
    if host.os == Os::Mac {
        let group = r#"--group-add "$(colima ssh -p cage -- stat -c %g /var/run/docker.sock)""#;
        return vec![
            "to keep it from your own engine, use a virtual machine that has only your sources: 'colima start cage --mount ~/src:w'"
                .to_owned(),
            format!("then, in a project there: 'DOCKER_CONTEXT=colima-cage cage start -- -v {INSIDE}:{INSIDE} {group}'"),
        ];
    }
    let socket = host.engine_sockets().find(|socket| socket.exists());
    let source = socket.unwrap_or_else(|| INSIDE.into());
    let group = group(host, &source);
    let source = quote(&source.to_string_lossy());
    vec![
        format!("if you mean that, type it: 'cage start -v {source}:{INSIDE}:ro{group}'"),
        "a rootless engine, or one in a virtual machine, gives away less".to_owned(),
    ]
}

/// Returns the option that lets the user in a cage open the socket.
fn group(host: &Host, socket: &Path) -> String {
    let owner = fs::metadata(socket).ok().filter(|socket| socket.uid() != host.ids.uid || host.ids.uid == 0);
    owner.map(|socket| format!(" -- --group-add {}", socket.gid())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_gets_a_machine_for_it() {
        let mut host = Host::sample(&[]);
        host.os = Os::Mac;
        let told = ways(&host).join("\n");
        assert!(told.contains("'colima start cage --mount ~/src:w'"), "{told}");
        assert!(told.contains("DOCKER_CONTEXT=colima-cage cage start -- -v /var/run/docker.sock:"), "{told}");
    }

    #[test]
    fn the_socket_of_the_user_needs_no_group() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        fs::write(&socket, "").unwrap();
        let mut host = Host::sample(&[("DOCKER_HOST", &format!("unix://{}", socket.display()))]);
        host.ids.uid = fs::metadata(&socket).unwrap().uid();
        let told = ways(&host);
        let mount = format!("'cage start -v {}:/var/run/docker.sock:ro", socket.display());
        assert!(told[0].contains(&mount), "{told:?}");
        assert_eq!(told[0].contains("--group-add"), host.ids.uid == 0);
        host.ids.uid = host.ids.uid.wrapping_add(1);
        assert!(ways(&host)[0].contains(&format!("{} -- --group-add", ":ro")));
    }
}
