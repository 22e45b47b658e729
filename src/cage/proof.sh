#!/bin/sh
# Shows that directories are those of another machine: proof.sh FILE…
#
# Prints a line, then the text of each FILE, a line each, and waits a while for those that are not there yet: a synced tree takes a
# moment. Stops at the first FILE that doesn't come.

PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
echo files:
tries=5
for file; do
    until [ -r "$file" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 0
        sleep 1
    done
    cat "$file" && echo
done
