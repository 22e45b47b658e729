#!/bin/sh
# Prints facts about the image: image_facts.sh [DIRECTORY]
#
# Runs as the image's user in a short-lived container, without the home. Prints a line each: the user's name (or an empty
# line), UID, GID and home directory; the owner of DIRECTORY, UID:GID, as seen in the container, if the user can't write to
# it, else an empty line. Then, for each file that the image has and its user can read, a line with path and size, and the
# file. At the end `end`.
#
# shellcheck disable=SC2046  # The fields of `ls` are split on purpose.

set -eu
# podman makes a name of a number.
name=$(id -un 2>/dev/null) || name=
if [ "$name" = "$(id -u)" ]; then name=; fi
echo "$name"
id -u
id -g
echo "$HOME"
if [ -n "$1" ] && [ ! -w "$1" ]; then
    set -- $(ls -ldn "$1")
    echo "$3:$4"
else
    echo
fi
for file in /etc/passwd /etc/group /etc/gitconfig /etc/ssh/ssh_known_hosts; do
    if [ -f "$file" ] && [ -r "$file" ]; then
        size=$(wc -c <"$file")
        echo "$file $((size))"
        cat "$file"
    fi
done
echo end
