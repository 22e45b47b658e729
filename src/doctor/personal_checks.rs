//! The checks of what a cage gets from the user's settings of git and SSH.

use super::report::Check;
use crate::base::text::escape;
use crate::cage::personal::{Identity, KnownHost, Personal};

/// Returns the checks of name and address, of the keys of hosts, and of the key that signs commits.
pub fn personal(personal: &Personal) -> Vec<Check> {
    let mut checks: Vec<Check> = personal
        .warnings
        .iter()
        .map(|warning| Check::warning("git", warning, "check the file and its permissions"))
        .collect();
    if personal.warnings.is_empty() {
        checks.push(identity(&personal.identity));
    }
    checks.extend(personal.hosts.iter().filter(|host| host.remote.is_ssh).filter_map(unknown_host));
    let known = personal.hosts.iter().filter(|host| host.is_known && !host.is_alias);
    let known: Vec<&str> = known.map(|host| host.remote.host.as_str()).collect();
    checks.extend((!known.is_empty()).then(|| Check::ok("host-keys", known.join(", "))));
    checks.extend(personal.signing_key.iter().map(|key| {
        Check::warning(
            "signing",
            format!("commits in a cage are not signed: {} is not in it", key.path),
            format!("let your SSH agent sign, in the project: `{}`", key.commands()),
        )
    }));
    checks
}

fn identity(Identity { name, email }: &Identity) -> Check {
    let show = |value: &Option<Vec<u8>>| value.as_ref().map(|value| escape(&String::from_utf8_lossy(value)));
    match (show(name), show(email)) {
        (Some(name), Some(email)) => Check::ok("git", format!("commits are by {name} <{email}>")),
        (None, None) => Check::ok("git", "no user.name and user.email in your settings"),
        (None, Some(_)) => Check::ok("git", "no user.name in your settings"),
        (Some(_), None) => Check::ok("git", "no user.email in your settings"),
    }
}

fn unknown_host(KnownHost { remote, meant, is_known, is_alias }: &KnownHost) -> Option<Check> {
    let (host, name) = (escape(&meant.host), &remote.host);
    let port = if meant.port == 22 { String::new() } else { format!("-p {} ", meant.port) };
    if *is_alias {
        return Some(Check::warning(
            "host-keys",
            format!(
                "{name} is `{port}{host}` in your ssh settings, which a cage doesn't have: git in it can't connect"
            ),
            "change the address of the remote, or put those settings into ~/.config/cage/home/.ssh/config, then `cage restart`",
        ));
    }
    (!is_known).then(|| {
        Check::warning(
            "host-keys",
            format!("your known_hosts has no key of {host}: git in a cage can't connect to it"),
            format!("`ssh {port}{host}` on this machine, compare the fingerprint, then `cage restart`"),
        )
    })
}
