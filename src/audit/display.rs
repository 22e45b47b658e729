//! Text of findings for people: short, and without passwords. The caller escapes it.

use std::path::Path;

use crate::base::text::{self, shorten};

/// Returns the text of the first of these bytes, and how many more there are; `None` without any.
pub fn first_of<T: AsRef<[u8]>>(all: &[T]) -> Option<String> {
    let (first, rest) = all.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(format!("{}{more}", shorten(&String::from_utf8_lossy(first.as_ref()))))
}

/// Returns the text of a path.
pub fn path(path: &Path) -> String {
    shorten(&path.to_string_lossy())
}

/// Returns the text of a path in a sentence.
pub fn name(path: &Path) -> String {
    text::name(&path.to_string_lossy())
}

/// Returns the text of a link to `target`.
pub fn link(target: &Path) -> String {
    format!("link to {}", path(target))
}

/// Replaces user names and passwords in addresses.
pub fn mask(text: &str) -> String {
    let mut parts = text.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        let end = part.find(['/', '?', '#', ' ', '=']).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(0, |at| at + 1);
        if host > 0 {
            masked.push_str("…@");
        }
        masked.push_str(&part[host..]);
    }
    masked
}
