//! The image's /etc/passwd and /etc/group with other numbers for the image's user. Engines read the files when the container
//! starts.

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::image_facts::{GROUP, ImageFacts, NAMELESS, PASSWD};
use crate::engine::new_file::NewFile;
use crate::host::ids::Ids;

/// Returns both files, in which the image's user has these IDs. Its rows come first, so that they apply to its name and to its
/// numbers, even if other rows have the same. All other rows stay as they are. A user without a home gets one. With `keeps_group` the
/// user stays a member of its group in the image, whose members may be allowed to write files of other users.
///
/// # Errors
/// When the image's /etc/passwd has no row for the user that can be changed.
pub fn renumbered(image: &ImageFacts, ids: Ids, keeps_group: bool) -> Result<[NewFile; 2]> {
    let name = image.user.name.as_bytes();
    let file = |path| image.file(path).unwrap_or_default();
    let made = format!("{NAMELESS}:x:0:0::{}:/bin/sh", image.user.home);
    let made = if image.user.name == NAMELESS { made.as_bytes() } else { b"" };
    let row = rows(file(PASSWD)).find(|row| name_of(row) == name).unwrap_or(made);
    let fields: Vec<&[u8]> = row.split(|byte| *byte == b':').collect();
    let is_number = |field: &[u8]| str::from_utf8(field).is_ok_and(|field| field.parse::<u32>().is_ok());
    ensure!(
        !name.is_empty() && fields.len() == 7 && is_number(fields[2]) && is_number(fields[3]),
        Failure::new(format!(
            "the image has no proper row for {} in {PASSWD}",
            text::escape(&image.user.name)
        ))
        .hint("an image for cage has its user in that file, or root as its user")
    );
    let numbers = [ids.uid.to_string(), ids.gid.to_string()];
    let home = if image.lacks_user() { image.user.home.as_bytes() } else { fields[5] };
    let [uid, gid] = &numbers;
    let user = [name, fields[1], uid.as_bytes(), gid.as_bytes(), fields[4], home, fields[6]].join(&b':');
    let mut group = [name, b"x", numbers[1].as_bytes(), b""].join(&b':');
    if keeps_group {
        let name = &image.user.name;
        group.extend(format!("\n{name}-image:x:{}:{name}", image.user.ids.gid).as_bytes());
    }
    Ok([(PASSWD, user), (GROUP, group)].map(|(path, first)| {
        let others = rows(file(path)).filter(|row| name_of(row) != name);
        let rows = [first.as_slice()].into_iter().chain(others);
        NewFile::readable(path, rows.flat_map(|row| [row, b"\n"]).collect::<Vec<_>>().concat())
    }))
}

fn rows(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.strip_suffix(b"\n").unwrap_or(file).split(|byte| *byte == b'\n').filter(|_| !file.is_empty())
}

fn name_of(row: &[u8]) -> &[u8] {
    row.split(|byte| *byte == b':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids { uid: 1000, gid: 100 };

    fn image(name: &str, passwd: &str, group: &str) -> ImageFacts {
        let mut image = ImageFacts::published();
        image.user.name = name.to_owned();
        for (path, text) in [(PASSWD, passwd), (GROUP, group)] {
            image.files.insert(path.to_owned(), text.into());
        }
        image
    }

    fn change(name: &str, passwd: &str, group: &str) -> Option<(String, String)> {
        let files = renumbered(&image(name, passwd, group), IDS, false).ok()?;
        assert!(files.iter().all(|file| file.mode == 0o644 && file.owner == Ids::ROOT));
        let [passwd, group] = files.map(|file| String::from_utf8(file.content).unwrap());
        Some((passwd, group))
    }

    #[test]
    fn the_users_rows_come_first_and_the_others_stay() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nvscode:x:501:20:,,,:/home/vscode:/bin/zsh\nme:x:1000:1000::/:\n";
        let group = "root:x:0:\nusers:x:100:\nvscode:x:20:me\nsudo:x:27:vscode\n";
        let (passwd, group) = change("vscode", passwd, group).unwrap();
        assert_eq!(
            passwd,
            "vscode:x:1000:100:,,,:/home/vscode:/bin/zsh\nroot:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/:\n"
        );
        assert_eq!(group, "vscode:x:100:\nroot:x:0:\nusers:x:100:\nsudo:x:27:vscode\n");
    }

    #[test]
    fn the_group_in_the_image_may_stay() {
        let image = image("vscode", "vscode:x:501:20::/home/vscode:/bin/zsh\n", "root:x:0:\nvscode:x:20:\n");
        let [_, group] = renumbered(&image, IDS, true).unwrap();
        assert_eq!(group.content, b"vscode:x:100:\nvscode-image:x:20:vscode\nroot:x:0:\n");
    }

    #[test]
    fn odd_rows_of_others_stay_and_the_end_of_a_file_may_lack_its_line_break() {
        let passwd = "dev:*:1:1::/home/dev:\n\n+::::::\nrow\ndevel:x:2:2::/:/bin/sh\ndev:x:3:3::/x:/bin/sh";
        assert_eq!(
            change("dev", passwd, "").unwrap(),
            (
                "dev:*:1000:100::/home/dev:\n\n+::::::\nrow\ndevel:x:2:2::/:/bin/sh\n".into(),
                "dev:x:100:\n".into()
            )
        );
    }

    #[test]
    fn a_user_without_a_proper_row_is_an_error() {
        for passwd in [
            "",
            "\n",
            "root:x:0:0:::\n",
            "dev:x:1:1:::more:\n",
            "dev:x:1:1:/home\n",
            "dev:x:one:1::/home/dev:\n",
        ] {
            assert_eq!(change("dev", passwd, ""), None, "{passwd:?}");
        }
        assert_eq!(change("", ":x:1:1::/:\n", ""), None);
    }

    #[test]
    fn a_user_without_a_name_gets_rows() {
        let (passwd, group) = change(NAMELESS, "root:x:0:0::/root:/bin/sh\n", "").unwrap();
        assert_eq!(passwd, "cage-user:x:1000:100::/home/vscode:/bin/sh\nroot:x:0:0::/root:/bin/sh\n");
        assert_eq!(group, "cage-user:x:100:\n");
    }
}
