//! Names that engines accept for containers, volumes and labels, and paths that they can mount.

/// Returns whether engines accept a name for a container, a volume or a label.
pub fn is_engine_name(name: &str) -> bool {
    name.len() > 1 && name.chars().all(is_name_char) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns whether a text can be an image's name, and is neither an option nor several words for the engine.
pub fn is_image_name(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    !name.is_empty() && !name.starts_with('-') && !name.contains(is_odd)
}

pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Returns whether engines mount a path as it is written: their CSV reader turns `\r\n` into `\n`.
pub fn is_mountable(path: &str) -> bool {
    !path.contains("\r\n")
}
