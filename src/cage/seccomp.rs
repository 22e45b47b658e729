//! A filter of system calls for an engine whose own filter lets containers share this machine's keyrings.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::base::console;
use crate::cage::create_options::CreateOptions;
use crate::engine::args::{Flag, flags, turns_on};
use crate::engine::dialect::Dialect;
use crate::engine::info::Engine;
use crate::host::machine::Host;

/// System calls of which podman's profile allows too much: a container of root's shares the kernel's keyrings with the users of
/// this machine (`keyctl`), and a new user namespace has all capabilities in it.
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
    if !kind.shares_keyrings(host, engine) || is_chosen(&flags(&options.engine_args)) {
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

/// Returns whether the user has chosen a filter, or none: a privileged container has none.
fn is_chosen(flags: &[Flag]) -> bool {
    turns_on(flags, "privileged")
        || flags.iter().any(|flag| flag.name == "security-opt" && flag.value.starts_with("seccomp"))
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
    fn only_a_privileged_container_or_a_choice_goes_without_this_filter() {
        for (words, expected) in [
            ("--privileged", true),
            ("--privileged=false --privileged=T", true),
            ("--security-opt seccomp=unconfined", true),
            ("--privileged=false", false),
            ("--privileged --privileged=F", false),
            ("--security-opt label=disable --init=false -e --privileged", false),
        ] {
            assert_eq!(is_chosen(&flags(&shell_words::split(words).unwrap())), expected, "{words}");
        }
    }

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
