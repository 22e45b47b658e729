//! User and group IDs.

use std::fmt;
use std::str::FromStr;

/// A user ID and a group ID of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
}

impl Ids {
    /// Root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl FromStr for Ids {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (uid, gid) = text.split_once(':').ok_or(())?;
        Ok(Self { uid: uid.parse().map_err(drop)?, gid: gid.parse().map_err(drop)? })
    }
}
