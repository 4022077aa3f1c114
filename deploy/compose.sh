#!/usr/bin/env bash
# Brings the store of docker-compose.yml up and down, with Compose v2 or docker-compose 1.29, whichever is there.
#   compose.sh up       builds the images, starts everything, prints what to try
#   compose.sh down     removes everything, volumes too
#   compose.sh COMMAND  any other command of Compose, for this project
#   AIRGAP=1            without an image registry: see deploy/airgap/README.md
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'compose: %s\n' "$@" >&2; exit 5; }
. deploy/docker.sh
need_docker
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  fail "Compose is missing. On Debian: apt-get install docker-compose"
fi
compose+=(-f docker-compose.yml)
[ -z "${AIRGAP:-}" ] || compose+=(-f docker-compose.airgap.yml)
[ "${STORE_IDENTITIES:-files}" != spire ] || compose+=(--profile spire)

case ${1:-} in
  up)
    deploy/image/build.sh
    COMPOSE_COMMAND=${compose[*]} "${compose[@]}" up --detach
    # `up` returns once the last container has started, which is a moment before it has spoken.
    for _ in $(seq 50); do
      said=$("${compose[@]}" logs --no-color --no-log-prefix welcome)
      [[ $said != *"no restart"* ]] || break
      sleep 0.2
    done
    printf '%s\n' "$said" | sed '/^Attaching to/d' ;;
  down) "${compose[@]}" --profile spire --profile visit down --volumes --remove-orphans ;;
  "") fail "say what: up, down, or a command of Compose" ;;
  *) exec "${compose[@]}" "$@" ;;
esac
