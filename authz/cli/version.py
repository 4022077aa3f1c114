"""`authz version`: which program, interpreter and libraries decide here."""

from __future__ import annotations

import argparse
from typing import Any, Final

from authz import __version__
from authz.cli.exit_codes import YES

_LIBRARIES: Final = ("grpcio", "protobuf", "joserfc", "cryptography", "httpx")


def add_to(commands: Any) -> None:
    parser = commands.add_parser("version", help="print the versions of authz and of the libraries that matter")
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import version

    print(f"authz {__version__}")
    print(f"python {platform.python_version()}")
    for library in _LIBRARIES:
        print(f"{library} {version(library)}")
    return YES
