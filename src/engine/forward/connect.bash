#!/bin/bash
# Connects stdin and stdout to a port of the cage's localhost, by IPv4 or IPv6: connect.bash PORT
#
# Runs as the cage's user, once per connection of `cage forward`, if there is neither perl nor python3. Prints `refused` to
# stderr if nothing listens. Exits once the server has sent everything, and can't tell the server that the client has.

if ! { exec 3<>/dev/tcp/127.0.0.1/"$1" || exec 3<>/dev/tcp/::1/"$1"; } 2>/dev/null; then
    echo refused >&2
    exit 1
fi
cat <&0 >&3 &
cat <&3
kill -KILL $!
