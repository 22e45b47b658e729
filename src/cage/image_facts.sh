#!/bin/sh
# Prints facts about the image: image_facts.sh [DIRECTORY]
#
# Runs as the image's user in a short-lived container, without the home. Prints a line each: the user's name (or an empty
# line), UID, GID and home directory; the owner of DIRECTORY, UID:GID, as seen in the container, if the user can't write to
# it, else an empty line. Then, for each file that the image has and its user can read, a line with path and size, and the
# file. In the same form, as `outside`: the paths of the first files outside of the home that belong to the user, a line each. At the
# end `end`.
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
if [ "$(id -u)" != 0 ]; then
    limit=$(command -v timeout) && limit="$limit 10"
    # shellcheck disable=SC2086
    outside=$($limit find / -xdev \( -path "$HOME" -o -path "${1:-/proc}" -o -path /proc -o -path /sys -o -path /dev -o -path /tmp \
        -o -path /var/tmp -o -path /run \) -prune -o -user "$(id -u)" -print 2>/dev/null | head -n 101) || outside=
    if [ -n "$outside" ]; then
        size=$(printf %s "$outside" | wc -c)
        echo "outside $((size))"
        printf %s "$outside"
    fi
fi
echo end
