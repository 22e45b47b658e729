#!/bin/sh
# Gives new volumes to the user of a cage: give_volumes.sh UID:GID OLD-UID [[new:]VOLUME...] -- [VOLUME REST]...
#
# Runs as root in a short-lived container that has all mounts of the cage, before the cage starts.
#
# - A VOLUME, the path of one, is given to UID:GID if it belongs to root and contains nothing but ways to other mounts:
#   docker makes new volumes root's, except where the image has a directory of another user; podman does so only where the image
#   has a directory of root.
# - In a new VOLUME, the files of OLD-UID, the user's ID in the image, are given to UID:GID.
# - Directories on the way from a VOLUME to a mount at the path REST in it are given to UID:GID if they are root's: the engine
#   creates them so. A way through a symbolic link is an error.
#
# shellcheck disable=SC2046  # The fields of `ls` are split on purpose.

set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
owner=$1 old=$2
shift 2

is_roots() { [ -d "$1" ] && [ "$(set -- $(ls -ldn -- "$1"); echo "$3:$4")" = 0:0 ]; }

# is_new VOLUME [VOLUME...] -- [VOLUME REST]...
is_new() {
    volume=$1
    while [ "$1" != -- ]; do shift; done
    for entry in "$volume"/* "$volume"/.[!.]* "$volume"/..?*; do
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        is_way "$entry" "$@" || return 1
    done
}

# is_way ENTRY -- [VOLUME REST]...
is_way() {
    entry=$1
    shift 2
    while [ $# -gt 0 ]; do
        case $1/$2/ in "$entry"/*) return 0 ;; esac
        shift 2
    done
    return 1
}

while [ "$1" != -- ]; do
    volume=${1#new:}
    if [ "$volume" != "$1" ] && [ "$old" != 0 ] && [ "$old" != "${owner%%:*}" ] &&
        command -v find >/dev/null; then
        find "$volume" -xdev -user "$old" -exec chown -h "$owner" {} +
    fi
    shift
    if is_roots "$volume" && is_new "$volume" "$@"; then chown "$owner" "$volume"; fi
done
shift
while [ $# -gt 0 ]; do
    (
        cd -P -- "$1"
        rest=$2
        while [ "$rest" != "${rest#*/}" ]; do
            part=${rest%%/*} rest=${rest#*/}
            if is_roots "./$part"; then chown -h "$owner" "./$part"; fi
            expected=$(pwd -P)/$part
            cd -P -- "./$part"
            [ "$(pwd -P)" = "$expected" ] || { echo "cannot mount at $1/$2: $part in it is a symbolic link" >&2; exit 1; }
        done
    )
    shift 2
done
