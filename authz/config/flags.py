"""Command-line flags for every setting, made from the settings themselves so that none is forgotten.

Owns: the argparse side of config.load. Values stay text here: they are read with all the others, so that a
faulty flag is reported beside a faulty file.
"""

from __future__ import annotations

import argparse
from typing import Final

from authz.config.kinds import Many
from authz.config.load import flag_name
from authz.config.settings import descriptors

_PREFIX: Final = "setting:"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting; lists may be given several times or separated by commas."""
    group = parser.add_argument_group("settings (see docs/settings.md)")
    for each in descriptors():
        group.add_argument(
            flag_name(each.name),
            dest=_PREFIX + each.name,
            default=argparse.SUPPRESS,
            metavar=each.name.rpartition(".")[2].upper(),
            help=each.help.replace("%", "%%"),
            action="append" if isinstance(each.kind, Many) else "store",
        )


def given_flags(namespace: argparse.Namespace) -> dict[str, str | list[str]]:
    """What was given, by dotted name, for `load_settings(flags=…)`."""
    given: dict[str, str | list[str]] = {}
    for key, value in vars(namespace).items():
        if key.startswith(_PREFIX):
            given[key.removeprefix(_PREFIX)] = _flat(value) if isinstance(value, list) else value
    return given


def _flat(values: list[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",")]
