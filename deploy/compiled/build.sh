#!/usr/bin/env bash
# Builds the wheel whose per-check modules are compiled to C (pyproject.toml says which), and unpacks it.
#   deploy/compiled/build.sh FOLDER     the wheel and, in FOLDER/site, what it holds: a folder for PYTHONPATH
#   PYTHON                              the interpreter to build for and with (default: python3); needs pip
# From a copy of the sources: extension modules beside them would go on being imported when the sources have changed.
# The compiler is beside it; exit code 75 where there is none to be had.
set -euo pipefail
folder=$(realpath --canonicalize-missing "$1")
python=$(realpath --no-symlinks "$(command -v "${PYTHON:-python3}")")
cd "$(dirname "$0")/../.."

PYTHON=$python deploy/compiled/compiler

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R --parents authz docs/faults pyproject.toml README.md LICENSE "$copy"
find "$copy" \( -name __pycache__ -o -name '*.so' \) -prune -exec rm -rf {} +

echo "compiled: building for $("$python" --version) (about half a minute)"
export PIP_CONSTRAINT=$PWD/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
rm -rf "$folder"
HATCH_BUILD_HOOKS_ENABLE=true "$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder" "$copy"
"$python" -m pip install --quiet --no-deps --target "$folder/site" "$folder"/*.whl
PYTHONSAFEPATH=1 PYTHONPATH=$folder/site "$python" -c '
import authz.wire.decode
assert authz.wire.decode.__file__.endswith(".so"), "the build compiled nothing"'
touch "$folder/.ready"
echo "compiled: $(basename "$folder"/*.whl)"
