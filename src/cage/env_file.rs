//! Variables for a cage from env files: `~/.config/cage/env`, then the project's `.cage.env`; later ones win.
//!
//! cage reads the files itself, so that all engines give the same result and the project's file can only set variables in the
//! cage. An engine would replace a `KEY` without a value with the host's own value, and podman expands even `*`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::base::error::Failure;
use crate::base::file::read_small;
use crate::base::text;
use crate::base::text::quote;
use crate::cage::defaults;
use crate::cage::variable::{BYTE_ORDER_MARK, LINE_BREAKS, Variable, is_name};
use crate::engine::command::Input;
use crate::host::machine::Host;
use crate::host::project::Project;

/// The name of a project's env file.
const PROJECT_FILE: &str = ".cage.env";

/// The variables of all env files.
#[derive(Debug, Clone, Default)]
pub struct EnvFiles {
    variables: BTreeMap<String, String>,
    files: Vec<PathBuf>,
    notes: Vec<String>,
}

impl EnvFiles {
    /// Reads and checks the env files that exist.
    ///
    /// # Errors
    /// When a file can't be read or has a line that isn't `KEY=VALUE`. The error names the file and the line, never a value.
    pub fn read(host: &Host, project: &Project) -> Result<Self> {
        let mut all = Self::default();
        if let Some(dir) = host.config_dir() {
            all.add(dir.join("env"), Some(host))?;
        }
        all.add(project.dir().join(PROJECT_FILE), None)?;
        Ok(all)
    }

    /// Returns the number of variables.
    pub fn count(&self) -> usize {
        self.variables.len()
    }

    /// Returns the warnings about lines that other programs read in another way.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the value of a variable, if it is set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.variables.get(key).map(String::as_str)
    }

    /// Returns a digest of the variables, which tells whether they have changed. It is too short to guess a value from.
    pub fn digest(&self) -> String {
        let text = self.text();
        hex::encode(&Sha256::digest(text)[..2])
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.variables {
            text.extend([key, "=", value, "\n"]);
        }
        text
    }

    /// Returns the variables and `more`, which override them, as one env file; `None` if there are none.
    pub fn to_input<'a>(&self, more: impl IntoIterator<Item = &'a Variable>) -> Option<Input> {
        let more: Vec<&Variable> = more.into_iter().collect();
        let mut all = self.clone();
        for variable in &more {
            all.variables.insert(variable.name.clone(), variable.value.clone().unwrap_or_default());
        }
        if all.variables.is_empty() {
            return None;
        }
        // `awk 1` is a `cat` that ends every file with a line break.
        let files = self.files.iter().map(|file| quote(&file.to_string_lossy()));
        let mut source: Vec<String> = files.map(|file| format!("awk 1 {file}")).collect();
        source.extend(more.iter().map(|Variable { name, .. }| {
            // The script reads the value from the environment, because it may be secret.
            let get = format!("$(printenv {} || echo 'set {} first' >&2)", quote(name), quote(name));
            format!("printf '%s=%s\\n' {} \"{get}\"", quote(name))
        }));
        let source =
            if source.len() == 1 { source.concat() } else { format!("{{ {}; }}", source.join("; ")) };
        Some(Input { data: all.text().into_bytes(), source })
    }

    /// Adds the variables of a file. A name without a value stands for the variable of `host`; a file without a host has values
    /// only.
    fn add(&mut self, file: PathBuf, host: Option<&Host>) -> Result<()> {
        // The user's own file may be a link, as dotfile managers make it.
        let flags = if host.is_some() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let Some(text) = read_small("env file", &file, flags)? else { return Ok(()) };
        let mut lines = text.trim_start_matches(BYTE_ORDER_MARK).lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let place = format!("{}, line {}", text::escape(&file.to_string_lossy()), number + 1);
            let failure = |why: &str| Failure::new(format!("{place}: {why}"));
            // Engines drop carriage returns at the end of each line that they read.
            let line = line.trim_end_matches('\r');
            let Some((key, value)) = parse_line(line).map_err(failure)? else { continue };
            let value = match (value, host) {
                (Some(value), _) => {
                    let next = lines.peek().map(|(_, next)| *next);
                    let why = format!("the value of {} continues on the next line", text::name(key));
                    ensure!(!continues(value, next), failure(&why).hint(LINE_BREAKS));
                    let notes = notes(key, value).map(|note| format!("{place}: {note}"));
                    self.notes.extend(notes);
                    value
                }
                (None, None) => bail!(
                    failure("a name without a value")
                        .hint("write KEY=VALUE; values of the host pass only through ~/.config/cage/env")
                ),
                (None, Some(host)) => {
                    let Some(value) = host.any_variable(key) else { continue };
                    let why = format!("the value of {} has line breaks", text::name(key));
                    ensure!(!value.contains(['\n', '\0']), failure(&why).hint(LINE_BREAKS));
                    value
                }
            };
            self.variables.insert(key.to_owned(), value.to_owned());
        }
        self.files.push(file);
        Ok(())
    }
}

/// Returns what another program than docker would read otherwise in a line. The value may be secret, and is not part of it.
fn notes(key: &str, value: &str) -> impl Iterator<Item = String> {
    let shown = text::name(key);
    let value = value.trim();
    let is_quoted = value.starts_with(['"', '\'']);
    let quotes = is_quoted.then(|| format!("the quotes are a part of the value of {shown}: leave them out"));
    let value = value.trim_start_matches(['"', '\'']);
    let (user, _) = value.strip_prefix('~').and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let is_user = user.starts_with(|c: char| c.is_ascii_lowercase()) && !user.contains(' ');
    let is_path = is_user
        || ["~", "$HOME", "${HOME}"].iter().any(|home| {
            value.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '"', '\'']))
        });
    let home = is_path
        .then(|| format!("`~` and `$HOME` in the value of {shown} are not replaced: write the whole path"));
    let has_comment = value.starts_with("# ") || value.contains(" #") || value.contains("\t#");
    let comment = has_comment.then(|| format!("` #` and the text after it are a part of the value of {shown}: write the comment on a line of its own"));
    let setting = defaults::settings().find(|setting| *setting == key);
    let setting = setting.map(|_| {
        format!(
            "{shown} sets a variable inside; cage itself takes it only from its environment, or by the option"
        )
    });
    [quotes, home, comment, setting].into_iter().flatten()
}

/// Returns whether a value was meant to continue on the `next` line: a quote or a key in PEM format isn't closed, or a backslash is
/// at the end.
fn continues(value: &str, next: Option<&str>) -> bool {
    let value = value.trim();
    let is_open = |quote: char| value.strip_prefix(quote).is_some_and(|rest| !rest.contains(quote));
    let is_new = |line: &str| {
        let line = line.trim();
        let name = line.split_once('=').map(|(name, _)| name);
        let is_usual = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        line.is_empty() || line.starts_with('#') || name.is_some_and(is_usual)
    };
    let is_continued = is_open('"') || is_open('\'') || value.ends_with('\\');
    value.contains("-----BEGIN ") && !value.contains("-----END ")
        || is_continued && next.is_some_and(|next| !is_new(next))
}

/// Parses a line as docker does: without quotes or `export`, and with everything after the first `=` as the value. Returns the
/// name and the value, if the line has one; `None` for an empty line or a comment.
fn parse_line(line: &str) -> Result<Option<(&str, Option<&str>)>, &'static str> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (line.trim_end(), None),
    };
    if key.is_empty() {
        return Err("no name before `=`");
    }
    if !is_name(key) {
        return Err("white space, `*` or a control character in a name");
    }
    if value.is_some_and(|value| value.contains('\0')) {
        return Err("a NUL byte in a value");
    }
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        host: Host,
    }

    impl Files {
        fn new(global: &str, project: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("home/.config/cage")).unwrap();
            fs::create_dir_all(dir.path().join("app")).unwrap();
            fs::write(dir.path().join("home/.config/cage/env"), global).unwrap();
            fs::write(dir.path().join("app/.cage.env"), project).unwrap();
            let mut host = Host::sample(&[("FROM_HOST", "host value")]);
            host.home = Some(dir.path().join("home"));
            Self { dir, host }
        }

        fn project_file(&self) -> PathBuf {
            self.dir.path().join("app/.cage.env")
        }

        fn read(&self) -> Result<EnvFiles> {
            let project = Project::locate(&self.host, Some(&self.dir.path().join("app"))).unwrap();
            EnvFiles::read(&self.host, &project)
        }

        fn text(&self) -> String {
            self.read()
                .unwrap()
                .to_input(&[])
                .map(|stdin| String::from_utf8(stdin.data).unwrap())
                .unwrap_or_default()
        }

        fn error(&self) -> String {
            self.read().unwrap_err().to_string().replace(&self.dir.path().display().to_string(), "")
        }
    }

    #[test]
    fn the_project_wins_and_values_are_taken_as_they_are() {
        let files = Files::new(
            "\u{feff}A=1\r\nB=global\n\n  # comment\nFROM_HOST\nUNSET\n",
            "B=project\nC=\nD='q' # not a comment = \"x\"\n  E=indented \n",
        );
        assert_eq!(
            files.text(),
            "A=1\nB=project\nC=\nD='q' # not a comment = \"x\"\nE=indented \nFROM_HOST=host value\n"
        );
    }

    #[test]
    fn without_files_there_is_nothing() {
        let files = Files::new("", "# nothing\n");
        assert!(files.read().unwrap().to_input(&[]).is_none());
        fs::remove_file(files.project_file()).unwrap();
        assert!(files.read().unwrap().to_input(&[]).is_none());
    }

    #[test]
    fn the_projects_file_takes_nothing_from_the_host() {
        let leak = Files::new("FROM_HOST\n", "");
        assert!(leak.text().contains("host value"), "the control: the user's own file does pass it on");
        for line in ["FROM_HOST", "FROM*", "*", " FROM_HOST "] {
            let error = Files::new("", &format!("A=secret\n{line}\n")).error();
            assert!(error.starts_with("/app/.cage.env, line 2: "), "{error}");
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn the_projects_file_must_be_a_small_regular_file() {
        let files = Files::new("", "");
        let path = files.project_file();
        fs::remove_file(&path).unwrap();
        symlink(files.dir.path().join("home/.config/cage/env"), &path).unwrap();
        assert_eq!(files.error(), "env file /app/.cage.env: it is a symbolic link");
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        assert_eq!(files.error(), "env file /app/.cage.env: it is not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(files.error(), "env file /app/.cage.env: it is not a regular file");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, vec![b'#'; 65 * 1024]).unwrap();
        assert_eq!(files.error(), "env file /app/.cage.env: it is larger than 64 KiB");
        fs::write(&path, b"A=\xff").unwrap();
        assert_eq!(files.error(), "env file /app/.cage.env: it is not valid UTF-8");
    }

    #[test]
    fn a_malformed_line_is_named_without_its_value() {
        for (line, why) in [
            ("=secret", "no name before `=`"),
            ("A\u{feff}=secret", "white space, `*` or a control character in a name"),
            ("export A=secret", "white space, `*` or a control character in a name"),
            ("A=\0secret", "a NUL byte in a value"),
        ] {
            assert_eq!(Files::new("", line).error(), format!("/app/.cage.env, line 1: {why}"));
        }
    }

    #[test]
    fn what_other_programs_read_otherwise_is_noted_without_the_value() {
        let notes = |line: &str| Files::new("", &format!("A=1\n{line}\n")).read().unwrap().notes;
        for (line, part) in [
            ("B=\"secret\"", "the quotes are a part of the value of B"),
            ("B='secret' ", "the quotes are a part of the value of B"),
            ("B=\"secret", "the quotes are a part of the value of B"),
            ("B=~/secret", "`~` and `$HOME` in the value of B are not replaced"),
            ("B=~me/secret", "`~` and `$HOME` in the value of B are not replaced"),
            ("B=$HOME/secret", "`~` and `$HOME` in the value of B are not replaced"),
            ("B=secret # mine", "` #` and the text after it are a part of the value of B"),
            ("B=\t# secret", "` #` and the text after it are a part of the value of B"),
            ("CAGE_IMAGE=secret", "CAGE_IMAGE sets a variable inside"),
        ] {
            let told = notes(line);
            assert_eq!(told.len(), 1, "{line}: {told:?}");
            let has_place = told[0].contains("/app/.cage.env, line 2: ");
            assert!(has_place && told[0].contains(part) && !told[0].contains("secret"), "{told:?}");
        }
        assert_eq!(notes("B='~/secret' # mine").len(), 3);
        let plain = [
            "B=",
            "B=it's",
            "B=a#b",
            "B=#fff",
            "B=a~/b",
            "B=~1.2/3",
            "B=~a b/c",
            "B={\"a\": \"b\"}",
            "B=a=\"b\"",
            "B=$HOMER?",
            "CAGE_X=1",
        ];
        for line in plain {
            assert_eq!(notes(line), [] as [String; 0], "{line}");
        }
    }

    #[test]
    fn a_value_that_continues_is_refused_with_ways_round() {
        for lines in [
            "B=\"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\"",
            "B=-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0=\n",
            "B='{\n  \"secret\": 1\n}'",
            "B=secret \\\n  more",
        ] {
            for files in [Files::new("", lines), Files::new(lines, "")] {
                let error = files.read().unwrap_err();
                let told = error.to_string();
                assert!(told.ends_with("line 1: the value of B continues on the next line"), "{told}");
                let hint = error.downcast_ref::<Failure>().and_then(Failure::advice).unwrap();
                assert!(hint.contains("-v FILE") && hint.contains("base64"), "{hint}");
            }
        }
        for lines in ["B=\"secret\nC=1", "B='a\n# x", "B=\"a\n\nC=1", "B=\"a", "B=c:\\", "B=\"a\\nb\"\nC=1"] {
            assert_eq!(
                Files::new("", lines).read().map(drop).map_err(|error| error.to_string()),
                Ok(()),
                "{lines}"
            );
        }
    }

    #[test]
    fn a_script_reads_the_files_and_never_shows_them() {
        let files = Files::new("A=secret\n", "B=secret\n");
        let source = files.read().unwrap().to_input(&[]).unwrap().source;
        let root = files.dir.path().canonicalize().unwrap();
        let home = files.dir.path().join("home/.config/cage/env");
        assert_eq!(
            source,
            format!("{{ awk 1 {}; awk 1 {}/app/.cage.env; }}", home.display(), root.display())
        );
        let typed = ["KEY=secret".parse().unwrap()];
        let stdin = EnvFiles::default().to_input(&typed).unwrap();
        assert_eq!(stdin.data, b"KEY=secret\n");
        assert_eq!(stdin.source, r#"printf '%s=%s\n' KEY "$(printenv KEY || echo 'set KEY first' >&2)""#);
    }

    #[test]
    fn a_digest_tells_a_change() {
        let digest = |text: &str| Files::new(text, "").read().unwrap().digest();
        assert_eq!(digest("A=1\n# x\n"), digest("A=1"));
        assert_ne!(digest("A=1"), digest("A=2"));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused_and_what_is_passed_on_reads_back_the_same(
            bytes in prop_oneof![
                any::<Vec<u8>>(),
                "([A-Z*# =\r\n\t\u{feff}'\"\u{1b}é]{0,60}\n){0,10}".prop_map(String::into_bytes),
            ]
        ) {
            let dir = tempfile::tempdir().unwrap();
            let read = |bytes: &[u8]| {
                let file = dir.path().join("env");
                fs::write(&file, bytes).unwrap();
                let mut env = EnvFiles::default();
                env.add(file, None).map(|()| env)
            };
            if let Ok(env) = read(&bytes) {
                let again = read(env.text().as_bytes()).unwrap();
                prop_assert_eq!(again.variables, env.variables);
            }
        }
    }
}
