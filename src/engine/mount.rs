//! Mounts: `-v SOURCE:TARGET[:ro]`, rendered as the engines' `--mount`.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use crate::base::error::Failure;
use crate::base::name::{is_engine_name, is_mountable};
use crate::base::{file, text};
use crate::engine::args::{Content, Place};

/// A mount of a container. It is always passed as `--mount`: `-v` can't express a path with a colon, and creates a directory, owned
/// by root, for a missing source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Whether the source is a file or directory of the host, not a volume.
    is_path: bool,
    /// Empty for a new volume without a name, which the engine removes with the container.
    source: String,
    /// Empty until [`Mount::resolve`] for a source that is mounted at its own path.
    target: String,
    readonly: bool,
}

const UNREADABLE: &str = "engines can't read a path with \\r\\n in it";

const EXPECTED: &str =
    "expected SOURCE:TARGET[:ro], such as ./data:/data, or PATH[::ro] for the same path in the cage";

/// Why the engines' option to relabel is refused.
const RELABEL: &str = "would relabel your files for SELinux, for good; cage turns that confinement off for the container instead, \
                       so leave it out";

impl Mount {
    /// Returns a writable mount of a file or directory of the host.
    pub fn path(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self { is_path: true, source: source.into(), target: target.into(), readonly: false }
    }

    /// Returns a writable mount of a volume.
    pub fn volume(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { is_path: false, source: name.into(), target: target.into(), readonly: false }
    }

    /// Makes the mount read-only.
    #[must_use]
    pub fn readonly(mut self) -> Self {
        self.readonly = true;
        self
    }

    /// Returns the source if it is a file or directory of the host.
    pub fn source_path(&self) -> Option<&str> {
        self.is_path.then_some(&self.source)
    }

    /// Returns whether the mount is read-only.
    pub fn is_readonly(&self) -> bool {
        self.readonly
    }

    /// Returns the path in the container.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the place of the mount.
    pub fn place(&self) -> Place {
        let source = self.source.clone();
        let content = if self.is_path { Content::Path(source) } else { Content::Volume(source) };
        Place { target: self.target.clone(), content, readonly: self.readonly }
    }

    /// Checks that the source, if it is a file or directory of the host, still exists, and that its path has no symbolic links.
    ///
    /// # Errors
    /// When it no longer exists (rootless podman's own message does not name it), or its path now contains a symbolic link, which
    /// code in another cage may have created and an engine would follow.
    pub fn check_source(&self) -> Result<()> {
        let Some(source) = self.source_path() else { return Ok(()) };
        let (problem, hint) = match fs::canonicalize(source) {
            Ok(path) if path == Path::new(source) => return Ok(()),
            Ok(path) => (
                format!(" now leads to {}", text::name(&path.to_string_lossy())),
                "if that is what you want, say so: `cage restart --fresh -v …`",
            ),
            Err(error) => (
                format!(": {error}"),
                "create it, or do without: `cage restart --fresh` forgets the options the cage was made with",
            ),
        };
        bail!(Failure::new(format!("volume source {}{problem}", text::escape(source))).hint(hint))
    }

    /// Turns a mount that has only a target into a mount of the same path of the host.
    #[must_use]
    pub fn at_its_own_path(self) -> Self {
        if self.source.is_empty() {
            Self { readonly: self.readonly, ..Self::path(self.target, "") }
        } else {
            self
        }
    }

    /// Resolves the source against the directory `base`, the project, and symbolic links in its path. A path alone stands for
    /// itself in the cage if it exists on the host, outside of the project; otherwise it is a new volume, as for the engines.
    ///
    /// # Errors
    /// When a source on the host doesn't exist.
    pub fn resolve(mut self, base: &Path) -> Result<Self> {
        let alone = Path::new(&self.target);
        if alone.exists() && !alone.starts_with(base) {
            self = self.at_its_own_path();
        }
        let Some(source) = self.source_path() else { return Ok(self) };
        let failure =
            |problem: &str| Failure::new(format!("volume source {}: {problem}", text::escape(source)));
        let found = match fs::canonicalize(base.join(source)) {
            Ok(found) => found,
            Err(error) => {
                bail!(failure(&error.to_string()).hint("create it first: cage makes nothing on the host"))
            }
        };
        let found = found.into_os_string().into_string();
        let Ok(found) = found else { bail!(failure("its path is not valid UTF-8")) };
        ensure!(is_mountable(&found), failure(UNREADABLE));
        let target = if self.target.is_empty() {
            let path = file::lexical(&base.join(source)).to_string_lossy().into_owned();
            check_target(path.trim_start_matches('/')).map_err(|why| failure(&why))?;
            path
        } else {
            self.target
        };
        Ok(Self { source: found, target, ..self })
    }

    /// Returns the value of `--mount`: comma-separated fields, quoted for the engines' CSV readers.
    pub fn to_flag(&self) -> String {
        let mut fields = vec![if self.is_path { "type=bind".to_owned() } else { "type=volume".to_owned() }];
        if !self.source.is_empty() {
            fields.push(format!("source={}", self.source));
        }
        fields.push(format!("target={}", self.target));
        if self.readonly {
            // podman 4 accepts the long word only for files and directories of the host.
            let word = if self.is_path { "readonly" } else { "ro" };
            fields.push(word.to_owned());
        }
        fields.iter().map(|field| csv_field(field)).collect::<Vec<_>>().join(",")
    }

    /// Returns the same mount as a value of `-v`.
    pub fn to_volume_option(&self) -> String {
        let end = if self.readonly { ":ro" } else { "" };
        if self.source.is_empty() {
            self.target.clone()
        } else if self.target.is_empty() {
            format!("{}{}", self.source, if self.readonly { "::ro" } else { "" })
        } else {
            format!("{}:{}{end}", self.source, self.target)
        }
    }
}

impl FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map_err(|why| format!("{why}; {EXPECTED}"))
    }
}

fn parse(text: &str) -> Result<Mount, String> {
    // A path alone, which is relative or has an option.
    let (path, readonly) = text.strip_suffix("::ro").map_or((text, false), |path| (path, true));
    let is_alone = !path.contains(':') && (readonly || !path.starts_with('/'));
    if is_alone && is_path(path) && !path.trim_matches('/').is_empty() && is_mountable(path) {
        return Ok(Mount { readonly, ..Mount::path(path, "") });
    }
    // The target is the last part that is a path, so a source may have colons in its name.
    let (rest, options) = match text.rsplit_once(':') {
        Some((rest, options)) if !options.starts_with('/') && rest.contains(":/") => (rest, options),
        _ => (text, ""),
    };
    let mut readonly = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => readonly = true,
            // The last three are hints for old Docker Desktops, which newer ones ignore too.
            "rw" | "cached" | "delegated" | "consistent" => {}
            "z" | "Z" => return Err(format!("`:{option}` {RELABEL}")),
            _ => return Err(format!("unknown option `{option}`")),
        }
    }
    let Some((source, target)) = rest.rsplit_once(":/") else {
        return match rest {
            "" | "/" => Err("no target".into()),
            target if target.starts_with('/') && !target.contains(':') => {
                Ok(Mount { readonly, ..Mount::volume("", target) })
            }
            _ => Err("the target is not an absolute path".into()),
        };
    };
    let target = target.trim_end_matches('/');
    check_target(target)?;
    if source.is_empty() {
        return Err("no source".into());
    }
    let is_path = is_path(source);
    if !is_path && !is_engine_name(source) {
        return Err(format!("`{source}` is neither a path (start it with `/` or `./`) nor a volume's name"));
    }
    if !is_mountable(source) || !is_mountable(target) {
        return Err(UNREADABLE.into());
    }
    Ok(Mount { is_path, source: source.into(), target: format!("/{target}"), readonly })
}

/// Returns whether a source is a path, not the name of a volume.
fn is_path(source: &str) -> bool {
    matches!(source.split('/').next(), Some("" | "." | ".."))
}

/// Checks a target, without the slash that it begins with.
fn check_target(target: &str) -> Result<(), String> {
    if target.is_empty() {
        return Err("the target can't be `/`".into());
    }
    if target.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the target has `.`, `..` or an empty part".into());
    }
    // The users of the cage are written there.
    if matches!(target, "etc" | "etc/passwd" | "etc/group") {
        return Err(format!("the target can't be `/{target}`"));
    }
    Ok(())
}

fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flag(text: &str) -> String {
        text.parse::<Mount>().unwrap().to_flag()
    }

    #[test]
    fn paths_volumes_and_anonymous_volumes() {
        assert_eq!(flag("/data:/data"), "type=bind,source=/data,target=/data");
        assert_eq!(flag("./a b:/c:ro"), "type=bind,source=./a b,target=/c,readonly");
        assert_eq!(flag("..:/up:rw,cached"), "type=bind,source=..,target=/up");
        assert_eq!(flag("pg:/var/lib/pg"), "type=volume,source=pg,target=/var/lib/pg");
        assert_eq!(flag("pg:/var/lib/pg:ro"), "type=volume,source=pg,target=/var/lib/pg,ro");
        assert_eq!(flag("/cache"), "type=volume,target=/cache");
    }

    #[test]
    fn a_source_may_have_any_character() {
        assert_eq!(flag("/x/a:b:/t"), "type=bind,source=/x/a:b,target=/t");
        assert_eq!(flag("/x/c,\"d\":/t"), "type=bind,\"source=/x/c,\"\"d\"\"\",target=/t");
        assert_eq!(flag("/x/a\nb:/t:ro"), "type=bind,\"source=/x/a\nb\",target=/t,readonly");
    }

    #[test]
    fn what_is_rendered_as_an_option_reads_back_the_same() {
        for text in
            ["/data:/data", "/x/a:b:/t:ro", "pg:/var/lib/pg", "/cache", "./data", "../data::ro", "/data::ro"]
        {
            let mount: Mount = text.parse().unwrap();
            assert_eq!(mount.to_volume_option(), text);
            assert_eq!(mount.to_volume_option().parse::<Mount>().unwrap(), mount);
        }
    }

    #[test]
    fn a_malformed_one_says_what_is_wrong() {
        let why = |text: &str| text.parse::<Mount>().unwrap_err().split(';').next().unwrap().to_owned();
        assert_eq!(why(""), "no target");
        assert_eq!(why("/"), "no target");
        assert_eq!(why("data"), "the target is not an absolute path");
        assert_eq!(why("/a:b"), "the target is not an absolute path");
        assert_eq!(why(":/b"), "no source");
        assert_eq!(why("/a:/"), "the target can't be `/`");
        assert_eq!(why("/a:/etc"), "the target can't be `/etc`");
        assert_eq!(why("/a:/x/../etc"), "the target has `.`, `..` or an empty part");
        assert_eq!(why("/a://etc"), "the target has `.`, `..` or an empty part");
        assert_eq!(why("/a:/b:rx"), "unknown option `rx`");
        assert!(why("/a:/b:z").starts_with("`:z` would relabel your files for SELinux"));
        assert!(why("vol:/b:ro,Z").starts_with("`:Z` would relabel"));
        assert_eq!(why("::ro"), "the target is not an absolute path");
        assert_eq!(why("~/a:/b"), "`~/a` is neither a path (start it with `/` or `./`) nor a volume's name");
    }

    #[test]
    fn a_path_alone_has_the_same_path_in_the_cage() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [project, data] = ["project", "data"].map(|name| root.join(name));
        for dir in [&project.join("node_modules"), &data] {
            fs::create_dir_all(dir).unwrap();
        }
        std::os::unix::fs::symlink(&data, root.join("link")).unwrap();
        let resolved = |text: &str| {
            let mount = text.parse::<Mount>().unwrap().resolve(&project)?;
            anyhow::Ok(mount.to_volume_option().replace(root.to_str().unwrap(), ""))
        };
        let typed = |path: &str, end: &str| format!("{}{path}{end}", root.display());
        for (text, mount) in [
            (typed("/data", ""), "/data:/data"),
            (typed("/data/", ""), "/data:/data"),
            (typed("/data", "::ro"), "/data:/data:ro"),
            // The path as it was typed, and the file that it leads to.
            (typed("/link", ""), "/data:/link"),
            ("../data".into(), "/data:/data"),
            ("./node_modules/../../data::ro".into(), "/data:/data:ro"),
            // The engines' new volume, if there is no such path, or the cage has it already.
            (typed("/gone", ""), "/gone"),
            (typed("/project/node_modules", ""), "/project/node_modules"),
        ] {
            assert_eq!(resolved(&text).unwrap(), mount, "{text}");
        }
        assert!(resolved("/gone::ro").is_err() && resolved("./gone").is_err());
        let refused = "/etc::ro".parse::<Mount>().unwrap().resolve(&project).unwrap_err();
        assert_eq!(refused.to_string(), "volume source /etc: the target can't be `/etc`");
    }

    #[test]
    fn a_missing_source_is_named() {
        let mount: Mount = "./nope:/x".parse().unwrap();
        let error = mount.resolve(Path::new("/tmp")).unwrap_err().to_string();
        assert_eq!(error, "volume source ./nope: No such file or directory (os error 2)");
    }

    /// Reads a line as Go's `encoding/csv` does, with which both engines read `--mount`.
    fn csv(line: &str) -> Vec<String> {
        let line = line.replace("\r\n", "\n");
        let mut fields = vec![String::new()];
        let (mut quoted, mut chars) = (false, line.chars().peekable());
        while let Some(c) = chars.next() {
            let field = fields.last_mut().unwrap();
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
                '"' if quoted || field.is_empty() => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                c => field.push(c),
            }
        }
        assert!(!quoted, "{line:?}");
        fields
    }

    proptest! {
        #[test]
        fn an_engine_reads_back_what_was_rendered(source in "/[^\0]{0,40}", target in "/[a-z ,\"=:\r\n\\\\'é]{1,40}") {
            let mount = Mount::path(&source, &target);
            let expected = ["type=bind".to_owned(), format!("source={source}"), format!("target={target}")];
            if is_mountable(&source) && is_mountable(&target) {
                prop_assert_eq!(csv(&mount.to_flag()), expected);
            } else {
                prop_assert_ne!(csv(&mount.to_flag()), expected);
            }
        }

        #[test]
        fn nothing_that_is_typed_makes_it_panic(text in any::<String>()) {
            if let Ok(mount) = text.parse::<Mount>() {
                prop_assert_eq!(mount.to_volume_option().parse::<Mount>(), Ok(mount));
            }
        }
    }
}
