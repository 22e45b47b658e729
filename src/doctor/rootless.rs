//! The prerequisites of rootless engines on Linux.

use std::fs;

use super::report::Check;
use crate::host::machine::{Host, Os, is_installed};

/// Returns a problem for each prerequisite of a rootless podman that is missing. A podman that `answers` has a profile for
/// `AppArmor`, which restricts user namespaces on Ubuntu since 23.10.
pub fn problems(host: &Host, answers: bool) -> Vec<Check> {
    if host.os != Os::Linux || host.ids.uid == 0 {
        return Vec::new();
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uid = host.ids.uid.to_string();
    let user = user_name(&read("/etc/passwd"), &uid).unwrap_or_else(|| uid.clone());
    let add_ids = format!(
        "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`, then `podman system migrate`"
    );
    let restricted = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1";
    let missing = [
        (
            read("/proc/sys/user/max_user_namespaces").trim() == "0",
            "user namespaces are turned off (user.max_user_namespaces is 0)",
            "`sudo sysctl user.max_user_namespaces=15000`, and the same in a file in /etc/sysctl.d",
        ),
        (
            restricted && !answers,
            "AppArmor allows user namespaces only to programs with a profile",
            "install your distribution's podman, or `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
        ),
        (
            !["newuidmap", "newgidmap"].iter().all(|name| is_installed(host, name)),
            "newuidmap and newgidmap are not installed",
            "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)",
        ),
        (
            !["/etc/subuid", "/etc/subgid"].iter().all(|file| has_range(&read(file), &user, &uid)),
            "you have no subordinate users or groups in /etc/subuid and /etc/subgid",
            add_ids.as_str(),
        ),
    ];
    let missing = missing.into_iter().filter(|(is_missing, ..)| *is_missing);
    missing.map(|(_, message, fix)| Check::problem("user-namespaces", message, fix)).collect()
}

fn user_name(passwd: &str, uid: &str) -> Option<String> {
    let row = passwd.lines().find(|row| row.split(':').nth(2) == Some(uid))?;
    row.split(':').next().map(str::to_owned)
}

/// Returns whether a file such as `/etc/subuid` gives a range to a user, by name or number.
fn has_range(file: &str, user: &str, uid: &str) -> bool {
    file.lines().any(|row| {
        let mut fields = row.split(':');
        let is_users = fields.next().is_some_and(|name| name == user || name == uid);
        let size = fields.nth(1).and_then(|size| size.trim().parse::<u64>().ok());
        is_users && size.is_some_and(|size| size > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let file = "root:1:5\nme:100000:65536\n1001:200000:1000\nempty:1:0\nbroken\nother:x:y\n";
        for (user, uid, expected) in [
            ("me", "1000", true),
            ("you", "1001", true),
            ("nobody", "9", false),
            ("empty", "9", false),
            ("broken", "9", false),
            ("other", "9", false),
        ] {
            assert_eq!(has_range(file, user, uid), expected, "{user}");
        }
        let passwd = "root:x:0:0::/:\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(user_name(passwd, "1000").as_deref(), Some("me"));
    }
}
