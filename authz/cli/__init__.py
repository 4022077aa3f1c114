"""The command line: finds the command, runs it, turns whatever ends it into an exit code.

A command is imported when it is named, and imports what it needs when it runs, so that `authz lint` doesn't wait for
a server's libraries. Nothing here knows policies.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from authz import __version__
from authz.cli.exit_codes import BUG, ENVIRONMENT, NO, USAGE
from authz.cli.failure import CommandFailed
from authz.model.errors import SettingsError

__all__ = ["main"]

_COMMANDS: Final = (
    "serve",
    "lint",
    "fmt",
    "new",
    "import_",
    "explain_code",
    "test",
    "explain",
    "why",
    "diff",
    "routes",
    "can",
    "who_can",
    "lock",
    "decisions",
    "schema",
    "completion",
    "doctor",
    "drift",
    "envoy",
    "config",
    "revoke",
    "issuer",
    "bundle",
    "health",
    "version",
)
"""Modules in the order of the help; each is the command of its name, with `-` for `_`."""
_DEBUG: Final = "AUTHZ_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; usage errors leave by `SystemExit(2)`, as argparse does."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    chosen = next((word for word in words if not word.startswith("-")), "")
    parsed = parser(chosen).parse_args(words)
    return outcome(lambda: parsed.run(parsed))


def outcome(run: Callable[[], int]) -> int:
    """The exit code of something that may fail; what ended it is said on standard error."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except CommandFailed as failure:
        return _fail(failure.code, *failure.lines)
    except SettingsError as error:
        return _fail(USAGE, *error.faults)
    except BrokenPipeError:
        # Whoever read our output has gone (`authz lint | head`); the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except KeyboardInterrupt:
        return _fail(ENVIRONMENT, "interrupted")
    except Exception as error:  # noqa: BLE001 - the last line: people get a sentence, not a traceback
        return _bug(error)


def parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The whole command line's grammar; with `chosen` only that command's arguments (the rest costs time)."""
    root = argparse.ArgumentParser(
        prog="authz",
        description="External authorization for Envoy: verifies who is calling, decides by route policies, says why.",
    )
    root.add_argument("--version", action="version", version=f"authz {__version__}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True, prog=root.prog)
    for command in map(_load, _chosen(chosen)):
        own = commands.add_parser(command.NAME, help=command.HELP, description=command.DESCRIPTION)
        own.set_defaults(run=command.run)
        if chosen is None or chosen == command.NAME:
            command.add_arguments(own)
    return root


def _chosen(word: str | None) -> tuple[str, ...]:
    """The one command that the word names, whose module alone is imported; else all of them, for the help."""
    named = tuple(name for name in _COMMANDS if name.rstrip("_").replace("_", "-") == word)
    return named or _COMMANDS


def _load(name: str) -> Any:
    return importlib.import_module(f"authz.cli.{name}")


def _fail(code: int, *lines: str) -> int:
    for line in lines:
        print(f"authz: {line}", file=sys.stderr)
    return code


def _bug(error: Exception) -> int:
    import traceback

    if os.environ.get(_DEBUG) == "1":
        traceback.print_exc()
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = os.path.basename(place.filename)  # noqa: PTH119 - a name out of a traceback, not a path to use
    return _fail(
        BUG,
        f"this is a bug in authz: {type(error).__name__} at {name}:{place.lineno}; "
        f"{_DEBUG}=1 shows the whole traceback",
    )
