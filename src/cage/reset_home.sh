#!/bin/sh
# Resets the home volume at /cage-home to the image's home directory: reset_home.sh HOME [UID:GID]
#
# Runs as root in a short-lived container of a cage's image (`cage rmconfig`). HOME is the home directory in the image;
# UID:GID, if not empty, becomes the owner of all files.

set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
# There may be more files than fit into one command. The mount point itself stays.
rm -rf /cage-home 2>/dev/null || true
cd /cage-home
rm -rf -- * .[!.]* ..?*
if [ -d "$1" ]; then cp -RPp "$1"/. .; fi
if [ -n "$2" ]; then chown -hR "$2" .; fi
