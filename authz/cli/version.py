"""`authz version`: which program, interpreter and libraries decide here."""

from __future__ import annotations

import argparse
from typing import Final

from authz import __version__
from authz.cli.exit_codes import YES

_LIBRARIES: Final = ("grpcio", "protobuf", "joserfc", "cryptography", "httpcore")


NAME: Final = "version"
HELP: Final = "print the versions of authz and of the libraries that matter"
DESCRIPTION: Final = "Prints the versions of authz, the interpreter and the libraries that matter."


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_arguments: argparse.Namespace) -> int:
    """Print one line each."""
    import platform
    from importlib.metadata import version

    print(f"authz {__version__}")
    print(f"python {platform.python_version()}")
    for library in _LIBRARIES:
        print(f"{library} {version(library)}")
    return YES
