#!/bin/sh
# Prints which program of the first process's terminal is in the foreground: foreground.sh [continue]
#
# Prints its process group and when that started. Then, if it is a shell that waits for input, a dash and its name, otherwise its age
# in seconds and its name; if it is a shell with a suspended program, that program's. With `continue`, continues a program that Ctrl-Z
# has suspended although its parent is the engine's init process, which never continues it.
#
# Runs as the image's user in the cage.
#
# shellcheck disable=SC2046,SC2086  # /proc/*/stat and the arguments are split on purpose

set -f
action=${1:-}
read -r stat </proc/1/stat || exit
init=${stat#*(}
init=${init%)*}
set -- ${stat##*) }
group=$6 stat=
read -r stat 2>/dev/null <"/proc/$group/stat"
name=${stat#*(}
name=${name%)*}
set -- ${stat##*) }
session=$4 start=${20}
if [ "$action $1 $2" = 'continue T 1' ]; then
    case $init in *init | tini | catatonit) kill -CONT "-$group" ;; esac
fi
echo "$group $start"

case $name in
sh | ash | bash | dash | fish | ksh | nu | zsh)
    script=
    set -- $(tr '\0' ' ' <"/proc/$group/cmdline")
    shift
    for argument; do case $argument in -*) ;; *) script=yes ;; esac done
    if [ ! "$script" ]; then
        shell=$group group=
        set +f
        for process in /proc/[0-9]*; do
            read -r stat 2>/dev/null <"$process/stat" || continue
            number=${stat%% *} rest=${stat##*) }
            case $rest in "T $shell $number $session "*) group=$number && break ;; esac
        done
        [ "$group" ] || { echo "- $name" && exit; }
        name=${stat#*(}
        name=${name%)*}
        set -f
        set -- $rest
        start=${20}
    fi
    ;;
esac
read -r uptime _ </proc/uptime
# The kernel counts in hundredths of a second here.
echo "$((${uptime%.*} - start / 100)) $name"
