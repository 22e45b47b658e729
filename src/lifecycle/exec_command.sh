#!/bin/sh
# Runs a command in the cage, for `cage run` and `cage shell`: exec_command.sh DIRECTORY UNSET [ROWS COLUMNS] -- [COMMAND...]
#
# Runs as the user of the command; without COMMAND it becomes a login shell: $SHELL if the image sets that, otherwise zsh, bash
# or sh. The engines' own `--workdir` is not used: its exit codes differ between engines, and docker 20.10 prints its errors to stdout.
#
# UNSET are names of variables that describe another terminal than this one; there may be none. ROWS and COLUMNS are the terminal's size: docker 20.10
# sets it only after the command has started.
#
# With COMMAND, $0 is the name of the cage's image, for the message about a program that is missing.
#
# A COMMAND with a terminal is a job of this shell: the kernel suspends no program whose parent is outside of the container. When it
# is suspended, an OSC sequence tells cage, which sends SIGCONT to this shell when the user continues it. A shell reports the suspension
# on stderr, which is therefore discarded, but not of bash, which finds its terminal by it. bash also leaves a loop when a job is
# suspended, so a function calls itself instead.
#
# shellcheck disable=SC2086  # names of variables are split on purpose

# Started by cage to run the command at the end.
directory=$1
[ -z "$2" ] || unset $2
if [ "$3" != -- ]; then
    if [ "$(stty size 2>/dev/null)" = "0 0" ]; then stty rows "$3" columns "$4" 2>/dev/null; fi
    shift 2
fi
shift 3
if ! cd -- "$directory" 2>/dev/null; then
    echo "error: there is no such directory in the cage, or none for this user" >&2
    if [ $# -gt 0 ]; then exit 125; fi
fi
unset directory OLDPWD
absent() {
    printf 'error: %s\n' "$1" >&2
    [ -z "$2" ] || printf 'hint: %s\n' "$2" >&2
    exit 127
}
if [ $# -gt 0 ]; then
    case $1 in
    */*) [ -e "$1" ] || absent "there is no \`$1\` in the cage, or none for this user" ;;
    *)
        command -v -- "$1" >/dev/null 2>&1 || absent "\`$1\` is not in $0" \
            "docs/images.md in cage's repository shows how to get it into an image"
        ;;
    esac
    if [ -t 0 ]; then command set -m 2>/dev/null; fi
    case $- in *m*) ;; *) exec "$@" ;; esac
    trap : INT QUIT TERM
    [ -n "${BASH_VERSION:-}" ] || exec 2>/dev/null
    ended() {
        code=$?
        kill -0 %% 2>/dev/null || exit $code
        printf '\033]5379;%s\007' "$CAGE_SESSION"
        kill -STOP $$
        fg >/dev/null
        ended
    }
    (exec "$@" 2>&1)
    ended
fi
for shell in "${SHELL:-}" zsh bash; do
    if [ -n "$shell" ] && command -v "$shell" >/dev/null; then exec "$shell" -l; fi
done
exec /bin/sh -l
