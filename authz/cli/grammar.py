"""The command line's grammar as a table: each command with its words, its options and what they take.

Read from the argparse tree, for what describes the command line: shell completion and the reference page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: all its spellings, whether a value follows, and the values where they are a closed list."""

    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command, by the words that lead to it (none for `authz` itself). `words` can stand next: commands below
    it, or the values of a closed list."""

    path: tuple[str, ...]
    parser: argparse.ArgumentParser
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    below: tuple[str, ...]

    @property
    def name(self) -> str:
        return " ".join(self.path)


def commands(root: argparse.ArgumentParser) -> Iterator[Command]:
    """`authz` itself and every command, each before those below it."""
    yield from _walk(root, (), root.description or "")


def _walk(parser: argparse.ArgumentParser, path: tuple[str, ...], text: str) -> Iterator[Command]:
    below: dict[str, tuple[argparse.ArgumentParser, str]] = {}
    words: list[str] = []
    # argparse has no public view of what was added to it.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            below |= {name: (each, helps.get(name, "")) for name, each in action.choices.items()}
        elif not action.option_strings and action.choices is not None:
            words += map(str, action.choices)
    yield Command(
        path=path, parser=parser, help=text, options=tuple(_options(parser)), words=(*below, *words), below=tuple(below)
    )
    for name, (each, help_text) in below.items():
        yield from _walk(each, (*path, name), help_text)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings:
            yield Option(
                names=tuple(action.option_strings),
                takes_value=action.nargs != 0,
                choices=() if action.choices is None else tuple(map(str, action.choices)),
                help=(action.help or "").replace("%%", "%"),
            )
