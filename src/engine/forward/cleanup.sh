#!/bin/sh
# Ends processes of `cage forward` in the cage: cleanup.sh NAME=VALUE
#
# Runs as the cage's user as long as `cage forward` does. Each line of stdin is the ID of a process to end. At the end of
# stdin, which comes even if cage was killed, all remaining ones are ended. Each of these processes has NAME=VALUE in its
# environment and leads a process group.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
mark=$1
end() {
    tr '\0' '\n' <"/proc/$1/environ" | grep -qxF "$mark" || return 0
    kill -KILL -"$1" || kill -KILL "$1"
}
{
    while read -r process; do end "$process"; done
    for process in /proc/[0-9]*; do end "${process#/proc/}"; done
} 2>/dev/null
true
