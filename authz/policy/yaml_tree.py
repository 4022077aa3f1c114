"""What strict YAML becomes: light trees with places, and what is known of a file that ends early.

Owns the shapes only; `policy.yaml_reader` makes them, `policy.parse` reads them. Nodes are plain classes with slots:
a directory of ten thousand routes has a quarter of a million of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from authz.policy.faults import Fault, Place


class Node:
    """A value and where it begins (lines and columns from 1)."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


class Scalar(Node):
    """`value` is None, bool, int, float or str by the core schema; `plain` says that it was written unquoted."""

    __slots__ = ("plain", "value")

    def __init__(self, value: object, plain: bool, line: int, column: int) -> None:
        self.value = value
        self.plain = plain
        self.line = line
        self.column = column


class Sequence(Node):
    """`items` in the written order."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        self.items: list[Node] = []
        self.line = line
        self.column = column


class Mapping(Node):
    """`entries` in the written order; `keys` has each key's own node. `flow` says that it was written in braces."""

    __slots__ = ("entries", "flow", "keys")

    def __init__(self, flow: bool, line: int, column: int) -> None:
        self.entries: dict[str, Node] = {}
        self.keys: dict[str, Node] = {}
        self.flow = flow
        self.line = line
        self.column = column


class Unread(Node):
    """Stands where something was refused; its fault is reported, so nobody reports another."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document. `complete` is False for the one that a syntax error broke (then `root` may be None)."""

    place: Place
    root: Node | None
    faults: tuple[Fault, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """One file. `broken` is the fault that ended it early, and `rest` the text from the broken document on."""

    documents: tuple[Document, ...]
    broken: Fault | None = None
    rest: str = ""


def let_go(read: ReadFile) -> None:
    """Take long lists apart, item by item, once nobody reads them any more: a tree of thousands of routes that goes
    at once would hold every other thread meanwhile."""
    for document in read.documents:
        for value in document.root.entries.values() if type(document.root) is Mapping else ():
            while type(value) is Sequence and value.items:
                value.items.pop()


def show(text: str) -> str:
    """Text of a policy as a message may hold it: short and printable, in backquotes."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:60])
    return f"`{clean}…`" if len(text) > 60 else f"`{clean}`"
