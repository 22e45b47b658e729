#!/bin/sh
# Creates and removes empty files in a running cage, in directories of its own: placeholders.sh FILE... -- FILE...
#
# Runs as root. Creates the files before `--` with the directories above them, and removes the others if they are empty. A way through
# a symbolic link is left alone, because it may lead into a mount; the directories are entered one by one, so that a link that is
# put there meanwhile is noticed.

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
umask 022
action=create
for file; do
    if [ "$file" = -- ]; then
        action=remove
        continue
    fi
    (
        cd / || exit
        rest=${file#/} way=
        while [ "$rest" != "${rest#*/}" ]; do
            part=${rest%%/*} rest=${rest#*/}
            way=$way/$part
            [ -d "./$part" ] || { [ "$action" = create ] && mkdir "./$part"; } || exit
            cd -P -- "./$part" || exit
            [ "$(pwd -P)" = "$way" ] || exit
        done
        if [ "$action" = remove ]; then
            if [ -f "./$rest" ] && [ ! -L "./$rest" ] && [ ! -s "./$rest" ]; then rm "./$rest"; fi
        elif [ ! -e "./$rest" ] && [ ! -L "./$rest" ]; then
            set -C
            : >"./$rest"
        fi
    )
done
