# Prints the owner of the directory $1, if one is given, and the exit status and answer of `ssh-add -l`, if there is an
# agent to ask.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
if [ -n "$1" ]; then
    # shellcheck disable=SC2012 # busybox has no `stat -c` everywhere
    ls -ldn "$1" | while read -r _ _ user group _; do echo "home $user:$group"; done
fi
if [ -n "${SSH_AUTH_SOCK:-}" ]; then
    if command -v ssh-add >/dev/null; then
        answer=$(ssh-add -l 2>&1)
        echo "agent $?"
        echo "$answer"
    else
        echo "agent -"
    fi
fi
