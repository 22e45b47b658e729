//! A filter of system calls for an engine whose own filter lets containers share this machine's keyrings.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::base::console;
use crate::cage::create_options::CreateOptions;
use crate::engine::args::{Flag, flags};
use crate::engine::dialect::Dialect;
use crate::engine::info::Engine;
use crate::host::machine::Host;

/// System calls of which podman's profile allows too much: a container of root's shares the kernel's keyrings with the users of this
/// machine (`keyctl`), and a new user namespace has all capabilities in it.
const ALLOWED_TOO_MUCH: [&str; 6] = ["keyctl", "add_key", "request_key", "clone", "clone3", "unshare"];

/// The flag for a new user namespace: <https://man7.org/linux/man-pages/man2/clone.2.html>.
const CLONE_NEWUSER: u32 = 0x1000_0000;

/// The paths of podman's profile, the administrator's first:
/// <https://github.com/containers/common/blob/main/pkg/seccomp/default_linux.go>.
const PROFILES: [&str; 2] = ["/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"];

/// Returns the path and the text of a filter, if the engine's own allows too much and the user has not chosen one.
pub fn filter(
    host: &Host,
    kind: Dialect,
    engine: &Engine,
    options: &CreateOptions,
) -> Option<(PathBuf, String)> {
    let is_choice = |flag: Flag| match flag.name {
        "privileged" => true,
        "security-opt" => flag.value.starts_with("seccomp"),
        _ => false,
    };
    if !kind.shares_keyrings(host, engine) || flags(&options.engine_args).into_iter().any(is_choice) {
        return None;
    }
    let profile = PROFILES.iter().find_map(|path| fs::read_to_string(path).ok());
    let filter =
        profile.and_then(|profile| Some((host.state_file("podman", "seccomp")?, stricter(&profile)?)));
    if filter.is_none() {
        console::warn(
            "podman's seccomp.json can't be read: code in the cage can use this machine's kernel keyrings",
        );
    }
    filter
}

/// Returns podman's profile without keyrings and new user namespaces; `None` if it can't be read.
fn stricter(profile: &str) -> Option<String> {
    let mut profile: Value = serde_json::from_str(profile).ok()?;
    let rules = profile.get_mut("syscalls")?.as_array_mut()?;
    for rule in rules.iter_mut() {
        let names = rule.get_mut("names")?.as_array_mut()?;
        names.retain(|name| !ALLOWED_TOO_MUCH.iter().any(|call| name == call));
    }
    rules.retain(|rule| rule["names"] != json!([]));
    // The C library uses `clone` where there is no `clone3`, whose flags no filter can see.
    rules.push(json!({
        "names": ["keyctl", "add_key", "request_key", "clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
    }));
    let mask = json!([{"index": 0, "value": CLONE_NEWUSER, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    rules.push(json!({"names": ["clone", "unshare"], "action": "SCMP_ACT_ALLOW", "args": mask}));
    serde_json::to_string(&profile).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyrings_and_user_namespaces_are_taken_out_and_nothing_else() {
        let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
            {"names":["keyctl","read","clone"],"action":"SCMP_ACT_ALLOW","args":[]},
            {"names":["unshare"],"action":"SCMP_ACT_ALLOW"}]}"#;
        let strict: Value = serde_json::from_str(&stricter(profile).unwrap()).unwrap();
        assert_eq!(strict["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(strict["syscalls"][0]["names"], json!(["read"]));
        assert_eq!(strict["syscalls"].as_array().unwrap().len(), 3);
        for unreadable in ["", "{}", "[]", r#"{"syscalls":{}}"#, r#"{"syscalls":[{"names":"read"}]}"#] {
            assert_eq!(stricter(unreadable), None, "{unreadable}");
        }
    }
}
