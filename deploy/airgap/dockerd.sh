#!/usr/bin/env bash
# Starts Debian's Docker daemon by hand, where there is no init system, and stops it again. A daemon that answers
# already is left alone.
#   dockerd.sh start    prints what it did on stderr and `export DOCKER_HOST=…` on stdout, for: eval "$(dockerd.sh start)"
#   dockerd.sh stop     stops the daemon that `start` started, and no other
#   dockerd.sh status   exit code 0: a daemon answers
# Images stay in ${XDG_CACHE_HOME:-~/.cache}/authz/docker (AUTHZ_DOCKER_DATA). Needs root.
#
# Tried in this order, since each machine forbids something else: the storage driver that the daemon chooses (overlay2
# on most file systems), then vfs, which copies whole layers and works anywhere, even on an overlay; then vfs without
# iptables. Without iptables, containers on one network meet and published ports work, but nothing gets out: build with
# `docker build --network host` there, and private networks are only as private as their names.
set -euo pipefail
data=${AUTHZ_DOCKER_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/authz/docker}
run=/run/authz-docker
socket=unix://$run/docker.sock

say() { printf 'dockerd: %s\n' "$*" >&2; }
answers() { DOCKER_HOST=${1:-} docker info >/dev/null 2>&1; }
alive() { [ -f "$run/docker.pid" ] && kill -0 "$(cat "$run/docker.pid")" 2>/dev/null; }
any() { docker info >/dev/null 2>&1; }

# A daemon leaves its rules behind, among them one that drops what is forwarded: `stop` puts back what was there.
keep_rules() {
  { printf '*%s\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n' nat
    printf '*%s\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n' filter
    iptables-save 2>/dev/null || true; } >"$run/rules"
}

# attempt OPTION...: one try; 20 seconds for it to answer.
attempt() {
  rm -f "$run/docker.pid"
  setsid dockerd --data-root "$data" --exec-root "$run/exec" --pidfile "$run/docker.pid" --host "$socket" \
    --log-level warn "$@" </dev/null >"$run/dockerd.log" 2>&1 &
  local process=$!
  for _ in $(seq 100); do
    answers "$socket" && return 0
    kill -0 "$process" 2>/dev/null || break
    sleep 0.2
  done
  say "not with${*:+ }${*:- its defaults}: $(tail -n 1 "$run/dockerd.log")"
  kill "$process" 2>/dev/null && wait "$process" 2>/dev/null
  return 1
}

start() {
  if any; then
    say "a daemon answers already: $(docker info --format '{{.ServerVersion}}, {{.Driver}}')"
    [ -n "${DOCKER_HOST:-}" ] && printf 'export DOCKER_HOST=%s\n' "$DOCKER_HOST"
    return 0
  fi
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v docker >/dev/null || missing+=(docker.io)
  command -v iptables >/dev/null || missing+=(iptables)
  [ ${#missing[@]} -eq 0 ] || { say "missing. On Debian: apt-get install --no-install-recommends ${missing[*]}"; exit 5; }
  [ "$(id -u)" -eq 0 ] || { say "a daemon needs root."; exit 5; }
  mkdir -p "$data" "$run"
  chmod 0700 "$run"
  keep_rules
  ip link show docker0 >/dev/null 2>&1 || touch "$run/made-docker0"
  local vfs=(--storage-driver=vfs)
  # A store that was begun with one driver is empty for another: stay with it.
  [ -d "$data/vfs" ] || attempt || attempt "${vfs[@]}" || attempt "${vfs[@]}" --iptables=false --ip6tables=false || exit 5
  answers "$socket" || attempt "${vfs[@]}" || attempt "${vfs[@]}" --iptables=false --ip6tables=false || exit 5
  say "started: $(DOCKER_HOST=$socket docker info --format '{{.ServerVersion}}, storage {{.Driver}}, cgroups v{{.CgroupVersion}}')"
  printf 'export DOCKER_HOST=%s\n' "$socket"
}

stop() {
  alive || { say "none that was started here"; return 0; }
  local process
  process=$(cat "$run/docker.pid")
  kill "$process"
  for _ in $(seq 150); do
    kill -0 "$process" 2>/dev/null || break
    sleep 0.2
  done
  kill -0 "$process" 2>/dev/null && { say "process $process doesn't end"; exit 1; }
  [ -e "$run/made-docker0" ] && ip link delete docker0 2>/dev/null
  iptables-restore <"$run/rules" || say "the rules of iptables couldn't be put back"
  rm -rf "$run"
  say "stopped"
}

case ${1:-} in
  start | stop) "$1" ;;
  status) any || answers "$socket" ;;
  *) say "usage: dockerd.sh start | stop | status"; exit 2 ;;
esac
