"""One document being read: the values that all kinds share, each checked once and turned into a type.

Owns the shapes (mapping, list, text, name, duration, sentence, …), their bounds, and how a wrong one is reported.
Must not know any kind. Every method returns a value of the promised type even when it reports a fault: a document
with a fault is never used, so that one fault needs no branch in whoever reads on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from collections.abc import Mapping as MappingType
from datetime import date
from typing import Final, TypeVar

from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.suggest import MAX_SUGGESTIONS, did_you_mean
from authz.policy.values import Text
from authz.policy.yaml_tree import Mapping, Node, Scalar, Sequence, Unread, show

T = TypeVar("T")

MAX_NAME: Final = 128
"""Characters of a name: it becomes a label of metrics and audit."""
MAX_TEXT: Final = 2048
"""Characters of any other text: a SPIFFE ID's own bound (SPIFFE-ID §2.3)."""
MAX_ITEMS: Final = 1000
"""Items of a list or a map that isn't given another bound."""
MAX_DAYS: Final = 3650
"""The longest duration, in days."""

PLANNED: Final = frozenset({"session", "ask", "limits", "actor", "route_to", "tcp"})
"""Keys that later versions of the language will have (§1)."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})([smhd])")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HTTPS_URL: Final = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?P<path>/[!-~]*)?")
_LOOPBACK_URL: Final = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(?:/[!-~]*)?")


class Reading:
    """One document being read: knows its file and collects its faults."""

    __slots__ = ("_suggestions", "faults", "file")

    def __init__(self, file: str, faults: Faults) -> None:
        self._suggestions = 0
        self.file = file
        self.faults = faults

    def place(self, node: Node) -> Place:
        return Place(self.file, node.line, node.column)

    def fault(self, node: Node, code: FaultCode, message: str, *, advice: str | None = None) -> None:
        if type(node) is not Unread:
            self.faults.add(self.place(node), code, message, help=advice)

    def suggestion(self, word: str, known: Collection[str]) -> str:
        """`; did you mean …?`, or nothing."""
        return did_you_mean(word, known) if self.may_suggest() else ""

    def may_suggest(self) -> bool:
        """Whether one more word may be compared with the known ones."""
        self._suggestions += 1
        return self._suggestions <= MAX_SUGGESTIONS

    # Mappings.

    def fields(
        self, node: Node, what: str, known: Collection[str], *, required: Collection[str] = ()
    ) -> MappingType[str, Node]:
        """The entries of a mapping whose keys are `known`."""
        if type(node) is not Mapping:
            self.wrong_type(node, what, "a mapping")
            return {}
        entries = node.entries
        if not entries.keys() <= set(known):
            for key in [key for key in entries if key not in known]:
                self._unknown_key(node.keys[key], key, what, known)
            entries = {key: value for key, value in entries.items() if key in known}
        for key in required:
            if key not in entries:
                self.fault(node, FaultCode.KEY_MISSING, f"{what} needs the key `{key}`")
        return entries

    def _unknown_key(self, node: Node, key: str, what: str, known: Collection[str]) -> None:
        if key in PLANNED:
            self.fault(node, FaultCode.KEY_PLANNED, f"`{key}` is planned, not yet")
        else:
            self.fault(node, FaultCode.KEY_UNKNOWN, f"{what} has no key {show(key)}{self.suggestion(key, known)}")

    def pairs(self, node: Node, what: str, *, limit: int = MAX_ITEMS) -> list[tuple[str, Node, Node]]:
        """Name, key node and value of each entry of a mapping whose keys are the author's own; never empty."""
        if type(node) is not Mapping:
            self.wrong_type(node, what, "a mapping")
            return []
        if not node.entries:
            self.fault(node, FaultCode.LIST_EMPTY, f"{what} is empty")
        self._bounded(node, what, len(node.entries), limit)
        return [(key, node.keys[key], value) for key, value in node.entries.items()]

    # Lists.

    def items(self, node: Node, what: str, *, limit: int = MAX_ITEMS) -> list[Node]:
        """The items of a list that isn't empty."""
        if type(node) is not Sequence:
            self.wrong_type(node, what, "a list")
            return []
        if not node.items:
            self.fault(node, FaultCode.LIST_EMPTY, f"{what} is an empty list")
        self._bounded(node, what, len(node.items), limit)
        return node.items

    def one_or_more(self, node: Node, what: str) -> list[Node]:
        """A single value, or a list of them."""
        return self.items(node, what) if type(node) is Sequence else [node]

    def texts(self, node: Node, what: str, *, single: bool = False) -> tuple[Text, ...]:
        """A list of different texts with their places; with `single` also one text alone."""
        nodes = self.one_or_more(node, what) if single else self.items(node, what)
        found: dict[str, Text] = {}
        for item in nodes:
            value = self.text(item, f"each item of {what}" if len(nodes) > 1 or not single else what)
            if value and value in found:
                self.fault(item, FaultCode.NAME_DUPLICATE, f"{what} lists {show(value)} twice")
            elif value:
                found[value] = Text(value, self.place(item))
        return tuple(found.values())

    def _bounded(self, node: Node, what: str, size: int, limit: int) -> None:
        if size > limit:
            self.fault(node, FaultCode.YAML_LIMIT, f"{what} has {size} entries; {limit} are the most")

    # Scalars.

    def text(self, node: Node, what: str, *, limit: int = MAX_TEXT) -> str:
        """Printable text that isn't empty; "" after a fault."""
        value = node.value if type(node) is Scalar else None
        if type(value) is not str:
            self.wrong_type(node, what, "text")
        elif not value or len(value) > limit:
            self.fault(node, FaultCode.VALUE_INVALID, f"{what} has 1 to {limit} characters")
        elif not value.isprintable():
            self.fault(node, FaultCode.VALUE_INVALID, f"{what} holds a control, format or line-break character")
        else:
            return value
        return ""

    def name(self, node: Node, what: str) -> str:
        """A name that metrics, audit and other documents can use; "" after a fault."""
        value = self.text(node, what, limit=MAX_NAME)
        if value and not _NAME.fullmatch(value):
            self.fault(node, FaultCode.NAME_INVALID, f"{what} is not a name: {show(value)}")
            return ""
        return value

    def sentence(self, node: Node, what: str) -> str:
        """A sentence for people: line breaks of a block scalar become blanks."""
        value = node.value if type(node) is Scalar else None
        if type(value) is not str:
            self.wrong_type(node, what, "a sentence")
            return ""
        sentence = " ".join(value.split())
        if not sentence or len(sentence) > MAX_TEXT or not sentence.isprintable():
            self.fault(node, FaultCode.VALUE_INVALID, f"{what} is a sentence that says why, not empty, printable")
            return ""
        return sentence

    def boolean(self, node: Node, what: str) -> bool:
        if type(node) is Scalar and type(node.value) is bool:
            return node.value
        self.wrong_type(node, what, "true or false")
        return False

    def choice(self, node: Node, what: str, table: MappingType[str, T]) -> T | None:
        """What the table has for a text."""
        value = self.text(node, what)
        if value in table:
            return table[value]
        if value:
            words = ", ".join(f"`{word}`" for word in table)
            self.fault(
                node,
                FaultCode.VALUE_INVALID,
                f"{what} is one of {words}, not {show(value)}{self.suggestion(value, table)}",
            )
        return None

    def duration(self, node: Node, what: str, *, at_most: float = MAX_DAYS * 86400.0, zero: bool = False) -> float:
        """Seconds, out of a whole number and one of the units s, m, h, d."""
        value = node.value if type(node) is Scalar else None
        match = _DURATION.fullmatch(value) if type(value) is str else None
        if match is None:
            if type(node) is Scalar:
                self.fault(
                    node,
                    FaultCode.VALUE_INVALID,
                    f"{what} is a duration: a whole number and s, m, h or d, like 30s or 15m",
                )
            else:
                self.wrong_type(node, what, "a duration like 30s")
            return 0.0
        seconds = int(match[1]) * _SECONDS[match[2]]
        if seconds > at_most or (seconds == 0 and not zero):
            self.fault(
                node,
                FaultCode.VALUE_INVALID,
                f"{what} is {'at most' if zero else 'more than nothing and at most'} {int(at_most)} seconds",
            )
        return seconds

    def date(self, node: Node, what: str) -> date | None:
        value = self.text(node, what)
        if not value:
            return None
        try:
            if _DATE.fullmatch(value):
                return date.fromisoformat(value)
        except ValueError:
            pass  # like 2026-02-30: the same fault as any other wrong date
        self.fault(node, FaultCode.VALUE_INVALID, f"{what} is a date like 2027-01-31")
        return None

    def url(self, node: Node, what: str, *, loopback: bool = True) -> str:
        """An https URL without query, fragment or user-info; plain http for the own machine only, with `loopback`."""
        value = self.text(node, what)
        usable = _HTTPS_URL.fullmatch(value) or (loopback and _LOOPBACK_URL.fullmatch(value))
        if value and (not usable or any(character in value for character in "?#@\\")):
            self.fault(node, FaultCode.ISSUER_URL, f"{what} is an https URL without query, fragment and user name")
        return value

    def relative_file(self, node: Node, what: str) -> str:
        """A path below the policy directory."""
        value = self.text(node, what)
        parts = value.split("/")
        if value and ("\\" in value or any(part in ("", ".", "..") for part in parts)):
            self.fault(
                node, FaultCode.VALUE_INVALID, f"{what} is a file below the policy directory, like keys/corp.json"
            )
        return value

    def secret_file(self, node: Node, what: str) -> str:
        """Any file: secrets are mounted beside the policy directory, and a relative path counts from it."""
        value = self.text(node, what)
        if value and (value.endswith("/") or any(part in (".", "..") for part in value.split("/"))):
            self.fault(node, FaultCode.VALUE_INVALID, f"{what} is the path of a file, without `.` and `..` in it")
        return value

    def spiffe_id(self, node: Node, what: str) -> SpiffeId | None:
        value = self.text(node, what)
        try:
            return SpiffeId.parse(value) if value else None
        except SpiffeIdError as error:
            self.fault(node, FaultCode.SPIFFE_ID, f"{what}: {error}")
            return None

    def exactly_one(
        self, node: Node, what: str, table: MappingType[str, T], *, code: FaultCode = FaultCode.VALUE_INVALID
    ) -> tuple[T, Node, Node] | None:
        """For a mapping with exactly one of the table's keys: the table's entry, the key's node and the value."""
        entries = self.fields(node, what, table)
        if len(entries) == 1 and type(node) is Mapping:
            key, value = next(iter(entries.items()))
            return table[key], node.keys[key], value
        if type(node) is Mapping and (entries or not node.entries):
            found = "none" if not entries else " and ".join(f"`{key}`" for key in entries)
            self.fault(node, code, f"{what} has exactly one of the keys {_words(table)}; here: {found}")
        return None

    def wrong_type(self, node: Node, what: str, wanted: str) -> None:
        message = f"{what} must be {wanted}, not {_type_name(node)}"
        if _is_bare_reference(node):
            self.fault(
                node,
                FaultCode.VALUE_TYPE,
                message + ": braces that aren't quoted make a mapping",
                advice='Quote the value, like "{order_id}", or a path like "/orders/{order_id}".',
            )
        else:
            self.fault(node, FaultCode.VALUE_TYPE, message)


def _words(table: Collection[str]) -> str:
    return ", ".join(f"`{key}`" for key in table)


def _type_name(node: Node) -> str:
    if type(node) is Mapping:
        return "a mapping"
    if type(node) is Sequence:
        return "a list"
    value = node.value if type(node) is Scalar else None
    names = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "nothing")


def _is_bare_reference(node: Node) -> bool:
    """`{order_id}` without quotes: a mapping in braces with one key that has no value."""
    if type(node) is not Mapping or not node.flow or len(node.entries) != 1:
        return False
    value = next(iter(node.entries.values()))
    return type(value) is Scalar and value.value is None and value.plain
