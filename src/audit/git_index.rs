//! Git's index: what it hides from `git status` and `git diff`.
//!
//! The format: <https://git-scm.com/docs/index-format>.

/// The largest index that is read, in bytes: one of a million files is smaller.
pub const MAX_SIZE: u64 = 128 * 1024 * 1024;

/// The bytes of an entry before its object name: times, device, inode, mode, owner and size.
const STATUS: usize = 40;

/// The size of an object name: SHA-1 or SHA-256.
const OBJECT_NAMES: [usize; 2] = [20, 32];

const ASSUME_UNCHANGED: u16 = 1 << 15;
const EXTENDED: u16 = 1 << 14;
const NAME_LENGTH: u16 = 0xfff;
/// In the second 16 flags of an entry.
const SKIP_WORKTREE: u16 = 1 << 14;

/// Extensions in which git keeps what it found out about the working tree. They may be wrong.
const EXTENSIONS: [(&[u8; 4], &str); 2] = [
    (b"UNTR", "an untracked cache, by which git status may not list new files"),
    (b"FSMN", "answers of a file system monitor"),
];

/// The kind of a thing that hides changes, and the paths of files that it hides, if it names any.
type Hidden = (&'static str, Vec<Vec<u8>>);

/// Returns what hides changes; `None` if this is not an index.
pub fn hidden(index: &[u8]) -> Option<Vec<Hidden>> {
    if index.is_empty() {
        return Some(Vec::new());
    }
    OBJECT_NAMES.into_iter().find_map(|size| read(index, size))
}

fn read(index: &[u8], object_name: usize) -> Option<Vec<Hidden>> {
    let mut rest = index.strip_prefix(b"DIRC")?;
    let (version, count) = (u32::from_be_bytes(take(&mut rest)?), u32::from_be_bytes(take(&mut rest)?));
    let (mut unchanged, mut skipped) = (Vec::new(), Vec::new());
    let mut path = Vec::new();
    for _ in 0..count {
        let start = rest.len();
        rest = rest.get(STATUS + object_name..)?;
        let flags = u16::from_be_bytes(take(&mut rest)?);
        let more = if flags & EXTENDED == 0 { 0 } else { u16::from_be_bytes(take(&mut rest)?) };
        match version {
            2 | 3 => path.clear(),
            // A path is written as the number of bytes to remove from the end of the one before, and what follows.
            4 => path.truncate(path.len().checked_sub(number(&mut rest)?)?),
            _ => return None,
        }
        let end = rest.iter().position(|c| *c == 0)?;
        path.extend_from_slice(&rest[..end]);
        // It tells whether the size of an object name was the right one. Entries of a split index have no path.
        if usize::from(flags & NAME_LENGTH) != path.len().min(NAME_LENGTH.into()) {
            return None;
        }
        let read = start - rest.len() + end;
        // Up to version 3, one to eight NUL bytes make the length of an entry a multiple of eight.
        let padding = if version == 4 { 1 } else { 8 - read % 8 };
        rest = rest.get(end + padding..)?;
        if flags & ASSUME_UNCHANGED != 0 {
            unchanged.push(path.clone());
        }
        if more & SKIP_WORKTREE != 0 {
            skipped.push(path.clone());
        }
    }
    let all = [("marked assume-unchanged", unchanged), ("marked skip-worktree", skipped)];
    let marked = all.into_iter().filter(|(_, files)| !files.is_empty());
    Some(marked.chain(extensions(rest, object_name)?).collect())
}

/// Returns the extensions by which git may pass over a file. They are between the entries and a hash.
fn extensions(mut rest: &[u8], object_name: usize) -> Option<Vec<Hidden>> {
    let mut found = Vec::new();
    while rest.len() > object_name {
        let name: [u8; 4] = take(&mut rest)?;
        let size = u32::from_be_bytes(take(&mut rest)?);
        rest = rest.get(usize::try_from(size).ok()?..)?;
        found.extend(
            EXTENSIONS.iter().find(|(known, _)| **known == name).map(|(_, what)| (*what, Vec::new())),
        );
    }
    (rest.len() == object_name).then_some(found)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// Reads a number of variable size, as offsets in packs have it.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let [byte] = take(rest)?;
        value = value.checked_shl(7)? | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
        value = value.checked_add(1).filter(|value| *value < usize::MAX >> 8)?;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "git makes the indexes that these tests look at")]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let ran =
            Command::new("git").current_dir(dir).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    #[test]
    fn extensions_and_a_split_index_hide_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| git(dir.path(), args);
        let found = |file: &str| hidden(&fs::read(dir.path().join(file)).unwrap()).unwrap();
        git(&["init", "-q"]);
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        git(&["add", "."]);
        assert_eq!(found(".git/index"), [], "the control");
        git(&["update-index", "--split-index", "--assume-unchanged", "a"]);
        // In a split index the entry has no name, which the shared one has.
        assert_eq!(found(".git/index"), [("marked assume-unchanged", vec![b"".to_vec()])]);
        git(&["update-index", "--no-split-index", "--no-assume-unchanged", "a"]);
        git(&["update-index", "--force-untracked-cache"]);
        git(&["status"]);
        assert_eq!(found(".git/index"), [(EXTENSIONS[0].1, Vec::new())]);
        git(&["update-index", "--no-untracked-cache"]);
        git(&["-c", "core.fsmonitor=true", "update-index", "--fsmonitor"]);
        assert_eq!(found(".git/index"), [(EXTENSIONS[1].1, Vec::new())]);
    }

    /// Has git hide files, in an index of this version, and returns the index.
    fn index(version: &str, format: &str, hide: bool) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", &format!("--object-format={format}")]);
        fs::create_dir(dir.path().join("src")).unwrap();
        for n in 0..40 {
            fs::write(dir.path().join(format!("src/{}", "x".repeat(n + 1))), "").unwrap();
        }
        for file in ["src/a", "src/b", "src/long-name-that-others-share-a-part-of", "z"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        git(dir.path(), &["add", "."]);
        git(dir.path(), &["update-index", "--index-version", version]);
        if hide {
            git(dir.path(), &["update-index", "--assume-unchanged", "src/a", "z"]);
            git(dir.path(), &["update-index", "--skip-worktree", "src/b"]);
        }
        fs::read(dir.path().join(".git/index")).unwrap()
    }

    #[test]
    fn files_that_git_is_told_to_pass_over_are_found_in_every_version() {
        for version in ["2", "3", "4"] {
            for format in ["sha1", "sha256"] {
                let none = index(version, format, false);
                assert_eq!(hidden(&none), Some(Vec::new()), "{version} {format}");
                let found = hidden(&index(version, format, true)).unwrap();
                let paths = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
                assert_eq!(
                    found,
                    [
                        ("marked assume-unchanged", paths(&["src/a", "z"])),
                        ("marked skip-worktree", paths(&["src/b"]))
                    ],
                    "{version} {format}"
                );
            }
        }
    }

    #[test]
    fn an_index_that_is_cut_or_of_another_version_is_not_read() {
        let whole = index("2", "sha1", true);
        assert_eq!(hidden(b""), Some(Vec::new()));
        assert_eq!(hidden(b"DIRC"), None);
        assert_eq!(hidden(&whole[..whole.len() / 2]), None);
        let mut other = whole.clone();
        other[7] = 5;
        assert_eq!(hidden(&other), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(version in 0_u8..6, rest in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes: Vec<u8> = b"DIRC\0\0\0".iter().copied().chain([version]).chain(rest).collect();
            hidden(&bytes);
        }
    }
}
