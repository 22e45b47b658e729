#!/bin/sh
# Like the published image's entrypoint, this one ends by becoming its arguments.
exec "$@"
