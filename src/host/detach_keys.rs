//! The keys that detach from a cage: `CAGE_DETACH_KEYS`.

use std::fmt;

/// Begins the sequences of function keys, too.
const ESCAPE: u8 = 0x1b;

/// One of the detach keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Ctrl with another key: the byte that terminals send in the legacy encoding.
    Control(u8),
    /// A character.
    Plain(u8),
}

/// The keys that detach, pressed one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<Key>,
    text: String,
}

impl DetachKeys {
    /// Parses keys in the notation of `docker attach --detach-keys`, such as `ctrl-p,ctrl-q`; also with a capital, as cage shows
    /// them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.replace("Ctrl-", "ctrl-");
        let keys = text.split(',').map(Key::parse).collect::<Option<_>>()?;
        Some(Self { keys, text })
    }

    /// Returns the keys as messages show them.
    pub fn shown(&self) -> String {
        self.text.replace("ctrl-", "Ctrl-")
    }

    /// Returns the key if there is only one, which sends a byte that no other key sends.
    pub fn only_key(&self) -> Option<&str> {
        let is_only = matches!(self.keys[..], [Key::Control(key)] if key != ESCAPE);
        is_only.then_some(self.text.as_str())
    }

    /// Returns the keys, at least one.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

impl Default for DetachKeys {
    /// Returns Ctrl-\. The engines' own ctrl-p,ctrl-q delays every Ctrl-P, which recalls history in shells and agents.
    fn default() -> Self {
        Self { keys: vec![Key::Control(b'\\' & 0x1f)], text: r"ctrl-\".to_owned() }
    }
}

impl fmt::Display for DetachKeys {
    /// Writes the keys as engines read them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        match (text.as_bytes(), text.strip_prefix("ctrl-").map(str::as_bytes)) {
            (_, Some(&[letter])) if letter.is_ascii_lowercase() || b"@[\\]^_".contains(&letter) => {
                Some(Self::Control(letter & 0x1f))
            }
            (&[character], _) if character.is_ascii_graphic() => Some(Self::Plain(character)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_dockers_notation() {
        for keys in [r"ctrl-\", "a", "ctrl-a,q", "-,~", "ctrl-@,ctrl-[,ctrl-],ctrl-^,ctrl-_"] {
            assert!(DetachKeys::parse(keys).is_some(), "{keys}");
        }
        let keys = DetachKeys::parse("Ctrl-p,ctrl-q").unwrap();
        assert_eq!(DetachKeys::parse(&keys.shown()), Some(keys.clone()));
        assert_eq!((keys.to_string(), keys.shown()), ("ctrl-p,ctrl-q".into(), "Ctrl-p,Ctrl-q".into()));
        for keys in ["", "foo", "ctrl-", "ctrl-1", "ctrl-A", "ctrl-a,", "ä", "ctrl-ab", " "] {
            assert_eq!(DetachKeys::parse(keys), None, "{keys}");
        }
    }
}
