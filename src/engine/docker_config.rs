//! docker's settings file of the user:
//! <https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties>.

use std::path::PathBuf;

use rustix::fs::OFlags;
use serde_json::Value;

use crate::base::file::read_small;
use crate::host::machine::Host;

/// Returns the path of the file.
pub fn path(host: &Host) -> PathBuf {
    let own = host.home.as_ref().map(|home| home.join(".docker"));
    let dir = host.path_variable("DOCKER_CONFIG").map(ToOwned::to_owned).or(own).unwrap_or_default();
    dir.join("config.json")
}

/// Reads the file; without one there are no settings. Returns `None` if it can't be read.
pub fn read(host: &Host) -> Option<Value> {
    let Some(text) = read_small("docker's settings", &path(host), OFlags::empty()).ok()? else {
        return Some(Value::Null);
    };
    serde_json::from_str(&text).ok()
}

/// Returns whether the client is known to use its default context, which has docker's usual address.
pub fn uses_default_context(host: &Host) -> bool {
    let is_default = |settings: Value| match &settings["currentContext"] {
        Value::Null => settings.is_null() || settings.is_object(),
        context => context == "default" || context == "",
    };
    ["DOCKER_HOST", "DOCKER_CONTEXT"].iter().all(|name| host.path_variable(name).is_none())
        && read(host).is_some_and(is_default)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_default_context_is_known_only_from_settings_that_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let with = |more: &[(&str, &str)]| {
            Host::sample(&[&[("DOCKER_CONFIG", dir.path().to_str().unwrap())], more].concat())
        };
        assert!(uses_default_context(&with(&[])), "there is no file");
        for (text, expected) in [
            ("{}", true),
            (r#"{"currentContext": "default", "auths": {}}"#, true),
            (r#"{"currentContext": ""}"#, true),
            (r#"{"currentContext": "colima"}"#, false),
            (r#"{"currentContext": 1}"#, false),
            ("[]", false),
            ("{", false),
        ] {
            fs::write(dir.path().join("config.json"), text).unwrap();
            assert_eq!(uses_default_context(&with(&[])), expected, "{text}");
        }
        fs::write(dir.path().join("config.json"), "{}").unwrap();
        assert!(!uses_default_context(&with(&[("DOCKER_CONTEXT", "build")])));
        assert!(!uses_default_context(&with(&[("DOCKER_HOST", "ssh://build")])));
    }
}
