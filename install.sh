#!/bin/sh
# Installs cage for the current user, from the releases on GitHub:
#
#   curl -fsSL https://raw.githubusercontent.com/pacificsky/cage/main/install.sh | sh
#
# See `usage` below for options and variables. Everything is downloaded and checked before any file is installed.
set -eu

repository=https://github.com/pacificsky/cage

usage() {
    cat <<END
Install cage, its manual and its completions for the current user.

usage: install.sh [--version X | --uninstall]

  --version X    Install this version instead of the latest
  --uninstall    Remove what this script installs; cages, homes and settings stay
  --help         Show this text

  CAGE_INSTALL_DIR   the directory of the program (default: ~/.local/bin)
  CAGE_VERSION       the same as --version
END
}

say() { printf 'install: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# fetch URL FILE: downloads, and fails unless the server sends the whole file.
fetch() {
    if have curl; then
        curl --fail --silent --show-error --location --retry 2 --output "$2" "$1"
    elif have wget; then
        wget -q -O "$2" "$1"
    else
        fail "neither curl nor wget is here; install one of them"
    fi || fail "could not download $1"
}

# Prints the SHA-256 of a file, and its name.
sha256() {
    if have sha256sum; then
        sha256sum "$1"
    elif have shasum; then
        shasum -a 256 "$1"
    elif have openssl; then
        openssl dgst -sha256 -r "$1"
    else
        fail "none of sha256sum, shasum and openssl is here to check the download with"
    fi
}

# Prints the beginning of the target triple of this machine.
target() {
    os=$(uname -s) arch=$(uname -m)
    # A shell that macOS translates for an Intel processor.
    if [ "$os" = Darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then
        arch=arm64
    fi
    case $arch in
    x86_64 | amd64) arch=x86_64 ;;
    arm64 | aarch64) arch=aarch64 ;;
    *) fail "there is no cage for the processor $arch; build it: cargo install --git $repository" ;;
    esac
    case $os in
    Linux) echo "$arch-unknown-linux" ;;
    Darwin) echo "$arch-apple-darwin" ;;
    *) fail "there is no cage for $os; on Windows, install it in WSL 2" ;;
    esac
}

# Tells whether a file is this cage or the shell script of that name: other programs are called cage, too.
is_ours() { grep -q CAGE_IMAGE "$1" 2>/dev/null; }

# check_replaceable FILE: fails if another program or a directory has the place.
check_replaceable() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    { [ -f "$1" ] && is_ours "$1"; } ||
        fail "$1 is here and is not cage; move it away, or set CAGE_INSTALL_DIR to another directory"
}

# Prints the paths of the program and its completions.
places() {
    echo "$dir/cage"
    echo "$data/bash-completion/completions/cage"
    echo "$data/zsh/site-functions/_cage"
    echo "$data/fish/vendor_completions.d/cage.fish"
}

uninstall() {
    check_replaceable "$dir/cage"
    if [ -e "$dir/cage" ]; then
        say "cages, homes and settings stay; before you remove the program, \`cage obliterate\` removes cages and homes"
    fi
    removed=
    old_ifs=$IFS
    IFS='
'
    for file in $(places) "$data"/man/man1/cage.1 "$data"/man/man1/cage-*.1; do
        if [ -f "$file" ] || [ -L "$file" ]; then
            rm -f "$file"
            removed=yes
            say "removed $file"
        fi
    done
    IFS=$old_ifs
    [ -n "$removed" ] || say "nothing of cage is in $dir and $data"
}

# put SOURCE TARGET: installs a file, so that the target is never incomplete.
put() {
    mkdir -p "${2%/*}"
    staged=$2.new.$$
    cp "$1" "$staged"
    mv -f "$staged" "$2"
}

install_cage() {
    check_replaceable "$dir/cage"
    triple=$(target)
    work=$(mktemp -d "${TMPDIR:-/tmp}/cage-install.XXXXXX")
    staged=$work/none
    trap 'rm -rf "$work" "$staged"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    # Only tests and mirrors set this.
    downloads=${CAGE_RELEASES_URL:-$repository/releases}
    if [ -n "$version" ]; then
        fetch "$downloads/download/v$version/SHA256SUMS" "$work/SHA256SUMS"
    else
        fetch "$downloads/latest/download/SHA256SUMS" "$work/SHA256SUMS"
    fi
    # Lines are: HASH, spaces, cage-VERSION-TARGET.tar.gz
    line=$(grep -E "^[0-9a-f]{64} [ *]cage-[0-9A-Za-z.+-]*-$triple(-musl|-gnu)?\.tar\.gz\$" "$work/SHA256SUMS" | head -n 1)
    [ -n "$line" ] || fail "the release ${version:+$version }has no cage for $triple"
    hash=${line%% *}
    archive=${line##*[ *]}
    found=${archive#cage-}
    found=${found%%-"$triple"*}
    [ -z "$version" ] || [ "$version" = "$found" ] || fail "the release $version lists $archive"

    # By its own version, because the latest release may change between two downloads.
    fetch "$downloads/download/v$found/$archive" "$work/$archive"
    sum=$(sha256 "$work/$archive")
    [ "${sum%% *}" = "$hash" ] ||
        fail "$archive is damaged: its SHA-256 is not the one in SHA256SUMS; nothing was installed"
    tar -C "$work" -xzf "$work/$archive" || fail "could not unpack $archive"
    new=$work/${archive%.tar.gz}
    [ "$("$new/cage" version 2>&1)" = "cage $found" ] ||
        fail "the program in $archive does not run here: $("$new/cage" version 2>&1 | head -n 1)"

    if [ "$(head -c 2 "$dir/cage" 2>/dev/null)" = '#!' ]; then
        say "replacing the shell script $dir/cage; your cages and homes stay"
    fi
    for page in "$new"/man/*.1; do
        put "$page" "$data/man/man1/${page##*/}"
    done
    for shell in bash zsh fish; do
        "$new/cage" completions "$shell" >"$work/$shell"
    done
    put "$work/bash" "$data/bash-completion/completions/cage"
    put "$work/zsh" "$data/zsh/site-functions/_cage"
    put "$work/fish" "$data/fish/vendor_completions.d/cage.fish"
    # The program last: while it is not there, nothing is.
    put "$new/cage" "$dir/cage"
    say "installed cage $found as $dir/cage"
    hint_path
}

# Prints what to add to the start file of the user's shell if `cage` would not be found.
hint_path() {
    case :$PATH: in
    *:"$dir":*)
        other=$(command -v cage) || other=
        [ -z "$other" ] || [ "$other" = "$dir/cage" ] ||
            say "but \`cage\` is $other, which comes first in your PATH; remove it"
        return
        ;;
    esac
    shell=${SHELL:-}
    case ${shell##*/} in
    fish) say "add it to your PATH: fish_add_path $dir" ;;
    zsh) say "add it to your PATH: echo 'export PATH=\"$dir:\$PATH\"' >>~/.zshrc" ;;
    bash) say "add it to your PATH: echo 'export PATH=\"$dir:\$PATH\"' >>~/.bashrc" ;;
    *) say "add $dir to your PATH" ;;
    esac
}

# Called on the last line, so that a script that arrived incomplete does nothing.
main() {
    version=${CAGE_VERSION:-} action=install_cage
    while [ $# -gt 0 ]; do
        case $1 in
        --version)
            [ $# -gt 1 ] || fail "--version needs a version"
            version=$2
            shift
            ;;
        --version=*) version=${1#*=} ;;
        --uninstall) action=uninstall ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
        esac
        shift
    done
    version=${version#v}
    case $version in
    *[!0-9A-Za-z.+-]*) fail "no version: $version" ;;
    esac
    [ -n "${HOME:-}" ] || fail "HOME is not set"
    dir=${CAGE_INSTALL_DIR:-$HOME/.local/bin}
    data=${XDG_DATA_HOME:-$HOME/.local/share}
    case $dir in
    /*) ;;
    *) dir=$PWD/$dir ;;
    esac
    "$action"
}

main "$@"
