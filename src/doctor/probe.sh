#!/bin/sh
# Prints the owner of a directory and what the SSH agent answers, for `cage doctor`: probe.sh [DIRECTORY]
#
# Runs in the cage, or in a short-lived container of the image. Prints `home UID:GID` if DIRECTORY is given. If there is an
# agent, prints `agent STATUS` and the output of `ssh-add -l`, or `agent -` if the image has no ssh-add.
#
# shellcheck disable=SC2012  # Not every busybox has `stat -c`.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
if [ -n "$1" ]; then
    ls -ldn "$1" | while read -r _ _ user group _; do echo "home $user:$group"; done
fi
if [ -n "${SSH_AUTH_SOCK:-}" ]; then
    if command -v ssh-add >/dev/null; then
        answer=$(ssh-add -l 2>&1)
        echo "agent $?"
        echo "$answer"
    else
        echo "agent -"
    fi
fi
