//! The home that all cages share: filling it, making room in it, emptying it. Done by short-lived containers, since a
//! volume can be reached from inside one only.

use std::fs;
use std::path::PathBuf;

use crate::host::Host;
use crate::invocation::Invocation;
use crate::mount::Mount;
use crate::runtime::Runtime;

/// Where the home is inside.
pub const HOME: &str = "/home/vscode";

/// Copies what the home lacks. Directories that are on both sides are gone through; everything else that exists, a link
/// that leads elsewhere included, is left alone. New files belong to whom the home belongs to. Any POSIX shell will do.
pub const SEED: &str = r#"set -eu
home=/home/vscode
owner=$(set -- $(ls -ldn "$home"); echo "$3:$4")
fill() {
    for from in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$from" ] || [ -L "$from" ] || continue
        to=$2/${from##*/}
        if [ ! -e "$to" ] && [ ! -L "$to" ]; then
            cp -RPp "$from" "$to"
            chown -hR "$owner" "$to"
        elif [ -d "$from" ] && [ ! -L "$from" ] && [ -d "$to" ] && [ ! -L "$to" ]; then
            (fill "$from" "$to")
        fi
    done
}
fill /cage-seed "$home"
"#;

/// Empties the volume at /cage-home and fills it anew with what the image has in its home.
const RESET: &str = r"set -eu
cd /cage-home
rm -rf -- * .[!.]* ..?*
if [ -d /home/vscode ]; then cp -RPp /home/vscode/. .; fi
";

/// The directory with the files for new homes, `~/.config/cage/home`, if there is anything in it.
pub fn seed_dir(host: &Host) -> Option<PathBuf> {
    let dir = host.config_dir()?.join("home");
    fs::read_dir(&dir).ok()?.next()?.ok()?;
    fs::canonicalize(dir).ok()
}

/// A container of `image` that runs `script` as `user`, with no network, and is gone afterwards.
fn helper(
    runtime: &Runtime,
    image: &str,
    user: Option<&str>,
    mounts: &[Mount],
    script: &[&str],
) -> Invocation {
    let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/"];
    args.extend(user.iter().flat_map(|user| ["--user", user]));
    let mounts: Vec<String> = mounts.iter().map(Mount::to_flag).collect();
    args.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
    args.extend(["--entrypoint", "/bin/sh", image, "-c"]);
    args.extend(script);
    runtime.command(args)
}

/// Copies the files in `seed` to the home, never over one that is there.
pub fn fill(runtime: &Runtime, image: &str, volume: &str, seed: &str) -> Invocation {
    let mounts = [Mount::volume(volume, HOME), Mount::path(seed, "/cage-seed").readonly()];
    helper(runtime, image, Some("0"), &mounts, &[SEED])
}

/// The part of `path` below the home, if it is there: a mount at such a path needs a directory in the volume.
pub fn below(path: &str) -> Option<&str> {
    path.strip_prefix(HOME)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// Makes the directory `rest` in the home, as the image's user; the engine would make it root's.
pub fn make_room(runtime: &Runtime, image: &str, volume: &str, rest: &str) -> Invocation {
    let script = [r#"cd /home/vscode && mkdir -p -- "$1""#, "sh", rest];
    helper(runtime, image, None, &[Mount::volume(volume, HOME)], &script)
}

/// Takes away what [`make_room`] made, as far as it is empty.
pub fn remove_room(runtime: &Runtime, image: &str, volume: &str, rest: &str) -> Invocation {
    let script = [r#"cd /home/vscode && rmdir -p -- "$1""#, "sh", rest];
    helper(runtime, image, Some("0"), &[Mount::volume(volume, HOME)], &script)
}

/// Empties the home and fills it with what `image` has there, as it was when the volume was new.
pub fn reset(runtime: &Runtime, image: &str, volume: &str) -> Invocation {
    helper(runtime, image, Some("0"), &[Mount::volume(volume, "/cage-home")], &[RESET])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_home_need_room() {
        assert_eq!(below("/home/vscode/src/app"), Some("src/app"));
        for path in ["/home/vscode", "/home/vscode2/app", "/home/me/app", "/"] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
