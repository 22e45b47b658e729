#!/bin/sh
# Prepares a home volume for a cage: prepare_home.sh HOME UID:GID [d:DIRECTORY|f:FILE]...
#
# Runs as root in a short-lived container of the cage's image, with the volume mounted at HOME, before the cage starts.
#
# - Gives the volume to UID:GID. A volume that has this owner already is skipped; the volume's root is changed last, so
#   that an interrupted run is repeated. Programs in other cages may remove files meanwhile.
# - Gives directories and empty files that belong to root to UID:GID: engines create missing mount points, and the directories above
#   them, as root. Looks three levels deep, and deeper where directories are root's.
# - Creates each DIRECTORY and FILE, paths below HOME, as a mount point, never through a symbolic link. Names on the way are relative
#   to the working directory, which code in other cages can't turn into a link.
# - Copies from /cage-seed what the volume lacks. Directories that exist on both sides are merged; any other existing
#   file, including a symbolic link, is left alone.
#
# System directories come first in PATH: the image's PATH may lead into the home, where an agent can have put programs.
#
# shellcheck disable=SC2046  # The fields of `ls` are split on purpose.

set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
home=$1 owner=$2
shift 2

# tries COMMAND...: files may vanish meanwhile
tries() { "$@" || "$@" || "$@" || "$@" || "$@"; }

now=$(set -- $(ls -ldn "$home"); echo "$3:$4")
if [ "$now" != "$owner" ]; then
    for file in "$home"/* "$home"/.[!.]* "$home"/..?*; do
        if [ -e "$file" ] || [ -L "$file" ]; then tries chown -hR "$owner" "$file"; fi
    done
    chown "$owner" "$home"
fi

is_roots() { [ "$(set -- $(ls -ldn "$1"); echo "$3")" = 0 ]; }

if [ "${owner%%:*}" != 0 ] && command -v find >/dev/null; then
    tries find "$home" -xdev -path "$home/*/*/*" ! -user 0 -prune -o -user 0 \( -type d -o -type f -size 0 \) -exec chown -h "$owner" {} +
fi

# refuse NAME WHY
refuse() {
    echo "cannot mount at $home/${point#?:}: $(pwd -P)/$1 is $2" >&2
    exit 1
}

# make KIND NAME, in the working directory
make() {
    if [ -L "./$2" ]; then refuse "$2" 'a symbolic link'; fi
    if [ -d "./$2" ]; then
        [ "$1" = d ] || refuse "$2" 'a directory, and a file would be mounted there'
    elif [ -e "./$2" ]; then
        [ "$1" = f ] || refuse "$2" 'a file, where a directory has to be'
    elif [ "$1" = d ]; then
        mkdir "./$2"
    else
        (set -C && : >"./$2")
    fi
    # A file with text in it was not made for a mount.
    if is_roots "./$2" && { [ -d "./$2" ] || [ ! -s "./$2" ]; }; then chown -h "$owner" "./$2"; fi
}

for point; do (
    cd -P -- "$home"
    rest=${point#?:}
    while [ "$rest" != "${rest#*/}" ]; do
        part=${rest%%/*} rest=${rest#*/}
        make d "$part"
        way=$(pwd -P)/$part
        cd -P -- "./$part"
        [ "$(pwd -P)" = "$way" ] || refuse "" "not $way"
    done
    make "${point%%:*}" "$rest"
); done

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
if [ -d /cage-seed ]; then fill /cage-seed "$home"; fi
