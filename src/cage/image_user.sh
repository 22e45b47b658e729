#!/bin/sh
# Prints the image's user: name (or an empty line), UID, GID and home directory, a line each: image_user.sh [DIRECTORY]
#
# Runs as that user in a short-lived container. If DIRECTORY is given and the user can't write to it, a fifth line has its
# owner, UID:GID, as seen in the container.
#
# shellcheck disable=SC2046  # The fields of `ls` are split on purpose.

id -un 2>/dev/null || echo
id -u
id -g
echo "$HOME"
if [ -n "$1" ] && [ ! -w "$1" ]; then
    set -- $(ls -ldn "$1")
    echo "$3:$4"
fi
