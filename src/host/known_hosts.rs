//! The lines of SSH's `known_hosts` that are about given hosts, as ssh reads them.
//! <https://man.openbsd.org/sshd#SSH_KNOWN_HOSTS_FILE_FORMAT>

use std::num::NonZero;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::block_api::compress;

/// The length of a hash, and of the salt that it is made with, in bytes.
const HASH: usize = 20;

/// What SHA-1 hashes at once.
type Block = [u8; 64];

/// The state with which SHA-1 starts.
const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// A host that lines are looked for.
struct Host<'a> {
    name: &'a [u8],
    /// The name as SHA-1 hashes it after a block with the salt. It is the same for all lines.
    blocks: Vec<Block>,
}

impl<'a> Host<'a> {
    fn new(name: &'a str) -> Self {
        let name = name.as_bytes();
        let mut bytes = [name, &[0x80]].concat();
        bytes.resize((bytes.len() + 8).next_multiple_of(64) - 8, 0);
        bytes.extend(((64 + name.len()) as u64 * 8).to_be_bytes());
        Self { name, blocks: bytes.as_chunks().0.to_vec() }
    }
}

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
    let hosts: &Vec<_> = &hosts.iter().map(|host| Host::new(host)).collect();
    let read = |part: &[&'a [u8]]| part.iter().filter_map(|text| line(text, hosts)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let parts: Vec<_> = all.chunks(size).map(|part| scope.spawn(move || read(part))).collect();
        parts.into_iter().filter_map(|part| part.join().ok()).flatten().collect()
    })
}

/// Reads a line, if it is about one of these hosts: `[@MARKER] NAMES TYPE KEY [COMMENT]`.
fn line<'a>(text: &'a [u8], hosts: &[Host]) -> Option<Line<'a>> {
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

fn is_about(names: &[u8], hosts: &[Host]) -> bool {
    if names.starts_with(b"|") {
        return is_hash_of(names, hosts).unwrap_or_default();
    }
    hosts.iter().any(|host| is_one(names.split(|c| *c == b','), host.name))
}

/// Returns whether a name matches one of these patterns, and none after an exclamation mark.
pub fn is_one<'a>(patterns: impl IntoIterator<Item = &'a [u8]>, name: &[u8]) -> bool {
    let mut has = false;
    for pattern in patterns {
        if let Some(excluded) = pattern.strip_prefix(b"!") {
            if matches(excluded, name) {
                return false;
            }
        } else {
            has |= matches(pattern, name);
        }
    }
    has
}

/// Returns whether `|1|SALT|HASH` is about one of these hosts: the hash is HMAC-SHA1 of the name, with the salt as key. All lines
/// of a file may be hashed, so that a line takes no more than the four blocks that differ from others.
fn is_hash_of(names: &[u8], hosts: &[Host]) -> Option<bool> {
    let mut parts = names.strip_prefix(b"|1|")?.splitn(2, |c| *c == b'|').map(decode);
    let (salt, hash) = (parts.next()??, parts.next()??);
    let salted = |pad: u8| {
        let mut key = [pad; 64];
        key.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
        hashed(START, &[key])
    };
    let (inner, outer) = (salted(0x36), salted(0x5c));
    // The outer hash is about the inner one, which is followed by a bit and its length with the block before it.
    let mut last: Block = [0; 64];
    last[HASH] = 0x80;
    last[56..].copy_from_slice(&((64 + HASH as u64) * 8).to_be_bytes());
    let bytes = |state: [u32; 5]| state.map(u32::to_be_bytes);
    Some(hosts.iter().any(|host| {
        last[..HASH].copy_from_slice(bytes(hashed(inner, &host.blocks)).as_flattened());
        bytes(hashed(outer, &[last])).as_flattened() == hash
    }))
}

/// Returns the state of SHA-1 after more blocks.
fn hashed(mut state: [u32; 5], blocks: &[Block]) -> [u32; 5] {
    #[cfg(test)]
    tests::HASHED.set(tests::HASHED.get() + blocks.len());
    compress(&mut state, blocks);
    state
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
    use std::cell::Cell;
    use std::fs;
    use std::process::Command;

    use super::*;

    thread_local! {
        /// The number of blocks that this thread hashed.
        pub static HASHED: Cell<usize> = const { Cell::new(0) };
    }

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
        // Around the lengths where a name takes another block.
        let long = [55, 56, 63, 64, 119, 120, 200].map(|length| "x".repeat(length));
        let names = ["host.example", "[host.example]:2222", "::1", "other.example"];
        let names: Vec<&str> = names.into_iter().chain(long.iter().map(String::as_str)).collect();
        fs::write(&path, names.iter().map(|name| format!("{name} {KEY}\n")).collect::<Vec<_>>().concat())
            .unwrap();
        let keygen = |args: &[&str]| {
            let output = Command::new("ssh-keygen").args(args).arg("-f").arg(&path).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        keygen(&["-H"]);
        let hashed = fs::read_to_string(&path).unwrap();
        assert_eq!(hashed.matches("|1|").count(), names.len(), "the control");
        for name in names {
            let ssh = keygen(&["-F", name]);
            let ssh = ssh.lines().find(|line| line.starts_with("|1|")).unwrap();
            assert_eq!(found(&hashed, &[name]), [ssh]);
        }
        assert!(found(&hashed, &["none.example"]).is_empty());
    }

    #[test]
    fn only_hashed_lines_take_hashes_and_no_more_than_they_need() {
        let salt = STANDARD.encode([1; HASH]);
        let names: Vec<String> = (0..3).map(|n| format!("host{n}.example")).collect();
        let hosts: Vec<Host> = names.iter().map(|name| Host::new(name)).collect();
        let took = |text: &str, hosts: &[Host]| {
            HASHED.set(0);
            assert_eq!(line(text.as_bytes(), hosts), None);
            HASHED.get()
        };
        // The key takes two blocks, and each host two more.
        for number in 0..=hosts.len() {
            let text = format!("|1|{salt}|{salt} {KEY}");
            assert_eq!(took(&text, &hosts[..number]), 2 + 2 * number, "{number} hosts");
        }
        for names in ["other", "*.org,10.0.0.1", "#|1|", "|1|", "|1|!|!", &format!("|1|{salt}|x")] {
            assert_eq!(took(&format!("{names} {KEY}"), &hosts), 0, "{names}");
        }
        assert_eq!(took(&format!("|1|{salt}|{salt}"), &hosts), 0, "a line without a key");
    }

    #[test]
    fn lines_are_found_in_all_parts_of_a_long_file() {
        let salt = STANDARD.encode([1; HASH]);
        let all: Vec<_> = (0..10_000).map(|n| format!("|1|{salt}|{salt} {KEY}\nhost{n} {KEY}\n")).collect();
        let hosts = ["host9999", "host9", "host5000"].map(str::to_owned);
        assert_eq!(lines(all.concat().as_bytes(), &hosts).len(), 3);
    }

    #[test]
    fn only_keys_that_are_not_revoked_are_trusted() {
        let file = format!("@revoked h {KEY}\nh {KEY}\n@cert-authority h {KEY}");
        let revoked: Vec<bool> =
            lines(file.as_bytes(), &["h".to_owned()]).iter().map(|line| line.is_revoked).collect();
        assert_eq!(revoked, [true, false, false]);
    }
}
