//! The homes of this machine's users, from `/etc/passwd`. Users of a directory service, and of a Mac, are not in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Returns the home of the user with this name.
pub fn home_of(name: &[u8]) -> Option<PathBuf> {
    home_where(0, name)
}

/// Returns the home of the user with this number.
pub fn home_of_uid(uid: u32) -> Option<PathBuf> {
    home_where(2, uid.to_string().as_bytes())
}

fn home_where(field: usize, value: &[u8]) -> Option<PathBuf> {
    home_in(&fs::read("/etc/passwd").ok()?, field, value)
}

fn home_in(users: &[u8], field: usize, value: &[u8]) -> Option<PathBuf> {
    let mut users = users.split(|c| *c == b'\n').map(|line| line.split(|c| *c == b':'));
    let home = users.find(|user| user.clone().nth(field) == Some(value))?.nth(5)?;
    Some(OsStr::from_bytes(home).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_by_name_and_by_number() {
        let users = b"root:x:0:0:root:/root:/bin/sh\nbroken:x:7\n1000:x:8:8::/home/number:\nme:x:1000:100:,,:/home/me:/bin/sh";
        let home = |field, value: &str| home_in(users, field, value.as_bytes());
        assert_eq!(home(0, "me"), Some("/home/me".into()));
        assert_eq!(home(2, "1000"), Some("/home/me".into()));
        assert_eq!(home(0, "1000"), Some("/home/number".into()));
        assert_eq!((home(0, "broken"), home(2, "1"), home(0, "")), (None, None, None));
    }
}
