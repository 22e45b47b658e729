//! git's patterns for paths and addresses, as in `includeIf`: `*` and `?` match no slash, `**/` matches any directories.
//! <https://git-scm.com/docs/gitignore#_pattern_format>

/// One part of a pattern.
enum Part {
    /// One of these bytes.
    Byte(Box<[bool; 256]>),
    /// `*`: anything without a slash.
    Name,
    /// `**` at the end: anything.
    Rest,
    /// `**/`: nothing, or anything that ends with a slash.
    Directories,
}

impl Part {
    /// Returns where this part of the pattern can end in the text if it can begin at `begins`.
    fn ends(&self, begins: &[bool], text: &[u8]) -> Vec<bool> {
        let mut ends = vec![false; begins.len()];
        // Whether the part has begun and goes on.
        let mut inside = false;
        for (at, begins) in begins.iter().copied().enumerate() {
            let last = at.checked_sub(1).map(|last| text[last]);
            ends[at] |= match self {
                Self::Byte(_) => false,
                Self::Name => {
                    inside = begins || (inside && last != Some(b'/'));
                    inside
                }
                Self::Rest => {
                    inside |= begins;
                    inside
                }
                Self::Directories => {
                    let is_end = begins || (inside && last == Some(b'/'));
                    inside |= begins;
                    is_end
                }
            };
            if let (Self::Byte(set), true, Some(byte)) = (self, begins, text.get(at)) {
                ends[at + 1] = set[usize::from(*byte)];
            }
        }
        ends
    }
}

/// Returns whether a pattern matches a whole text. The time grows with the product of their lengths, whatever they are.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let Some(parts) = parts(pattern, ignore_case) else { return false };
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in parts {
        ends = part.ends(&ends, text);
    }
    ends[text.len()]
}

/// Reads a pattern; `None` for one that matches nothing.
fn parts(pattern: &[u8], ignore_case: bool) -> Option<Vec<Part>> {
    let byte = |is_one: &dyn Fn(u8) -> bool| {
        let mut set = Box::new([false; 256]);
        for text in 0..=u8::MAX {
            set[usize::from(text)] = is_one(if ignore_case { text.to_ascii_lowercase() } else { text });
        }
        Part::Byte(set)
    };
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(&c) = pattern.get(at) {
        at += 1;
        parts.push(match c {
            b'*' => {
                let begins_name = at == 1 || pattern[at - 2] == b'/';
                let stars = 1 + pattern[at..].iter().take_while(|c| **c == b'*').count();
                at += stars - 1;
                let slash =
                    ["/", "\\/"].into_iter().find(|slash| pattern[at..].starts_with(slash.as_bytes()));
                match slash {
                    Some(slash) if stars > 1 && begins_name => {
                        at += slash.len();
                        Part::Directories
                    }
                    None if stars > 1 && begins_name && at == pattern.len() => Part::Rest,
                    _ => Part::Name,
                }
            }
            b'?' => byte(&|text| text != b'/'),
            b'[' => {
                let (set, end) = Set::read(pattern, at)?;
                at = end;
                byte(&|text| text != b'/' && set.has(text, ignore_case))
            }
            b'\\' => {
                let c = *pattern.get(at)?;
                at += 1;
                byte(&|text| text == c)
            }
            c => {
                let c = if ignore_case { c.to_ascii_lowercase() } else { c };
                byte(&|text| text == c)
            }
        });
    }
    Some(parts)
}

/// The bytes between brackets in a pattern.
struct Set {
    is_negated: bool,
    ranges: Vec<(u8, u8)>,
    classes: Vec<fn(&u8) -> bool>,
}

impl Set {
    /// Reads a set after its opening bracket. Returns also where it ends; `None` if it doesn't end.
    fn read(pattern: &[u8], mut at: usize) -> Option<(Self, usize)> {
        let is_negated = matches!(pattern.get(at)?, b'!' | b'^');
        at += usize::from(is_negated);
        let mut set = Self { is_negated, ranges: Vec::new(), classes: Vec::new() };
        let first = at;
        // The byte that a range can begin with.
        let mut last = None;
        loop {
            let c = *pattern.get(at)?;
            at += 1;
            match c {
                b']' if at - 1 > first => return Some((set, at)),
                b'-' if last.is_some() && pattern.get(at).is_some_and(|next| *next != b']') => {
                    at += usize::from(pattern[at] == b'\\');
                    set.ranges.push((last?, *pattern.get(at)?));
                    at += 1;
                    last = None;
                    continue;
                }
                b'[' if pattern.get(at) == Some(&b':') => {
                    let length = pattern[at + 1..].iter().position(|c| *c == b']')?;
                    if let Some(name) = pattern[at + 1..at + 1 + length].strip_suffix(b":") {
                        set.classes.push(class(name)?);
                        at += length + 2;
                        last = None;
                        continue;
                    }
                }
                _ => {}
            }
            let c = if c == b'\\' {
                at += 1;
                *pattern.get(at - 1)?
            } else {
                c
            };
            set.ranges.push((c, c));
            last = Some(c);
        }
    }

    fn has(&self, byte: u8, ignore_case: bool) -> bool {
        let is_in = |byte: u8| {
            self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&byte))
                || self.classes.iter().any(|class| class(&byte))
        };
        (is_in(byte) || (ignore_case && is_in(byte.to_ascii_uppercase()))) != self.is_negated
    }
}

/// Returns a class by the name that it has in patterns.
fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |c| matches!(c, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |c| matches!(c, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |c| matches!(c, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "A", false),
            ("*", "", true),
            ("*", "ab", true),
            ("*", "a/b", false),
            ("a*c", "abbc", true),
            ("a*c", "ab/c", false),
            ("a?c", "a/c", false),
            ("a?c", "abc", true),
            ("**", "a/b", true),
            ("**/b", "b", true),
            ("**/b", "a/c/b", true),
            ("**/b", "ab", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**", "a/", true),
            ("a/**", "a", false),
            ("a**b", "a/b", false),
            ("a/b**", "a/bc", true),
            ("a/b**", "a/b/c", false),
            ("[a-c]", "b", true),
            ("[!a-c]", "b", false),
            ("[^a-c]", "/", false),
            ("[]-]", "-", true),
            ("[]-]", "]", true),
            ("[a\\-z]", "-", true),
            ("[a\\-z]", "b", false),
            ("[[:digit:]x]", "7", true),
            ("[[:upper:]]", "a", false),
            ("[[:none:]]", "a", false),
            ("[[:]", ":", true),
            ("[a", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a", false),
            ("x/**/y/*.z", "x/y/1.z", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} {text}");
        }
        assert!(matches(b"/Home/*/[A-C]\\d", b"/hOME/x/bD", true));
    }

    #[test]
    fn a_pattern_with_many_stars_takes_no_longer_for_long_texts() {
        let text = vec![b'a'; 10_000];
        assert!(!matches(&b"*a".repeat(100), &[text.as_slice(), b"b"].concat(), false));
        assert!(matches(&b"*a".repeat(100), &text, false));
    }
}
