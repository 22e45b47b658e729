#!/bin/sh
# Prints which program of the first process's terminal is in the foreground: its process group, and when that started.
#
# Runs as the image's user in the cage.
#
# shellcheck disable=SC2086  # /proc/*/stat is split on purpose

read -r stat </proc/1/stat || exit
set -- ${stat##*) }
group=$6 stat=
read -r stat 2>/dev/null <"/proc/$group/stat"
set -- ${stat##*) }
echo "$group ${20}"
