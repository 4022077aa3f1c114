"""An Envoy's configuration as the commands that judge one read it: a file or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT, USAGE
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    import argparse

    from authz.envoy.configuration import Configuration

MAX_BYTES: Final = 256 * 1024 * 1024
"""A dump of a large mesh has tens of megabytes."""
SOURCE_HELP: Final = (
    "what an Envoy's admin address answers at /config_dump?include_eds, or a bootstrap file; - is standard input"
)


def add_leniency(parser: argparse.ArgumentParser) -> None:
    """The way out when an Envoy is newer than our envoy-data-plane."""
    parser.add_argument(
        "--ignore-unknown", action="store_true", help="skip fields that the installed envoy-data-plane doesn't know"
    )


def read_envoy(file: str, *, lenient: bool) -> Configuration:
    """Raises `CommandFailed`: 5 when it can't be read at all, 2 when it is no configuration."""
    data = _bytes(file)
    if len(data) > MAX_BYTES:
        raise CommandFailed(USAGE, f"{file}: it is over {MAX_BYTES} bytes")
    try:
        from authz.envoy.configuration import ConfigurationError, read
    except ImportError as error:
        missing = "it needs the extra `envoy`: pip install 'authz[envoy]'"
        raise CommandFailed(ENVIRONMENT, missing) from error
    try:
        return read(data, lenient=lenient)
    except ConfigurationError as error:
        raise CommandFailed(USAGE, f"{file}: {error}") from error


def _bytes(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(file).open("rb") as source:
            return source.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{file}: {error.strerror}") from error
