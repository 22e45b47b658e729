#!/bin/sh
# Starts a login shell in the cage, for `cage shell`: login_shell.sh DIRECTORY
#
# Runs as the user of the shell, and becomes $SHELL if the image sets that, otherwise zsh, bash or sh. If DIRECTORY is not
# empty, the shell starts there; an error is printed and the shell starts anyway.

[ -z "$1" ] || cd -- "$1" || true
for shell in "${SHELL:-}" zsh bash; do
    if [ -n "$shell" ] && command -v "$shell" >/dev/null; then exec "$shell" -l; fi
done
exec /bin/sh -l
