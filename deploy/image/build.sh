#!/usr/bin/env bash
# Builds the image `authz:local` and the one of the worked example, `authz-store:local`; prints the size that we add to
# the base and fails when it is over its limit.
#   AIRGAP=1            on the bases of deploy/airgap/bases.sh, which it makes if they aren't there
#   BASE, BUILD_BASE    other bases
#   COMPILED=1          the modules that each check runs through compiled to C, as `make compiled` does; without it all is
#                       plain Python. The building stage gets gcc, libc6-dev and python3-dev where they are missing
#   CA_BUNDLE=FILE      CA certificates that pip needs during the build; unset: what pip is set to here, if anything
#   BUILD_OPTIONS       more options of `docker build`, for example --network host
set -euo pipefail
cd "$(dirname "$0")/../.."
limit=150

fail() { printf 'image: %s\n' "$@" >&2; exit 5; }
. deploy/docker.sh
need_docker

arguments=() options=()
read -r -a options <<<"${BUILD_OPTIONS:-}"
if [ -n "${AIRGAP:-}" ]; then
  deploy/airgap/bases.sh
  BASE=${BASE:-authz-airgap/python} BUILD_BASE=${BUILD_BASE:-authz-airgap/python-build}
fi
[ -z "${BASE:-}" ] || arguments+=(--build-arg "BASE=$BASE")
[ -z "${BUILD_BASE:-}" ] || arguments+=(--build-arg "BUILD_BASE=$BUILD_BASE")
for name in COMPILED PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST; do
  [ -z "${!name:-}" ] || arguments+=(--build-arg "$name=${!name}")
done
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=-dirty
version=$(sed -n 's/^__version__.*"\(.*\)"$/\1/p' authz/__init__.py)

# A proxy that opens TLS: whoever set pip up here for it gets the same inside the build.
bundle=${CA_BUNDLE:-${PIP_CERT:-$("${PYTHON:-python3}" -m pip config get global.cert 2>/dev/null || true)}}
own=deploy/image/ca-bundle.crt
if [ -n "$bundle" ] && [ ! -e "$own" ]; then
  [ -f "$bundle" ] || fail "CA_BUNDLE=$bundle is no file"
  trap 'rm -f "$own"' EXIT
  cp "$bundle" "$own"
fi

for target in authz store; do
  tag=$([ "$target" = authz ] && echo "${AUTHZ_IMAGE:-authz:local}" || echo "${STORE_IMAGE:-authz-store:local}")
  docker build "${options[@]}" --target "$target" --tag "$tag" "${arguments[@]}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" . >/tmp/authz-image.$$ 2>&1 ||
    { tail -n 40 /tmp/authz-image.$$ >&2; rm -f /tmp/authz-image.$$; fail "the stage $target can't be built"; }
  rm -f /tmp/authz-image.$$
done

size() { docker image inspect --format '{{.Size}}' "$1"; }
base=${BASE:-python:3.11-slim-bookworm} image=${AUTHZ_IMAGE:-authz:local}
docker image inspect "$base" >/dev/null 2>&1 || docker pull --quiet "$base" >/dev/null
above=$((($(size "$image") - $(size "$base")) / 1000000))
echo "image: $image, version $version, revision $revision: $above MB above $base (limit $limit MB)"
[ "$above" -lt "$limit" ] || fail "it is too big"
