# shellcheck shell=bash disable=SC2034 # its variables are for those who source it
# What the lab's scripts and scripts/try share. Sourced, with `set -euo pipefail`. Nothing here runs by itself.
#
# scripts/try and image/build use it on a Mac too, so: nothing that bash 3.2 lacks in what they call.

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_IMAGE=cage-lab
LAB_BUSYBOX_IMAGE=cage-lab-busybox
LAB_RECIPE_LABEL=cage-lab.recipe
LAB_REGISTRY=127.0.0.1:5000
LAB_USER=cage-lab

# Pids and logs of what the lab starts. Gone with a reboot, like the processes.
LAB_RUN=/run/cage-lab

if [ -n "${CAGE_LAB_CACHE:-}" ]; then
    LAB_CACHE=$CAGE_LAB_CACHE
elif [ "$(id -u)" = 0 ]; then
    LAB_CACHE=/var/cache/cage-lab
else
    LAB_CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/cage-lab
fi

# Coding agents and a terminal, which `npm` fetches.
LAB_NPM=$LAB_CACHE/npm

# ---------------------------------------------------------------------------------------------------------------------
# Words

LAB_NAME=${0##*/}

say() { echo "$LAB_NAME: $*" >&2; }

fail() {
    echo "$LAB_NAME: error: $*" >&2
    exit 1
}

# Runs a talkative command and shows what it said only if it fails.
logged() {
    local log rc=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    if [ $rc != 0 ]; then
        echo "$LAB_NAME: failed with $rc: $*" >&2
        tail -n 20 "$log" | sed 's/^/    /' >&2
    fi
    rm -f "$log"
    return $rc
}

# ---------------------------------------------------------------------------------------------------------------------
# The machine

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

on_debian() { [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null; }

has_systemd() { [ -d /run/systemd/system ]; }

# bounded SECONDS CMD…: a Mac has no timeout(1), but it has perl.
bounded() {
    if command -v timeout >/dev/null; then
        timeout "$@"
    else
        perl -e 'alarm shift; exec @ARGV or die' "$@"
    fi
}

# Whether somebody answers at HOST PORT. A machine that gets out through a proxy can't be asked this way: hope for it.
can_connect() {
    [ -z "${https_proxy:-}${HTTPS_PROXY:-}" ] || return 0
    # shellcheck disable=SC2016 # the inner bash expands them
    bounded 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

# wait_for SECONDS CMD…: until CMD succeeds.
wait_for() {
    local tries=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.2
    done
}

# Installs those of the named Debian packages that are missing.
need_packages() {
    local package missing=()
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    say "installing ${missing[*]}"
    logged as_root apt-get update || say "apt-get update failed; trying with the package lists that are there"
    logged as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-remove \
        "${missing[@]}" ||
        fail "could not install ${missing[*]}"
}

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# ---------------------------------------------------------------------------------------------------------------------
# Engines

docker_answers() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

podman_answers() { command -v podman >/dev/null && podman info >/dev/null 2>&1; }

# Debian's docker, unless there is one from elsewhere. Newer releases pack the client separately.
install_docker() {
    command -v dockerd >/dev/null || need_packages docker.io
    command -v docker >/dev/null || need_packages docker-cli
}

# podman, with what it wants to run without root (uidmap, and slirp4netns or passt) and for --init (catatonit).
install_podman() {
    # Docker's own packages bring a runc, and Debian's would throw them out.
    command -v runc >/dev/null || need_packages runc
    need_packages podman crun uidmap slirp4netns passt fuse-overlayfs netavark aardvark-dns iptables catatonit
}

# Starts dockerd (as root), if docker does not answer already.
start_docker() {
    ! docker_answers || return 0
    [ -z "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] ||
        fail "no docker answers where DOCKER_HOST or DOCKER_CONTEXT point to"
    mkdir -p "$LAB_RUN"
    if has_systemd; then
        say "starting docker (systemd)"
        systemctl start docker || fail "systemctl could not start docker"
        touch "$LAB_RUN/docker.systemd"
        wait_for 30 docker_answers || fail "docker was started, and does not answer"
        return
    fi

    # A kernel without netfilter can't give containers a network, but all else works.
    start_dockerd || start_dockerd --iptables=false --ip6tables=false || {
        tail -n 20 "$LAB_RUN/dockerd.log" >&2
        fail "dockerd does not start (its log: $LAB_RUN/dockerd.log)"
    }
}

# start_dockerd FLAG…: fails if it ends, or does not answer in time.
start_dockerd() {
    local pid tries
    # Pid files outlive a machine that keeps /run, and dockerd believes them if some process now has that number.
    forget_pid_file /var/run/docker.pid dockerd
    forget_pid_file /var/run/docker/containerd/containerd.pid containerd

    say "starting dockerd${*:+ $*} (log: $LAB_RUN/dockerd.log)"
    setsid dockerd "$@" >"$LAB_RUN/dockerd.log" 2>&1 </dev/null &
    pid=$!
    echo $pid >"$LAB_RUN/dockerd.pid"
    for ((tries = 150; tries > 0; tries--)); do
        ! docker_answers || return 0
        ! not_running $pid >/dev/null || break
        sleep 0.2
    done
    stop_pid_file "$LAB_RUN/dockerd.pid" dockerd
    return 1
}

# Removes a pid file whose process is not, or no longer, the named program.
forget_pid_file() {
    [ ! -e "$1" ] || runs_as "$(cat "$1")" "$2" || rm -f "$1"
}

runs_as() { [[ "$(readlink "/proc/$1/exe")" == */"$2"* ]]; }

# Stops the process of a pid file, if it still is the named program.
stop_pid_file() {
    local pid
    [ -e "$1" ] || return 0
    pid=$(cat "$1")
    if runs_as "$pid" "$2"; then
        kill "$pid"
        wait_for 20 not_running "$pid" || say "$2 ($pid) does not stop"
    fi
    rm -f "$1"
}

# A process that has ended is no longer any program, even where nobody collects it.
not_running() { ! readlink "/proc/$1/exe"; }

# ---------------------------------------------------------------------------------------------------------------------
# Engines without root

lab_runtime_dir() { echo "/run/user/$(id -u "$LAB_USER")"; }

# Runs a command as the lab's user, in the environment in which the tests do.
as_lab() {
    (
        cd /
        exec runuser -u "$LAB_USER" -- env -i \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME="/home/$LAB_USER" \
            XDG_DATA_HOME="/home/$LAB_USER/.local/share" \
            XDG_RUNTIME_DIR="$(lab_runtime_dir)" \
            "$@"
    )
}

stop_rootless_docker() { stop_pid_file "$(lab_runtime_dir)/cage-lab-docker.pid" rootlesskit; }

# ---------------------------------------------------------------------------------------------------------------------
# The image

# A hash of the files that the image is made of.
lab_recipe() {
    (
        cd "$LAB_DIR/image" || exit
        cat Dockerfile build entrypoint.sh zshrc | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16
    )
}

# image_recipe ENGINE… IMAGE: the recipe that the engine's image was built from; nothing if there is no image.
image_recipe() {
    local image=${*: -1}
    "${@:1:$#-1}" image inspect --format "{{index .Config.Labels \"$LAB_RECIPE_LABEL\"}}" "$image" 2>/dev/null || true
}

# forget_old_images ENGINE…: removes those of ours that have lost their name to a newer one.
forget_old_images() {
    "$@" image prune --force --filter "label=$LAB_RECIPE_LABEL" >/dev/null
}
