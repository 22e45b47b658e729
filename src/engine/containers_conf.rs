//! Search in podman's settings files.
//!
//! The files are not parsed: a file that mentions a setting, or that can't be read, counts as setting it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::host::machine::{Host, is_installed};

/// The directories in which podman looks for helper programs by default:
/// <https://github.com/containers/common/blob/main/pkg/config/config_linux.go>.
const HELPER_DIRS: [&str; 4] =
    ["/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"];

/// Returns whether podman's settings may contain `word`.
pub fn mentions(host: &Host, word: &str) -> bool {
    files(host).iter().any(|file| match fs::read_to_string(file) {
        Ok(text) => text.lines().map(str::trim).any(|line| !line.starts_with('#') && line.contains(word)),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    })
}

/// Returns whether podman may find its helper `program`, whose path is in `setting` if the user chose one.
pub fn may_have_helper(host: &Host, program: &str, setting: &str) -> bool {
    [setting, "helper_binaries_dir"].iter().any(|word| mentions(host, word))
        || host.path_variable("CONTAINERS_HELPER_BINARY_DIR").is_some()
        || HELPER_DIRS.iter().any(|dir| Path::new(dir).join(program).exists())
        || is_installed(host, program)
}

/// Returns the files that podman reads, with `CONTAINERS_CONF` instead of all others:
/// <https://github.com/containers/common/blob/main/docs/containers.conf.5.md>.
fn files(host: &Host) -> Vec<PathBuf> {
    let only = host.path_variable("CONTAINERS_CONF").filter(|path| !path.as_os_str().is_empty());
    let mut files = Vec::from_iter(only.map(Path::to_owned));
    if only.is_none() {
        let config =
            host.path_variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).map(Path::to_owned);
        let own = config.or_else(|| Some(host.home.as_ref()?.join(".config")));
        for dir in ["/usr/share", "/etc"].map(PathBuf::from).into_iter().chain(own) {
            let file = dir.join("containers/containers.conf");
            files.extend(parts(&file.with_extension("conf.d")));
            files.push(file);
        }
    }
    files.extend(host.path_variable("CONTAINERS_CONF_OVERRIDE").map(Path::to_owned));
    files
}

/// Returns the `*.conf` files in a directory, or the directory itself if it can't be read.
fn parts(dir: &Path) -> Vec<PathBuf> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "conf")).collect()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(_) => vec![dir.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_in_every_file_and_an_unreadable_one_counts() {
        let home = tempfile::tempdir().unwrap();
        let containers = home.path().join("containers");
        fs::create_dir_all(containers.join("containers.conf.d")).unwrap();
        let host = Host::sample(&[("XDG_CONFIG_HOME", home.path().to_str().unwrap())]);
        assert!(!mentions(&host, "xyzzy"), "the control");
        let part = containers.join("containers.conf.d/50-mine.conf");
        fs::write(&part, "[engine]\n xyzzy = true\n").unwrap();
        assert!(mentions(&host, "xyzzy"));
        fs::write(&part, "# xyzzy = true\n").unwrap();
        assert!(!mentions(&host, "xyzzy"), "a comment");
        fs::write(containers.join("containers.conf.d/notes.txt"), "xyzzy").unwrap();
        assert!(!mentions(&host, "xyzzy"), "no settings file");
        // A directory can't be read as a file, also by root.
        fs::create_dir(containers.join("containers.conf")).unwrap();
        assert!(mentions(&host, "xyzzy"));
    }

    #[test]
    fn a_missing_helper_is_known_unless_the_settings_name_one() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("containers.conf");
        let host = Host::sample(&[("CONTAINERS_CONF", conf.to_str().unwrap()), ("PATH", "/nonexistent")]);
        assert!(!may_have_helper(&host, "no-such-helper", "init_path"));
        fs::write(&conf, "[containers]\ninit_path = \"/opt/init\"\n").unwrap();
        assert!(may_have_helper(&host, "no-such-helper", "init_path"));
    }
}
