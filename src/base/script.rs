//! Scripts that run inside containers. Each is a file beside the code that uses it, with a header of comments.

/// Returns a script without its header, which ends at the first empty line, so that the header is not part of every
/// command line.
pub const fn body(file: &str) -> &str {
    let bytes = file.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at - 1] == b'\n' && bytes[at] == b'\n' {
            return file.split_at(at + 1).1.trim_ascii_end();
        }
        at += 1;
    }
    file.trim_ascii_end()
}

/// Arguments for a container or a process of cage's own, which keep it from loading libraries from where the image's variables
/// lead: an agent may have put one into the home. An empty value means none.
pub const NO_LIBRARIES: [&str; 6] =
    ["--env", "LD_LIBRARY_PATH=", "--env", "LD_PRELOAD=", "--env", "LD_AUDIT="];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_header_is_dropped() {
        assert_eq!(body("#!/bin/sh\n# Header.\n\na # b\n\n# c\n"), "a # b\n\n# c");
        assert_eq!(body("a\n# b\n"), "a\n# b");
    }
}
