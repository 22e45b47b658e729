//! The image's user and its mapping to the host user, so that files in the project belong to the host user.

use crate::engine::dialect::Dialect;
use crate::engine::info::{Engine, Mode};
use crate::host::ids::Ids;
use crate::host::machine::Host;

/// The user of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// The user's name in the image.
    pub name: String,
    /// The user and group ID.
    pub ids: Ids,
    /// The home directory.
    pub home: String,
}

impl ImageUser {
    /// Reads the user from the label of a cage with the same image.
    pub fn from_label(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.splitn(4, ':').collect();
        Self::parse(fields.try_into().ok()?)
    }

    /// Returns the text of that label.
    pub fn to_label(&self) -> String {
        format!("{}:{}:{}", self.name, self.ids, self.home)
    }

    /// Returns the user of the published image.
    pub fn published() -> Self {
        Self { name: "vscode".to_owned(), ids: Ids { uid: 501, gid: 20 }, home: "/home/vscode".to_owned() }
    }

    /// Parses name, UID, GID and home directory.
    pub(super) fn parse([name, uid, gid, home]: [&str; 4]) -> Option<Self> {
        let ids = Ids { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
        let is_proper = home.len() > 1 && home.starts_with('/');
        is_proper.then(|| Self { name: name.to_owned(), ids, home: home.to_owned() })
    }
}

/// The mapping of the image's user to the host user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// No mapping is needed.
    AsIs,
    /// The engine maps these IDs to the host user's (podman's `keep-id`).
    KeepId(Ids),
    /// The user gets these IDs in the container's `/etc/passwd`, which engines read when the container starts.
    Renumber(Ids),
}

impl Mapping {
    /// Chooses the mapping. `seen_owner` is the owner of the project as seen in a container; it is known only if the image's user
    /// can't write the project.
    pub fn decide(
        kind: Dialect,
        engine: &Engine,
        image: &ImageUser,
        person: Ids,
        seen_owner: Option<Ids>,
    ) -> Self {
        // In a rootless engine, root in the container is the host user. In a rootful engine, an image that runs as root may need
        // root.
        if image.ids.uid == 0 {
            return Self::AsIs;
        }
        match (engine.mode, engine.machine) {
            (Mode::Rootless, _) if kind.keeps_ids() => Self::KeepId(image.ids),
            // Some products make shared files writable for all users. Others show them with root or the host's IDs as owner,
            // and only that owner can write them.
            (_, Some(_)) => seen_owner.map_or(Self::AsIs, |owner| Self::renumber(image, owner)),
            (Mode::Rootless, None) => Self::renumber(image, Ids::ROOT),
            (Mode::Rootful, None) => Self::renumber(image, person),
        }
    }

    fn renumber(image: &ImageUser, ids: Ids) -> Self {
        if image.ids == ids { Self::AsIs } else { Self::Renumber(ids) }
    }

    /// Returns the mapping for `--no-root` in a rootful engine: a process with UID 0 could leave setuid-root programs even without
    /// capabilities. `None` if the host user is root.
    pub fn without_root(self, image: &ImageUser, person: Ids) -> Option<Self> {
        match self.inside(image).uid {
            0 if person.uid == 0 => None,
            0 => Some(Self::renumber(image, person)).filter(|mapping| mapping.inside(image).uid != 0),
            _ => Some(self),
        }
    }

    /// Returns the mapping for a cage in a namespace of another container: a user namespace of the cage's own, as `keep-id` makes
    /// it, has no power over that namespace, and can't be entered. Without it, root inside is the host user.
    #[must_use]
    pub fn without_namespace(self, image: &ImageUser) -> Self {
        if let Self::KeepId(_) = self { Self::renumber(image, Ids::ROOT) } else { self }
    }

    /// Returns the IDs of the image's user in a cage with this mapping.
    pub fn inside(self, image: &ImageUser) -> Ids {
        match self {
            Self::AsIs | Self::KeepId(_) => image.ids,
            Self::Renumber(ids) => ids,
        }
    }

    /// Returns the flag of a container with this mapping, if it needs one.
    pub fn flag(self) -> Option<String> {
        match self {
            Self::KeepId(Ids { uid, gid }) => Some(format!("--userns=keep-id:uid={uid},gid={gid}")),
            Self::AsIs | Self::Renumber(_) => None,
        }
    }
}

/// Returns the user that cages act for: the one who runs cage, also by sudo. For root itself this is the `owner` of the project
/// before its first cage, in which code could change it. A group with power on this machine is nobody's inside, wherever it comes
/// from.
pub fn person(host: &Host, owner: Ids) -> Ids {
    let user = if host.ids.uid == 0 { host.sudo_user.unwrap_or(owner) } else { host.ids };
    // Most systems give each user a group of the same number.
    let groups = [user.gid, user.uid, NOBODY];
    let gid = groups.into_iter().find(|gid| !host.powerful_groups.contains(gid) || user.uid == 0);
    Ids { gid: gid.unwrap_or(NOBODY), ..user }
}

/// The group of nobody, in which no file is.
const NOBODY: u32 = 65534;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::info::Product;

    const PERSON: Ids = Ids { uid: 1000, gid: 1000 };

    fn image(uid: u32, gid: u32) -> ImageUser {
        ImageUser { name: "vscode".into(), ids: Ids { uid, gid }, home: "/home/vscode".into() }
    }

    fn decide(kind: Dialect, mode: Mode, image: &ImageUser) -> Mapping {
        Mapping::decide(
            kind,
            &Engine {
                mode,
                machine: None,
                selinux: false,
                remaps: false,
                unenforced: Vec::new(),
                copies_through_links: false,
            },
            image,
            PERSON,
            None,
        )
    }

    #[test]
    fn every_mode_has_its_way() {
        use Dialect::{Docker, Podman};
        let user = image(501, 20);
        assert_eq!(decide(Docker, Mode::Rootful, &user), Mapping::Renumber(PERSON));
        assert_eq!(decide(Podman, Mode::Rootful, &user), Mapping::Renumber(PERSON));
        assert_eq!(decide(Docker, Mode::Rootless, &user), Mapping::Renumber(Ids::ROOT));
        assert_eq!(decide(Podman, Mode::Rootless, &user), Mapping::KeepId(Ids { uid: 501, gid: 20 }));
        assert_eq!(decide(Docker, Mode::Rootful, &image(1000, 1000)), Mapping::AsIs);
        let kept = decide(Podman, Mode::Rootless, &user);
        assert_eq!(kept.without_namespace(&user), Mapping::Renumber(Ids::ROOT));
        for kind in [Docker, Podman] {
            for mode in [Mode::Rootful, Mode::Rootless] {
                assert_eq!(decide(kind, mode, &image(0, 0)), Mapping::AsIs);
            }
        }
    }

    #[test]
    fn in_a_virtual_machine_it_is_as_the_project_looks_there() {
        let second = Ids { uid: 502, gid: 20 };
        let decide = |kind, mode, looks| {
            let engine = Engine {
                mode,
                machine: Some(Product::Unknown),
                selinux: false,
                remaps: false,
                unenforced: Vec::new(),
                copies_through_links: false,
            };
            Mapping::decide(kind, &engine, &image(501, 20), PERSON, looks)
        };
        for kind in [Dialect::Docker, Dialect::Podman] {
            assert_eq!(decide(kind, Mode::Rootful, None), Mapping::AsIs, "it can be written");
            assert_eq!(decide(kind, Mode::Rootful, Some(Ids::ROOT)), Mapping::Renumber(Ids::ROOT));
            assert_eq!(decide(kind, Mode::Rootful, Some(second)), Mapping::Renumber(second));
            // What a cage's label says of one that needed none.
            assert_eq!(decide(kind, Mode::Rootful, Some(Ids { uid: 501, gid: 20 })), Mapping::AsIs);
        }
        let docker = decide(Dialect::Docker, Mode::Rootless, Some(Ids::ROOT));
        assert_eq!(docker, Mapping::Renumber(Ids::ROOT));
        let podman = decide(Dialect::Podman, Mode::Rootless, Some(Ids::ROOT));
        assert_eq!(podman, Mapping::KeepId(Ids { uid: 501, gid: 20 }));
    }

    #[test]
    fn where_nobody_is_to_be_root_roots_number_is_the_persons() {
        let (root, user) = (ImageUser { name: "root".into(), ..image(0, 0) }, image(501, 20));
        assert_eq!(Mapping::AsIs.without_root(&root, PERSON), Some(Mapping::Renumber(PERSON)));
        assert_eq!(Mapping::AsIs.without_root(&user, PERSON), Some(Mapping::AsIs));
        assert_eq!(Mapping::Renumber(PERSON).without_root(&user, PERSON), Some(Mapping::Renumber(PERSON)));
        // There is no other number that could write the project.
        assert_eq!(Mapping::AsIs.without_root(&root, Ids::ROOT), None);
        assert_eq!(Mapping::Renumber(Ids::ROOT).without_root(&user, Ids::ROOT), None);
    }

    #[test]
    fn only_podmans_mapping_is_a_flag() {
        assert_eq!(
            Mapping::KeepId(Ids { uid: 501, gid: 20 }).flag().as_deref(),
            Some("--userns=keep-id:uid=501,gid=20")
        );
        assert_eq!(Mapping::Renumber(PERSON).flag(), None);
        assert_eq!(Mapping::Renumber(PERSON).inside(&image(501, 20)), PERSON);
        assert_eq!(Mapping::AsIs.inside(&image(501, 20)), Ids { uid: 501, gid: 20 });
    }

    #[test]
    fn a_label_keeps_the_user() {
        for user in [image(501, 20), ImageUser { name: String::new(), home: "/a:b".into(), ..image(7, 7) }] {
            assert_eq!(ImageUser::from_label(&user.to_label()), Some(user));
        }
        for label in ["", "a:1", "a:x:1:/h", "a:1:1:/", "a:1:1:h"] {
            assert_eq!(ImageUser::from_label(label), None, "{label:?}");
        }
    }

    #[test]
    fn for_root_it_is_the_owner_of_the_project() {
        let (mut host, owner) = (Host::sample(&[]), Ids { uid: 33, gid: 44 });
        host.ids = Ids { uid: 7, gid: 8 };
        assert_eq!(person(&host, owner), host.ids);
        host.ids = Ids::ROOT;
        assert_eq!(person(&host, owner), owner);
        host.sudo_user = Some(Ids { uid: 7, gid: 8 });
        assert_eq!(person(&host, owner), Ids { uid: 7, gid: 8 });
        host.powerful_groups = vec![8];
        assert_eq!(person(&host, owner), Ids { uid: 7, gid: 7 });
        host.powerful_groups = vec![8, 7];
        assert_eq!(person(&host, owner), Ids { uid: 7, gid: NOBODY });
        host.ids = Ids { uid: 9, gid: 8 };
        assert_eq!(person(&host, owner), Ids { uid: 9, gid: 9 }, "as after newgrp");
    }
}
