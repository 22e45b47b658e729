//! What systemd gives the user and what it takes when they log out, read from its files.

use std::fs;
use std::path::{Path, PathBuf};

/// The cgroup v2 controllers with which an engine can limit resources, and the logging out of a user, as systemd decides them.
#[derive(Debug, Clone, Default)]
pub struct Systemd {
    /// The controllers that an engine of this user can use; `None` with cgroup v1.
    pub controllers: Option<Vec<String>>,
    /// Whether the user's processes, and so the containers of rootless engines, end when the user logs out.
    pub ends_at_logout: bool,
}

impl Systemd {
    /// Reads the files below `root` about a user: <https://www.freedesktop.org/software/systemd/man/latest/loginctl.html>.
    pub fn read(root: &Path, uid: u32) -> Self {
        let read = |path: PathBuf| fs::read_to_string(root.join(path)).ok();
        let cgroups = PathBuf::from("sys/fs/cgroup");
        let all = read(cgroups.join("cgroup.controllers"));
        // systemd delegates to a user the controllers of this unit, where rootless engines put their containers. Without the unit,
        // there is nothing that these may write.
        let delegated = || {
            let unit = format!("user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers");
            read(cgroups.join(unit)).unwrap_or_default()
        };
        let usable = all.map(|all| if uid == 0 { all } else { delegated() });
        // logind keeps such a file of each user who is logged in.
        let user = read(format!("run/systemd/users/{uid}").into()).filter(|_| uid != 0);
        let name =
            user.and_then(|user| Some(user.lines().find_map(|line| line.strip_prefix("NAME="))?.to_owned()));
        Self {
            controllers: usable.map(|text| text.split_whitespace().map(str::to_owned).collect()),
            ends_at_logout: name.is_some_and(|name| !root.join("var/lib/systemd/linger").join(name).exists()),
        }
    }
}

/// Returns a description of the user's missing directory for sockets and the like, which systemd makes when they log in, and the
/// remedy.
pub fn missing_session() -> Option<(String, &'static str)> {
    let dir = format!("/run/user/{}", rustix::process::geteuid());
    (!Path::new(&dir).exists()).then(|| {
        (
            format!("{dir} is missing: you have no login session"),
            "log in as this user, by ssh or `machinectl shell`, not by `su`; or let root run `loginctl enable-linger USER`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_and_lingering_are_read_from_files() {
        let root = tempfile::tempdir().unwrap();
        let read = |uid| Systemd::read(root.path(), uid);
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(read(1000).controllers.is_none() && !read(1000).ends_at_logout, "no systemd, cgroup v1");
        write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        assert_eq!(read(0).controllers.unwrap(), ["cpuset", "cpu", "io", "memory", "pids"]);
        assert_eq!(read(1000).controllers.unwrap(), [""; 0], "without a session nothing is delegated");
        let unit = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers";
        write(unit, "memory pids\n");
        assert_eq!(read(1000).controllers.unwrap(), ["memory", "pids"]);
        write("run/systemd/users/1000", "# private\nNAME=me\nSTATE=active\n");
        assert!(read(1000).ends_at_logout);
        assert!(!read(1001).ends_at_logout, "not logged in");
        write("run/systemd/users/0", "NAME=root\n");
        assert!(!read(0).ends_at_logout, "root's containers are not below a session");
        write("var/lib/systemd/linger/me", "");
        assert!(!read(1000).ends_at_logout, "lingers");
    }
}
