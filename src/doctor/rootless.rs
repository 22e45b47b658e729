//! The prerequisites of rootless engines on Linux.

use std::fs;

use super::report::Check;
use crate::host::machine::{Host, Os, is_installed};
use crate::host::systemd::missing_session;

/// Returns a problem for each prerequisite of a rootless podman that is missing. A podman that `answers` has a profile for
/// `AppArmor`, which restricts user namespaces on Ubuntu since 23.10.
pub fn problems(host: &Host, answers: bool) -> Vec<Check> {
    if host.os != Os::Linux || host.ids.uid == 0 {
        return Vec::new();
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uid = host.ids.uid.to_string();
    let passwd = read("/etc/passwd");
    let row = passwd.lines().find(|row| row.split(':').nth(2) == Some(&uid));
    let user = row.and_then(|row| row.split(':').next()).unwrap_or(&uid);
    let add_ids = format!(
        "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`, then `podman system migrate`"
    );
    let has_ids = |file| has_range(&read(file), user, &uid);
    let missing = [
        (
            read("/proc/sys/user/max_user_namespaces").trim() == "0",
            "user namespaces are turned off (user.max_user_namespaces is 0)",
            "`sudo sysctl user.max_user_namespaces=15000`, and the same in a file in /etc/sysctl.d",
        ),
        (
            read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1" && !answers,
            "AppArmor allows user namespaces only to programs with a profile",
            "install your distribution's podman, or `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
        ),
        (
            !["newuidmap", "newgidmap"].iter().all(|name| is_installed(host, name)),
            "newuidmap and newgidmap are not installed",
            "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)",
        ),
        (
            !["/etc/subuid", "/etc/subgid"].into_iter().all(has_ids),
            "you have no subordinate users or groups in /etc/subuid and /etc/subgid",
            &add_ids,
        ),
    ];
    let missing = missing.into_iter().filter(|(is_missing, ..)| *is_missing);
    let missing = missing.map(|(_, message, fix)| Check::problem("user-namespaces", message, fix));
    let session = missing_session().filter(|_| !answers);
    let session = session.map(|(message, fix)| Check::problem("session", message, fix));
    missing.chain(session).collect()
}

/// Returns whether a file such as `/etc/subuid` has a range for a user, by name or number.
fn has_range(file: &str, user: &str, uid: &str) -> bool {
    file.lines().filter_map(|row| row.split(':').next()).any(|name| name == user || name == uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let file = "root:1:5\nme:100000:65536\n1001:200000:1000\nbroken\n";
        for (user, uid, expected) in [("me", "1000", true), ("you", "1001", true), ("nobody", "9", false)] {
            assert_eq!(has_range(file, user, uid), expected, "{user}");
        }
    }
}
