//! Names that engines take for containers, volumes and labels.

/// Can an engine use `name` for a container, a volume or a label?
pub fn is_engine_name(name: &str) -> bool {
    name.len() > 1 && name.chars().all(is_name_char) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}
