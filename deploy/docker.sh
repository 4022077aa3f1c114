# Read by the scripts beside it: finds the Docker daemon, the one that airgap/dockerd.sh started by hand included, or says
# what to do and ends with exit code 5 (environment).
by_hand=/run/authz-docker/docker.sock

need_docker() {
  command -v docker >/dev/null ||
    { echo "Docker is missing. On Debian: apt-get install docker.io docker-compose" >&2; exit 5; }
  if [ -z "${DOCKER_HOST:-}" ] && [ -S "$by_hand" ]; then export DOCKER_HOST=unix://$by_hand; fi
  docker info >/dev/null 2>&1 || {
    echo "No Docker daemon answers. Where no init system starts it, as root: deploy/airgap/dockerd.sh start" >&2
    exit 5
  }
}
