//! Real engines: the same bodies on docker, rootful podman and rootless podman.
