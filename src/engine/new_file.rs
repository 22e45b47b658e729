//! Files that cage puts into a container between its creation and its first start.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tar::{Builder, EntryType, Header};

use crate::base::text::quote;
use crate::engine::command::{Input, Invocation};
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;

/// A regular file to put into a container. It replaces a file or link at its path; missing directories are created as root's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The absolute path in the container.
    pub path: String,
    /// The permissions, such as `0o644`.
    pub mode: u32,
    /// The owner, as seen in the container.
    pub owner: Ids,
    /// The bytes of the file.
    pub content: Vec<u8>,
}

impl NewFile {
    /// Returns a file of root's that all users can read.
    pub fn readable(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), mode: 0o644, owner: Ids::ROOT, content: content.into() }
    }
}

impl Runtime {
    /// Returns the command that puts all these files into a container that has not started yet; `None` if there are none.
    ///
    /// # Errors
    /// When a path doesn't fit into an archive.
    pub fn place(&self, container: &str, files: &[NewFile]) -> io::Result<Option<Invocation>> {
        if files.is_empty() {
            return Ok(None);
        }
        let data = archive(files)?;
        let source = format!("printf %s {} | base64 -d", quote(&BASE64_STANDARD.encode(&data)));
        let to = format!("{container}:/");
        let args = ["cp"].into_iter().chain(self.kind.cp_flags().iter().copied()).chain(["-", &to]);
        Ok(Some(self.command(args).stdin(Some(Input { data, source }))))
    }
}

/// Returns a tar archive of the files.
fn archive(files: &[NewFile]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for file in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(file.mode);
        header.set_uid(file.owner.uid.into());
        header.set_gid(file.owner.gid.into());
        header.set_size(file.content.len() as u64);
        let path = file.path.trim_start_matches('/');
        archive.append_data(&mut header, path, file.content.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::engine::dialect::Dialect;

    #[test]
    fn an_archive_has_the_files_with_their_owners() {
        let long = format!("/srv/{}/.git", "directory/".repeat(30));
        let mut placeholder = NewFile::readable(&long, "");
        placeholder.mode = 0o600;
        placeholder.owner = Ids { uid: 70000, gid: 4_000_000 };
        let bytes = archive(&[NewFile::readable("/etc/passwd", "root:x:0:0\n"), placeholder]).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let files: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                let header = entry.header();
                let ids = (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap());
                (format!("/{}", entry.path().unwrap().display()), ids, content)
            })
            .collect();
        assert_eq!(files[0], ("/etc/passwd".to_owned(), (0, 0, 0o644), "root:x:0:0\n".to_owned()));
        assert_eq!(files[1], (long, (70000, 4_000_000, 0o600), String::new()));
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn without_files_nothing_is_copied() {
        let runtime = Runtime::sample(Dialect::Podman);
        assert!(runtime.place("x", &[]).unwrap().is_none());
        let place = runtime.place("x", &[NewFile::readable("/etc/a", "it's")]).unwrap().unwrap();
        let line = place.to_string();
        assert!(line.starts_with("printf %s ") && line.ends_with(" | base64 -d | podman cp -a=false - x:/"));
        assert!(runtime.place("x", &[NewFile::readable("/a/../b", "")]).is_err());
    }
}
