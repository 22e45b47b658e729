#!/bin/sh
# Runs a command in the cage, for `cage run`: exec_command.sh DIRECTORY COMMAND [ARGUMENT...]
#
# Runs as the user of the command. An empty DIRECTORY means the current one. The engines' own `--workdir` is not used: its
# exit codes differ between engines, and docker 20.10 prints its errors to stdout.

if [ -n "$1" ] && ! cd -- "$1" 2>/dev/null; then
    echo "error: there is no such directory in the cage, or none for this user" >&2
    exit 125
fi
shift
exec "$@"
