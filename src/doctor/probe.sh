#!/bin/sh
# Prints what the SSH agent answers, for `cage doctor`.
#
# Runs in the cage, or in a short-lived container of the image. If there is an agent, prints `agent STATUS` and the output of
# `ssh-add -l`, or `agent -` if the image has no ssh-add.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
if [ -n "${SSH_AUTH_SOCK:-}" ]; then
    if command -v ssh-add >/dev/null; then
        answer=$(ssh-add -l 2>&1)
        echo "agent $?"
        echo "$answer"
    else
        echo "agent -"
    fi
fi
