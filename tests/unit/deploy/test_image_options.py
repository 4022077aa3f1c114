"""What the image's scripts make of their options, by stand-ins for `docker`, `python3` and pip; no daemon needed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.architecture import tree

_SAYS: Final = '#!/bin/sh\nprintf "%s\\n" "$*" >>"$SAID"\n'
_DOCKER: Final = _SAYS + 'case $* in "image inspect --format"*) echo 1000000 ;; esac\n'
_PYTHON: Final = '#!/bin/sh\nprintf "%s\\n" "hooks=${HATCH_BUILD_HOOKS_ENABLE:-off} $*" >>"$SAID"\n'
"""Says which build hooks are on, and what it was called with."""


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _said(folder: Path, *command: str, **environment: str) -> list[str]:
    """The lines that the stand-ins of a folder wrote down while a script of the project ran."""
    said = folder / "said"
    inherited = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG")}
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    variables: Mapping[str, str] = {**inherited, "PATH": path, "SAID": str(said), "TMPDIR": str(folder), **environment}
    done = subprocess.run([*command], cwd=tree.ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return said.read_text().splitlines()


def _builds(folder: Path, **environment: str) -> list[str]:
    _program(folder / "bin" / "docker", _DOCKER)
    lines = _said(folder, "deploy/image/build.sh", PYTHON="false", **environment)
    return [line for line in lines if line.startswith("build ")]


def _install(folder: Path, what: str, **environment: str) -> list[str]:
    _program(folder / "bin" / "python3", _PYTHON)
    _program(folder / "environment" / "bin" / "python", _PYTHON)
    return _said(folder, "deploy/image/install", what, str(folder / "environment"), **environment)


def test_the_image_is_plain_python_unless_asked(tmp_path: Path) -> None:
    """Both images, and neither is told to compile."""
    builds = _builds(tmp_path)

    assert [re.findall(r"--target (\w+)", line) for line in builds] == [["authz"], ["store"]]
    assert not [line for line in builds if "COMPILED" in line]


def test_both_images_are_compiled_when_asked(tmp_path: Path) -> None:
    """COMPILED=1 reaches each build."""
    builds = _builds(tmp_path, COMPILED="1")

    assert len(builds) == 2
    assert all("--build-arg COMPILED=1" in line for line in builds)


@pytest.mark.parametrize("compiled", ["", "0"])
def test_plain_python_is_installed_without_the_build_hook(tmp_path: Path, compiled: str) -> None:
    """No hook, and nothing is asked of a compiler."""
    lines = [*_install(tmp_path, "compiler", COMPILED=compiled), *_install(tmp_path, "itself", COMPILED=compiled)]

    assert {line.split()[0] for line in lines} == {"hooks=off"}
    assert not [line for line in lines if "Python.h" in line]


def test_compiled_modules_are_installed_and_looked_for(tmp_path: Path) -> None:
    """pip runs with the build hook; a build that compiled nothing would end right after."""
    said = "\n".join(_install(tmp_path, "itself", COMPILED="1"))

    assert re.search(r"hooks=true -m pip .* --no-deps \.\n.* -P -c", said)
    assert 'authz.wire.decode.__file__.endswith(".so")' in said


def test_a_compiler_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    """An air-gapped BUILD_BASE can bring one: then no package is fetched."""
    _program(tmp_path / "bin" / "gcc", _SAYS)
    _program(tmp_path / "bin" / "apt-get", _SAYS)

    assert [line for line in _install(tmp_path, "compiler", COMPILED="1") if "Python.h" in line]
    assert "install" not in (tmp_path / "said").read_text()


def test_only_the_building_stage_knows_of_compiling() -> None:
    """What is run from is another stage, and takes one folder over: no compiler can be in it."""
    building, _, result = tree.text_of("Dockerfile").partition("AS service\n")

    assert re.findall(r"^ARG COMPILED.*$", building, re.MULTILINE) == ["ARG COMPILED"]
    assert "COMPILED" not in result
    assert re.findall(r"^COPY --from=build .*$", result, re.MULTILINE)[0] == "COPY --from=build /opt/authz /opt/authz"


def test_compose_knows_the_options_of_the_image() -> None:
    """Each build argument of the compose file is one of the Dockerfile."""
    arguments = yaml.safe_load(tree.text_of("docker-compose.yml"))["services"]["authz-1"]["build"]["args"]
    known = set(re.findall(r"^ARG (\w+)", tree.text_of("Dockerfile"), re.MULTILINE))

    assert "COMPILED" in arguments
    assert set(arguments) <= known
