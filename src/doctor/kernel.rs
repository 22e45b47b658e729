//! What Linux lets people without root do, which engines without root need.

use std::fs;

use super::{Check, Level};
use crate::host::machine;
use crate::host::machine::{Host, Os};

/// What this machine's kernel and files say.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// Does `AppArmor` restrict user namespaces of people? Ubuntu has that since 23.10.
    pub restricts_namespaces: bool,
    /// How many user namespaces there may be.
    pub namespaces: Option<u64>,
    /// How many subordinate users and groups the person has.
    pub subordinates: (u64, u64),
    /// Are the programs there that map them (`newuidmap`, `newgidmap`)?
    pub has_mappers: bool,
    /// The person's name.
    pub user: String,
}

impl Kernel {
    /// Reads it; `None` where there is no such thing, or no need for it.
    pub fn read(host: &Host) -> Option<Self> {
        if host.os != Os::Linux || host.ids.uid == 0 {
            return None;
        }
        let uid = host.ids.uid;
        let number =
            |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse::<u64>().ok();
        let user = fs::read_to_string("/etc/passwd").ok().and_then(|passwd| name_of(&passwd, uid));
        let user = user.or_else(|| host.variable("USER").map(str::to_owned)).unwrap_or_default();
        let range = |file| subordinates(&fs::read_to_string(file).unwrap_or_default(), &user, uid);
        Some(Self {
            restricts_namespaces: number("kernel/apparmor_restrict_unprivileged_userns") == Some(1),
            namespaces: number("user/max_user_namespaces"),
            subordinates: (range("/etc/subuid"), range("/etc/subgid")),
            has_mappers: ["newuidmap", "newgidmap"].iter().all(|name| machine::is_installed(host, name)),
            user,
        })
    }

    /// What is missing for an engine without root; `answers`: does it answer all the same?
    pub fn checks(&self, answers: bool) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut tell = |level, message: String, fix: String| {
            checks.push(Check::new("user-namespaces", level, message).fix(fix));
        };
        if self.namespaces == Some(0) {
            tell(
                Level::Problem,
                "user.max_user_namespaces is 0: an engine without root can't run containers".to_owned(),
                "`sudo sysctl user.max_user_namespaces=15000`, and a file in /etc/sysctl.d to keep it"
                    .to_owned(),
            );
        }
        if self.restricts_namespaces && !answers {
            tell(
                Level::Problem,
                "AppArmor keeps programs without a profile from making user namespaces".to_owned(),
                "use the podman of your distribution, which has a profile, or \
                 `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
                    .to_owned(),
            );
        }
        if !self.has_mappers {
            tell(
                Level::Problem,
                "newuidmap and newgidmap are not installed, with which podman maps users".to_owned(),
                "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)".to_owned(),
            );
        }
        let fewest = self.subordinates.0.min(self.subordinates.1);
        let fix = format!(
            "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}`, then `podman system migrate`; \
             take another range if somebody has that one",
            self.user
        );
        if fewest == 0 {
            let message =
                format!("{} has no subordinate users or groups (/etc/subuid, /etc/subgid)", self.user);
            tell(Level::Problem, message, fix);
        } else if fewest < 65536 {
            let message = format!(
                "{} has {fewest} subordinate users or groups: images with higher numbers can't be used",
                self.user
            );
            tell(Level::Warning, message, fix);
        }
        if checks.is_empty() {
            let message = format!("allowed, and {} has {fewest} subordinate users", self.user);
            checks.push(Check::new("user-namespaces", Level::Ok, message));
        }
        checks
    }
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let row = passwd.lines().find(|row| row.split(':').nth(2) == Some(&uid.to_string()))?;
    row.split(':').next().map(str::to_owned)
}

/// How many subordinate numbers a file such as `/etc/subuid` gives a user, by name or number.
fn subordinates(file: &str, user: &str, uid: u32) -> u64 {
    let uid = uid.to_string();
    let rows = file.lines().filter_map(|row| {
        let mut fields = row.split(':');
        let name = fields.next()?;
        let count = fields.nth(1)?.trim().parse::<u64>().ok()?;
        (name == uid || (name == user && !user.is_empty())).then_some(count)
    });
    rows.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Kernel {
        Kernel {
            restricts_namespaces: false,
            namespaces: Some(15000),
            subordinates: (65536, 65536),
            has_mappers: true,
            user: "me".into(),
        }
    }

    fn told(kernel: &Kernel, answers: bool) -> Vec<(Level, String)> {
        kernel.checks(answers).into_iter().map(|check| (check.level, check.message)).collect()
    }

    #[test]
    fn each_thing_that_is_missing_is_told() {
        assert_eq!(told(&fine(), true), [(Level::Ok, "allowed, and me has 65536 subordinate users".into())]);
        for broken in [
            Kernel { namespaces: Some(0), ..fine() },
            Kernel { has_mappers: false, ..fine() },
            Kernel { subordinates: (65536, 0), ..fine() },
        ] {
            assert_eq!(told(&broken, true)[0].0, Level::Problem);
        }
        assert_eq!(told(&Kernel { subordinates: (1000, 65536), ..fine() }, true)[0].0, Level::Warning);
        let ubuntu = Kernel { restricts_namespaces: true, ..fine() };
        assert_eq!(told(&ubuntu, true)[0].0, Level::Ok, "its own podman has a profile");
        assert_eq!(told(&ubuntu, false)[0].0, Level::Problem);
    }

    #[test]
    fn ranges_are_the_persons_by_name_or_number() {
        let file = "root:1:5\nme:100000:65536\n1000:200000:1000\nmel:1:7\nbroken\nme:x:y\n";
        assert_eq!(subordinates(file, "me", 1000), 66536);
        assert_eq!(subordinates(file, "nobody", 9), 0);
        assert_eq!(subordinates(":1:2\n", "", 9), 0);
        assert_eq!(
            name_of("root:x:0:0::/:\nme:x:1000:1000::/home/me:/bin/sh\n", 1000).as_deref(),
            Some("me")
        );
    }
}
