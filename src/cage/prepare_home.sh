#!/bin/sh
# Prepares a home volume for a cage: prepare_home.sh HOME UID:GID DIRECTORY USER
#
# Runs as root in a short-lived container of the cage's image, with the volume mounted at HOME, before the cage starts.
#
# - Gives the volume to UID:GID. A volume that has this owner already is skipped; the volume's root is changed last, so
#   that an interrupted run is repeated.
# - Creates DIRECTORY, a path below HOME, as a mount point. The engine would create it as root.
# - Copies from /cage-seed what the volume lacks. Directories that exist on both sides are merged; any other existing
#   file, including a symbolic link, is left alone.
# - If USER is not empty, prints a tar archive of the image's /etc/passwd and /etc/group in which USER has UID:GID.
#
# System directories come first in PATH: the image's PATH may lead into the home, where an agent can have put programs.
#
# shellcheck disable=SC2046  # The fields of `ls` are split on purpose.

set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
home=$1 owner=$2 directory=$3 user=$4

now=$(set -- $(ls -ldn "$home"); echo "$3:$4")
if [ "$now" != "$owner" ]; then
    for file in "$home"/* "$home"/.[!.]* "$home"/..?*; do
        if [ -e "$file" ] || [ -L "$file" ]; then chown -hR "$owner" "$file"; fi
    done
    chown "$owner" "$home"
fi

if [ -n "$directory" ]; then (
    set -f
    IFS=/
    cd "$home"
    for dir in $directory; do
        [ -d "$dir" ] || { mkdir -- "$dir"; chown "$owner" "$dir"; }
        cd -- "$dir"
    done
); fi

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

if [ -n "$user" ]; then
    mkdir /cage-user
    while IFS=: read -r name password _ _ rest || [ -n "$name" ]; do
        if [ "$name" = "$user" ]; then echo "$name:$password:$owner:$rest"; fi
    done </etc/passwd >/cage-user/passwd
    [ -s /cage-user/passwd ] || { echo "the image has no $user in /etc/passwd" >&2; exit 1; }
    echo "$user:x:${owner#*:}:" >/cage-user/group
    for file in passwd group; do
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in "$user":*) ;; *) printf '%s\n' "$line" ;; esac
        done </etc/$file >>/cage-user/$file
    done
    tar -C /cage-user -cf - passwd group
fi
