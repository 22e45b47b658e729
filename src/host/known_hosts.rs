//! The lines of SSH's `known_hosts` that are about given hosts, as ssh reads them. <https://man.openbsd.org/sshd#SSH_KNOWN_HOSTS_FILE_FORMAT>

use std::num::NonZero;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The length of a hash, and of the salt that it is made with, in bytes.
const HASH: usize = 20;

/// A line about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line as it is in the file.
    pub text: &'a [u8],
    /// Whether the line says that a key is not to be trusted.
    pub is_revoked: bool,
}

/// Returns the lines that are about one of these hosts, which are named as in such a file: in lower case, with a port as in
/// `[host]:2222`.
pub fn lines<'a>(file: &'a [u8], hosts: &[String]) -> Vec<Line<'a>> {
    let all: Vec<&[u8]> = file.split(|c| *c == b'\n').collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    // Hashes take a while, but not so long that a few lines are worth a thread.
    let size = all.len().div_ceil(threads).max(1000);
    let read = |part: &[&'a [u8]]| part.iter().filter_map(|text| line(text, hosts)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let parts: Vec<_> = all.chunks(size).map(|part| scope.spawn(move || read(part))).collect();
        parts.into_iter().filter_map(|part| part.join().ok()).flatten().collect()
    })
}

/// Reads a line, if it is about one of these hosts: `[@MARKER] NAMES TYPE KEY [COMMENT]`.
fn line<'a>(text: &'a [u8], hosts: &[String]) -> Option<Line<'a>> {
    let text = text.trim_ascii();
    let (mut names, mut rest) = word(text)?;
    let is_revoked = names == b"@revoked";
    if is_revoked || names == b"@cert-authority" {
        (names, rest) = word(rest)?;
    }
    let is_whole = !names.starts_with(b"#") && !names.starts_with(b"@") && word(rest).is_some();
    (is_whole && is_about(names, hosts)).then_some(Line { text, is_revoked })
}

/// Splits a text after its first word; `None` if nothing follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|c| matches!(c, b' ' | b'\t'))?;
    Some((&text[..end], text[end..].trim_ascii_start()))
}

fn is_about(names: &[u8], hosts: &[String]) -> bool {
    if names.starts_with(b"|") {
        return is_hash_of(names, hosts).unwrap_or_default();
    }
    hosts.iter().any(|host| {
        let mut has = false;
        for name in names.split(|c| *c == b',') {
            if let Some(excluded) = name.strip_prefix(b"!") {
                if matches(excluded, host.as_bytes()) {
                    return false;
                }
            } else {
                has |= matches(name, host.as_bytes());
            }
        }
        has
    })
}

/// Returns whether `|1|SALT|HASH` is about one of these hosts.
fn is_hash_of(names: &[u8], hosts: &[String]) -> Option<bool> {
    let mut parts = names.strip_prefix(b"|1|")?.splitn(2, |c| *c == b'|').map(decode);
    let (salt, hash) = (parts.next()??, parts.next()??);
    let salted = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    Some(hosts.iter().any(|host| salted.clone().chain_update(host).finalize().into_bytes()[..] == hash))
}

fn decode(text: &[u8]) -> Option<[u8; HASH]> {
    // The crate wants room for whole groups of three bytes.
    let mut bytes = [0; HASH + 1];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    (length == HASH).then(|| bytes.first_chunk().copied()).flatten()
}

/// Returns whether a pattern with `*` and `?` matches a name in lower case.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how far it reaches.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.to_ascii_lowercase() == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, reached)) = star else { return false };
                star = Some((at, reached + 1));
                (p, n) = (at + 1, reached + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "ssh-keygen is what the reader is compared with")]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP6PO2vljIOTb1iXZ0TfZ9VtmUDgxqE1gvCiGCOAVkcP";

    fn found(file: &str, hosts: &[&str]) -> Vec<String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let found = lines(file.as_bytes(), &hosts);
        found.iter().map(|line| String::from_utf8(line.text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn only_whole_lines_about_the_hosts_are_found() {
        let names = [
            "host.example",
            "HOST.example",
            "other,host.example,10.0.0.1",
            "*.example",
            "hos?.example",
            "*",
            "*.example,!other.example",
            "@cert-authority *.example",
            "@revoked *",
            "@revoked host.example",
        ];
        for names in names {
            assert_eq!(found(&format!("{names} {KEY} comment\n"), &["host.example"]).len(), 1, "{names}");
        }
        for names in [
            "other.example",
            "host",
            "example",
            "host.example.org",
            "[host.example]:2222",
            "*.example,!host.example",
            "!host.example,host.example",
            "!other.example",
            "# host.example",
            "#host.example",
            "@marker host.example",
            "@revoked",
            "",
            "|1|host.example",
            "|2|x|y",
            "|1|!|!",
        ] {
            assert_eq!(found(&format!("{names} {KEY}\n"), &["host.example"]).len(), 0, "{names}");
        }
        assert!(found("host.example\nhost.example ssh-ed25519\n", &["host.example"]).is_empty());
        let file = format!("  host.example\t{KEY}\r\n\nother {KEY}\n@revoked * {KEY} #x");
        let expected = [format!("host.example\t{KEY}"), format!("@revoked * {KEY} #x")];
        assert_eq!(found(&file, &["host.example"]), expected);
        assert_eq!(found(&file, &[]).len(), 0);
        assert_eq!(
            found(&format!("[h]:22 {KEY}\n[h]:23 {KEY}"), &["[h]:23", "h"]),
            [format!("[h]:23 {KEY}")]
        );
        assert_eq!(found(&format!("::1 {KEY}"), &["::1"]).len(), 1);
    }

    #[test]
    fn hashed_lines_are_found_as_by_ssh() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_hosts");
        let names = ["host.example", "[host.example]:2222", "::1", "other.example"];
        fs::write(&path, names.map(|name| format!("{name} {KEY}\n")).concat()).unwrap();
        let keygen = |args: &[&str]| {
            let output = Command::new("ssh-keygen").args(args).arg("-f").arg(&path).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        keygen(&["-H"]);
        let hashed = fs::read_to_string(&path).unwrap();
        assert_eq!(hashed.matches("|1|").count(), 4, "the control");
        for name in names {
            let ssh = keygen(&["-F", name]);
            let ssh = ssh.lines().find(|line| line.starts_with("|1|")).unwrap();
            assert_eq!(found(&hashed, &[name]), [ssh]);
        }
        assert!(found(&hashed, &["none.example"]).is_empty());
    }

    #[test]
    fn many_lines_are_no_problem() {
        let hash =
            |n: u64| STANDARD.encode([n.to_le_bytes(), [0; 8], [1; 8]].concat().first_chunk::<20>().unwrap());
        let many: Vec<String> = (0..25_000)
            .flat_map(|n| {
                [format!("|1|{}|{} {KEY}\n", hash(n), hash(n + 1)), format!("host{n},10.0.0.1 {KEY}\n")]
            })
            .collect();
        let file = format!("{}last {KEY}\n", many.concat());
        let hosts = ["last", "host9", "host10"].map(str::to_owned);
        assert_eq!(lines(file.as_bytes(), &hosts).len(), 3);
    }

    #[test]
    fn only_keys_that_are_not_revoked_are_trusted() {
        let file = format!("@revoked h {KEY}\nh {KEY}\n@cert-authority h {KEY}");
        let revoked: Vec<bool> =
            lines(file.as_bytes(), &["h".to_owned()]).iter().map(|line| line.is_revoked).collect();
        assert_eq!(revoked, [true, false, false]);
    }
}
