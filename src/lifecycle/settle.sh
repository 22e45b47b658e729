#!/bin/sh
# Completes what the engine leaves undone when a cage starts: settle.sh [SOCKET]
#
# Runs as root in the cage, each time after it has started. Its output is not read, and it never fails.
#
# - Opens SOCKET, the SSH agent's socket in a virtual machine, to all users: it belongs to root or the machine's user.
# - Adds the name host.docker.internal, which podman before version 5.3 doesn't know.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
{
    if [ -S "$1" ]; then chmod 0666 "$1"; fi
    if ! grep -qF host.docker.internal /etc/hosts && host=$(grep -F host.containers.internal /etc/hosts); then
        echo "${host%%[!0-9a-fA-F.:]*} host.docker.internal" >>/etc/hosts
    fi
} 2>/dev/null
true
