//! git configuration files, read as git reads them, since cage never runs git in a project.
//!
//! A file may contain anything. Settings before an error are returned, those after it are not: git itself refuses such a
//! file as a whole.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `core` of `core.editor`, in lower case.
    pub section: String,
    /// `origin` of `remote.origin.url`, as it is written. Any bytes.
    pub subsection: Option<Vec<u8>>,
    /// `editor` of `core.editor`, in lower case.
    pub name: String,
    /// The value; `None` without a `=`, which git takes for `true`.
    pub value: Option<Vec<u8>>,
}

impl Entry {
    /// Returns the whole name, for people.
    pub fn key(&self) -> String {
        match &self.subsection {
            Some(subsection) => {
                format!("{}.{}.{}", self.section, String::from_utf8_lossy(subsection), self.name)
            }
            None => format!("{}.{}", self.section, self.name),
        }
    }

    /// Returns the value as git parses booleans, or `None`.
    pub fn boolean(&self) -> Option<bool> {
        let Some(value) = &self.value else { return Some(true) };
        match value.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" | b"1" => Some(true),
            b"" | b"false" | b"no" | b"off" | b"0" => Some(false),
            _ => None,
        }
    }
}

/// Returns the settings of a file, in order.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    Entries::of(bytes).fuse()
}

/// Returns the settings of a file, or `None` if git refuses it because of an error.
pub fn all_entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = Entries::of(bytes);
    let entries = rest.by_ref().collect();
    rest.is_done.then_some(entries)
}

/// An iterator over the settings of a file up to its end or the first error.
struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The current section and subsection, with a dot between them.
    section: Vec<u8>,
    /// Whether the file was read to its end.
    is_done: bool,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            match self.take() {
                _ if self.at_end() => {
                    self.is_done = true;
                    return None;
                }
                c if is_space(c) => {}
                b'#' | b';' => self.skip_line(),
                b'[' => self.section = self.header()?,
                c if c.is_ascii_alphabetic() => return self.setting(c),
                _ => return None,
            }
        }
    }
}

fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_key(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-'
}

impl<'a> Entries<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Self { bytes, at: 0, section: Vec::new(), is_done: false }
    }

    /// Returns the next byte; a line break for CR LF and after the end of the file.
    fn take(&mut self) -> u8 {
        let c = self.bytes.get(self.at).copied();
        self.at += 1;
        if c == Some(b'\r') && self.bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
            return b'\n';
        }
        c.unwrap_or(b'\n')
    }

    fn at_end(&self) -> bool {
        self.at > self.bytes.len()
    }

    fn skip_line(&mut self) {
        while self.take() != b'\n' {}
    }

    /// Reads a section's name after the bracket.
    fn header(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        loop {
            match self.take() {
                _ if self.at_end() => return None,
                b']' => return Some(name),
                c if is_space(c) => return self.subsection(name, c),
                c if is_key(c) || c == b'.' => name.push(c.to_ascii_lowercase()),
                _ => return None,
            }
        }
    }

    /// Reads the quoted part of a section's name after a blank.
    fn subsection(&mut self, mut name: Vec<u8>, mut c: u8) -> Option<Vec<u8>> {
        while is_space(c) {
            if c == b'\n' {
                return None;
            }
            c = self.take();
        }
        if c != b'"' {
            return None;
        }
        name.push(b'.');
        loop {
            match self.take() {
                b'\n' => return None,
                b'"' => break,
                b'\\' => match self.take() {
                    b'\n' => return None,
                    c => name.push(c),
                },
                c => name.push(c),
            }
        }
        (self.take() == b']').then_some(name)
    }

    fn setting(&mut self, first: u8) -> Option<Entry> {
        let mut name = String::from(char::from(first.to_ascii_lowercase()));
        let mut c = self.take();
        while is_key(c) {
            name.push(char::from(c.to_ascii_lowercase()));
            c = self.take();
        }
        while matches!(c, b' ' | b'\t') {
            c = self.take();
        }
        let value = match c {
            b'\n' => None,
            b'=' => Some(self.value()?),
            _ => return None,
        };
        // Like git, takes everything after the first dot for the subsection.
        let mut parts = self.section.splitn(2, |c| *c == b'.');
        let section = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        Some(Entry { section, subsection: parts.next().map(<[u8]>::to_vec), name, value })
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let mut quoted = false;
        // The length without white space at the end.
        let mut length = 0;
        loop {
            match self.take() {
                b'\n' if quoted => return None,
                b'\n' => break,
                c if is_space(c) && !quoted => {
                    if !value.is_empty() {
                        value.push(c);
                    }
                    continue;
                }
                b'#' | b';' if !quoted => {
                    self.skip_line();
                    break;
                }
                b'\\' => match self.take() {
                    b'\n' => {}
                    b't' => value.push(b'\t'),
                    b'b' => value.push(8),
                    b'n' => value.push(b'\n'),
                    c @ (b'\\' | b'"') => value.push(c),
                    _ => return None,
                },
                b'"' => {
                    quoted = !quoted;
                    // White space before a quote is not at the end.
                    length = value.len();
                    continue;
                }
                c => value.push(c),
            }
            length = value.len();
        }
        value.truncate(length);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        entries(text)
            .map(|entry| match &entry.value {
                Some(value) => format!("{}={}", entry.key(), String::from_utf8_lossy(value)),
                None => entry.key(),
            })
            .collect()
    }

    #[test]
    fn sections_and_names_are_read_as_git_reads_them() {
        let text = b"[core]\n\tEditor = vi\n[Remote \"My Origin\"] URL=x\n[a.B]\nc\n[A \"q\\\"b\\\\s\\x\"]d=1\n[a \"\"] e = 2";
        assert_eq!(
            lines(text),
            ["core.editor=vi", "remote.My Origin.url=x", "a.b.c", "a.q\"b\\sx.d=1", "a..e=2"]
        );
    }

    #[test]
    fn values_are_read_as_git_reads_them() {
        for (value, expected) in [
            ("  a  b  ", "a  b"),
            ("a # comment", "a"),
            ("a;b", "a"),
            ("\"a # b\" ; c", "a # b"),
            ("\"a  \"", "a  "),
            ("\"a\"  \"\"  ", "a  "),
            ("a\\tb\\nc\\\\d\\\"e\\b", "a\tb\nc\\d\"e\u{8}"),
            ("a\\\nb", "ab"),
            ("a \\\n  b", "a   b"),
            ("\"a\\\nb\"", "ab"),
            ("a # b \\\nc = d", "a"),
            ("", ""),
            ("a\r", "a"),
            ("a\"b\"c", "abc"),
        ] {
            let text = format!("[s]\nk = {value}\n");
            assert_eq!(lines(text.as_bytes())[0], format!("s.k={expected}"), "{value:?}");
        }
        assert_eq!(lines(b"[s]\nk\nk=1\nk = 2"), ["s.k", "s.k=1", "s.k=2"]);
    }

    #[test]
    fn byte_order_marks_and_line_ends_are_skipped() {
        assert_eq!(lines(b"\xef\xbb\xbf[s]\r\n k = v\r\n; c\r\n# c\r\nl=w"), ["s.k=v", "s.l=w"]);
        assert_eq!(lines(b"[s]k=v"), ["s.k=v"]);
        assert_eq!(lines(b"[s] [t] k = v"), ["t.k=v"]);
    }

    #[test]
    fn settings_before_an_error_are_returned() {
        for error in
            ["[s", "[s x]", "[s \"x]", "[s \"x\" ]", "1=2", "=x", "k \u{0}", "k = \"", "k = \\q", "[s\\]"]
        {
            let text = format!("[core]\neditor = vi\n{error}\n[core]\npager = less\n");
            assert_eq!(lines(text.as_bytes()), ["core.editor=vi"], "{error:?}");
            assert_eq!(all_entries(text.as_bytes()), None);
            assert_eq!(all_entries(format!("[core]\neditor = vi\n{error}").as_bytes()), None);
        }
    }

    #[test]
    fn booleans_are_read_as_git_reads_them() {
        let boolean = |text: &str| entries(text.as_bytes()).next().unwrap().boolean();
        assert_eq!(boolean("[s]k"), Some(true));
        assert_eq!(boolean("[s]k=Yes"), Some(true));
        assert_eq!(boolean("[s]k="), Some(false));
        assert_eq!(boolean("[s]k=off"), Some(false));
        assert_eq!(boolean("[s]k=./x"), None);
    }

    /// Returns what git reads, each `NAME\nVALUE` or `NAME`; `None` if it refuses the file.
    #[expect(clippy::disallowed_methods, reason = "git is what the reader is compared with")]
    fn gits(file: &std::path::Path) -> Option<Vec<Vec<u8>>> {
        let git = std::process::Command::new("git")
            .args(["config", "--list", "-z", "--no-includes", "--file"])
            .arg(file)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .output()
            .unwrap();
        let list = git.stdout.split(|c| *c == 0).filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec);
        git.status.success().then(|| list.collect())
    }

    /// Returns what cage reads, as git prints it.
    fn ours(text: &[u8]) -> Vec<Vec<u8>> {
        entries(text)
            .map(|entry| {
                let mut line = entry.section.clone().into_bytes();
                line.push(b'.');
                if let Some(subsection) = &entry.subsection {
                    line.extend(subsection);
                    line.push(b'.');
                }
                line.extend(entry.name.as_bytes());
                if let Some(value) = &entry.value {
                    line.push(b'\n');
                    line.extend(value);
                }
                line
            })
            .collect()
    }

    fn config() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "[core]",
            "[a \"b\"]",
            "[A.b]",
            "[a \"x\\\"y\"]",
            "[",
            "]",
            "k",
            "Key",
            "-",
            " ",
            "  ",
            "\t",
            "\n",
            "\n",
            "\r\n",
            "\r",
            "=",
            "=",
            " = ",
            "v",
            "value",
            "\"",
            "\"",
            "\\",
            "\\\n",
            "\\n",
            "\\\\",
            "#",
            ";",
            "1",
            ".",
            "\u{feff}",
            "é",
            "\u{b}",
            "/x",
            "!sh",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn reading_any_bytes_ends(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let count = entries(&text).count();
            prop_assert!(count <= text.len());
        }

        #[test]
        fn reading_pieces_of_configuration_ends(text in config()) {
            let count = entries(&text).count();
            prop_assert!(count <= text.len());
        }
    }

    /// Text that git mostly accepts.
    fn good_config() -> impl Strategy<Value = Vec<u8>> {
        let header = prop::sample::select(vec![
            "[core]",
            "[A-1]",
            "[a.B.c]",
            "[a \"B c\"]",
            "[a\t\"x\\\"y\\\\z\\w\"]",
            "[a \"\"]",
            "[a \"é#;]\"]",
            "  [b] ",
        ]);
        let key = prop::sample::select(vec!["k", "Key", "k-1", " \tk", "[c]k", "#k", ";[", "", "k\r"]);
        let equals = prop::sample::select(vec!["=", " = ", "\t=", "=\t ", " =\r", "", " "]);
        let piece = prop::sample::select(vec![
            "v", "a b", "  ", "\t", "\r", "\"q\"", "\" q \"", "\"#;\"", "\"\"", "\\n", "\\t", "\\b", "\\\\",
            "\\\"", "\\\n", "\"\\\n\"", "\\\r\n", "#", ";", "!sh -c", "=", "[x]", "é", "\u{b}", "\"", "\\",
        ]);
        let value = prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat());
        let end = prop::sample::select(vec!["\n", "\n", "\r\n", "\n\n"]);
        let setting = (key, equals, value, end).prop_map(|(key, equals, value, end)| {
            // Without `=` there is no value.
            let value = if equals.contains('=') { value } else { String::new() };
            [key, equals, &value, end].concat()
        });
        let line = prop_oneof![1 => header.prop_map(str::to_owned), 3 => setting];
        prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat().into_bytes())
    }

    #[test]
    fn cage_and_git_read_the_same() {
        let config_of = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
        let accepted = std::cell::Cell::new(0);
        let result = TestRunner::new(config_of).run(&good_config(), |text| {
            let text = [b"[core]\n", text.as_slice()].concat();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            prop_assert_eq!(all_entries(&text).is_some(), gits(file.path()).is_some());
            if let Some(gits) = gits(file.path()) {
                accepted.set(accepted.get() + usize::from(!gits.is_empty()));
                prop_assert_eq!(ours(&text), gits);
            }
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert!(accepted.get() > 60, "the control: git accepts {} of them", accepted.get());
    }
}
