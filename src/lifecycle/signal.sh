#!/bin/sh
# Signals a command of `cage run` or `cage shell` in the cage and its children: signal.sh NAME=VALUE SIGNAL
#
# Runs as the user of that command. NAME=VALUE is in the environment of its processes. Like a terminal that is closed, the
# signal reaches only the session of the command itself, whose parent is outside of the container (PPID 0), and not
# sessions that were started since, such as tmux. A suspended command is continued. Its output is not read, and it fails if there is no
# such command, perhaps not yet.
#
# shellcheck disable=SC2086,SC2329  # /proc/*/stat is split on purpose; `leader` and `hit` are called by name.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
mark=$1 signal=$2 sessions='' leaders=''
each() {
    callback=$1
    for process in /proc/[0-9]*; do
        tr '\0' '\n' <"$process/environ" | grep -qxF "$mark" || continue
        read -r stat <"$process/stat" || continue
        set -- ${stat##*) }
        "$callback" "${process#/proc/}" "$2" "$4"
    done
}
leader() { if [ "$2" = 0 ]; then sessions="$sessions $3 " leaders="$leaders $1"; fi; }
hit() { case $sessions in *" $3 "*) kill -"$signal" "$1" ;; esac; }
{
    each leader
    # The shell that controls the command continues it.
    [ "$signal" = CONT ] || each hit
    kill -CONT $leaders
    [ "$signal" != CONT ] || for leader in $leaders; do
        # A key that comes before the command has the terminal is lost.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            read -r stat <"/proc/$leader/stat" || break
            set -- ${stat##*) }
            [ "$6" = "$3" ] || break
            sleep 0.05
        done
    done
} 2>/dev/null
[ "$leaders" ]
