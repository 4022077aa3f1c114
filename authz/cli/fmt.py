"""`authz fmt PATH…`: one way to write a policy, comments kept.

Keys in the language's own order, two spaces of indentation, short lists and mappings as they were written. Changes
nothing that the loader reads: what a file says before and after is compared, and a difference leaves the file alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from authz.cli.exit_codes import ENVIRONMENT, NO, POLICY_INVALID, YES
from authz.cli.failure import CommandFailed

NAME: Final = "fmt"
HELP: Final = "write policies in one stable form, comments kept"
DESCRIPTION: Final = (
    "Rewrites policy files in one stable form and keeps their comments. With --check it only says which files would "
    "change, and ends with exit code 1 if any would. Needs the extra `fmt`."
)
WIDTH: Final = 120
ORDERS: Final = (
    ("apiVersion", "kind", "metadata", "policy", "now", "people", "service", "requirements", "routes", "tests"),
    ("apiVersion", "kind", "bind", "destinations", "hosts", "guardrails"),
    ("apiVersion", "kind", "trustDomains", "roles", "peers"),
    ("name", "owner", "runbook"),
    ("hosts", "at", "by_name", "audiences", "preflight"),
    ("id", "match", "allow", "candidate", "identity", "objects"),
    ("methods", "path", "grpc", "upgrade"),
    ("name", "as", "request", "expect", "route", "headers", "challenge", "now"),
    ("method", "host", "path", "scheme", "at", "service", "headers", "from", "tls"),
    ("id", "for", "forbid", "require", "deny", "absent", "except"),
    ("route", "why", "until"),
    ("allow", "until"),
)
"""The order of keys in each kind of mapping; a mapping is sorted by the list that knows most of its keys, and only if
that list knows all of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to rewrite."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="policy files, or directories of them")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a file would change")
    parser.add_argument("--diff", action="store_true", help="change nothing; show what would change")


def run(arguments: argparse.Namespace) -> int:
    """Format every file; one that can't be read is said and left alone."""
    changed = invalid = 0
    for file in _files(arguments.paths):
        before = _read(file)
        after = _formatted(file, before)
        if after is None:
            invalid += 1
        elif after != before:
            changed += 1
            _report(file, before, after, arguments)
    if invalid:
        return POLICY_INVALID
    return NO if changed and (arguments.check or arguments.diff) else YES


def format_text(text: str) -> str:
    """The text in the stable form. Raises ValueError when it can't be read, or wouldn't say the same."""
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        documents = list(yaml.load_all(text))
    except YAMLError as error:
        raise ValueError("the file is no YAML") from error
    for document in documents:
        _order(document)
    out = StringIO()
    yaml.dump_all(documents, out)
    formatted = out.getvalue().rstrip("\n") + "\n"
    if _meaning(text) != _meaning(formatted):
        raise ValueError("formatting would change what the file says")
    return formatted


def _order(node: Any) -> None:
    """Sort keys below, but not where comments stand between them: a comment belongs to the line that follows it."""
    if isinstance(node, dict):
        for value in node.values():
            _order(value)
        wanted = _wanted(list(node))
        if list(node) != wanted and not _has_own_comments(node):
            for key in wanted:
                node[key] = node.pop(key)
    elif isinstance(node, list):
        for item in node:
            _order(item)


def _wanted(keys: list[Any]) -> list[Any]:
    """The keys in the order of their kind of mapping; as they are where none is known."""
    known = [order for order in ORDERS if set(keys) <= set(order)]
    return sorted(keys, key=known[0].index) if known else keys


def _has_own_comments(node: Any) -> bool:
    """Whether a comment stands on a line of its own anywhere below."""
    if getattr(node, "ca", None) is not None and (node.ca.comment or node.ca.items):
        return True
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return any(_has_own_comments(value) for value in values)


def _meaning(text: str) -> object:
    """What the strict reader reads, without places."""
    from authz.policy.yaml_reader import read_file

    read = read_file("file.yaml", text.encode())
    faults = [fault for document in read.documents for fault in document.faults]
    if read.broken is not None:
        faults.append(read.broken)
    if faults:
        raise ValueError(f"{faults[0].place.line}:{faults[0].place.column}: {faults[0].message}")
    return [_value(document.root) for document in read.documents]


def _value(node: Any) -> object:
    from authz.policy.yaml_tree import Mapping, Sequence

    if type(node) is Mapping:
        return {key: _value(value) for key, value in node.entries.items()}
    if type(node) is Sequence:
        return [_value(item) for item in node.items]
    return (type(node.value).__name__, node.value)


def _formatted(file: Path, before: str) -> str | None:
    import sys

    try:
        return format_text(before)
    except ImportError:
        raise CommandFailed(ENVIRONMENT, "`authz fmt` needs the extra `fmt` (ruamel.yaml)") from None
    except ValueError as error:
        print(f"authz: {file}: {error}; left as it is", file=sys.stderr)
        return None


def _report(file: Path, before: str, after: str, arguments: argparse.Namespace) -> None:
    if arguments.diff:
        from difflib import unified_diff

        lines = unified_diff(before.splitlines(True), after.splitlines(True), str(file), str(file))
        print("".join(lines), end="")
        return
    if arguments.check:
        print(f"{file}: would change")
        return
    _write(file, after)
    print(f"{file}: written")


def _write(file: Path, text: str) -> None:
    """Whole or not at all: a service may be reading the directory."""
    beside = file.with_name(f".{file.name}.authz-fmt")
    beside.write_text(text, "utf-8")
    beside.chmod(file.stat().st_mode & 0o7777)
    beside.replace(file)


def _files(paths: list[str]) -> Iterator[Path]:
    for name in paths:
        path = Path(name)
        if not path.exists():
            raise CommandFailed(ENVIRONMENT, f"{name}: no such file or directory")
        found = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        yield from (file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(ENVIRONMENT, f"{file}: can't be read") from error
