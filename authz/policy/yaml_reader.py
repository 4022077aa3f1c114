"""Strict YAML: a file's bytes to light trees with places, one for each document, and every fault on the way.

Owns syntax and types: YAML 1.2 with the core schema (§10.3), on libyaml's event layer where it is present. Refused:
tags, directives, anchors and aliases, merge keys, duplicate keys, keys that aren't text, characters that YAML 1.1
and 1.2 read differently. Must not know the policy language: what a key means is parse's business.
A syntax error ends the file; the documents before it stay whole, the one that it broke keeps the parts of its top
level that were complete.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from typing import Any, Final

import yaml

from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.yaml_tree import Document, Mapping, Node, ReadFile, Scalar, Sequence, Unread, show

__all__ = ["Document", "Mapping", "Node", "ReadFile", "Scalar", "Sequence", "Unread", "core_value", "read_file"]

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""The size that a Kubernetes ConfigMap can have."""
MAX_DEPTH: Final = 64
"""Collections inside one another; well under libyaml's own 1000, and far more than a requirement needs."""
MAX_NODES: Final = 400_000
"""Scalars and collections of one file: reached before the size only by files made to be costly."""
MAX_FAULTS: Final = 500
"""Faults of one file that are kept: nobody reads more, and a hostile file can't fill the memory."""
MAX_DIGITS: Final = 18
"""Digits of an integer: what every reader of JSON keeps exactly in 64 bits."""


class _Stop(Exception):
    """The reading of the file ends here; `index` counts characters."""

    def __init__(
        self, index: int, line: int, column: int, code: FaultCode, message: str, advice: str | None = None
    ) -> None:
        super().__init__(message)
        self.index = index
        self.line = line
        self.column = column
        self.code = code
        self.message = message
        self.advice = advice


def read_file(file: str, data: bytes, *, python: bool = False) -> ReadFile:
    """Every document of one file; never raises, whatever the bytes. `python`: without libyaml, also where it is."""
    if len(data) > MAX_FILE_BYTES:
        large = _Stop(0, 1, 1, FaultCode.YAML_LIMIT, f"the file is larger than {MAX_FILE_BYTES} bytes")
        return _ended(file, [], None, large, data.decode("utf-8", "replace"))
    text, cut = _characters(data)
    reader = _Reader(file, text if cut is None else text[: cut.index])
    stop = reader.run(yaml.BaseLoader if python or not yaml.__with_libyaml__ else yaml.CBaseLoader)
    if cut is not None and (stop is None or stop.index >= cut.index):
        return _ended(file, reader.documents, reader.cut_off(), cut, text[reader.begin :])
    if stop is not None:
        return _ended(file, reader.documents, reader.unfinished(), stop, text[reader.begin :])
    return ReadFile(documents=tuple(reader.documents))


def _ended(file: str, documents: list[Document], last: Document | None, stop: _Stop, rest: str) -> ReadFile:
    faults = Faults()
    faults.add(Place(file, stop.line, stop.column), stop.code, stop.message, help=stop.advice)
    whole = tuple(documents) if last is None else (*documents, last)
    return ReadFile(documents=whole, broken=next(iter(faults)), rest=rest)


# --- characters ------------------------------------------------------------------------------------------

_REFUSED_CHARACTER: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Controls (YAML 1.2 §5.1), the line breaks of YAML 1.1 that 1.2 §5.4 no longer has, byte order marks."""


def _characters(data: bytes) -> tuple[str, _Stop | None]:
    """The text, and the first place from which it can't be used."""
    try:
        text = data.decode("utf-8")
        stop = None
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        stop = _stop_at(text, len(text), "the file is not UTF-8 from here on")
        text += data[error.start :].decode("utf-8", "replace")
    found = _REFUSED_CHARACTER.search(text)
    if found is not None and (stop is None or found.start() < stop.index):
        stop = _stop_at(text, found.start(), _character_message(found.group(), found.start()))
    return text, stop


def _character_message(character: str, index: int) -> str:
    if character == "\ufeff" and index == 0:
        return "the file begins with a byte order mark: save it as UTF-8 without one"
    return f"the character U+{ord(character):04X} can't stand in a policy file"


def _stop_at(text: str, index: int, message: str, advice: str = "Save the file as plain UTF-8 text.") -> _Stop:
    line = text.count("\n", 0, index) + 1
    column = index - (text.rfind("\n", 0, index) + 1) + 1
    return _Stop(index, line, column, FaultCode.YAML_SYNTAX, message, advice)


# --- events to trees -------------------------------------------------------------------------------------


class _Reader:
    """Builds the trees of one file. A collection joins its parent when it ends, so an unfinished one is left out."""

    def __init__(self, file: str, text: str) -> None:
        self.documents: list[Document] = []
        self.begin = 0
        """Index of the character where the current document begins."""
        self._file = file
        self._text = text
        self._faults = Faults()
        self._line = 1
        self._nodes = 0
        self._fault_count = 0
        self._root: Node | None = None
        self._open = False
        self._kept = False
        """Whether the last document that ended is in `documents`."""
        self._stack: list[tuple[Node, Node | None]] = []
        self._container: Node | None = None
        self._key: Node | None = None

    def run(self, events: Callable[[str], Any]) -> _Stop | None:
        """Read all; returns what ended the reading early."""
        # Not kept in `self`: methods that it held would hold it, and with it the trees until a full collection.
        handlers: MappingType[type[yaml.Event], Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
            yaml.DocumentEndEvent: self._document_end,
        }
        try:
            parser = events(self._text)
            event = parser.get_event()
            while event is not None:
                handle = handlers.get(type(event))
                if handle is not None:
                    handle(event)
                event = parser.get_event() if parser.check_event() else None
        except _Stop as stop:
            return stop.with_traceback(None)  # It would hold whoever holds it.
        except yaml.MarkedYAMLError as error:
            return _syntax_stop(self._text, error)
        except (yaml.YAMLError, ValueError, RecursionError):
            return _stop_at(self._text, len(self._text), "the file is not readable as YAML", _CORRECT)
        return None

    def unfinished(self) -> Document | None:
        """The document that a syntax error broke: its complete top-level entries."""
        if not self._open:
            return None
        root = self._stack[0][0] if self._stack else self._container or self._root
        return Document(place=Place(self._file, self._line), root=root, faults=tuple(self._faults), complete=False)

    def cut_off(self) -> Document | None:
        """The document at the end of a text that was cut: nothing of it is sure, not even its last value."""
        last = self.documents.pop() if self._kept and not self._open else self.unfinished()
        return last and Document(place=last.place, root=None, faults=last.faults, complete=False)

    # Handlers, one for each kind of event.

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        mark: Any = event.start_mark
        self.begin, self._line, self._open = mark.index, mark.line + 1, True
        self._root = None
        self._faults = Faults()
        if event.version is not None or event.tags:
            self._fault(mark.line + 1, mark.column + 1, FaultCode.YAML_TAG, "YAML directives aren't read")

    def _document_end(self, _event: yaml.DocumentEndEvent) -> None:
        root, self._open = self._root, False
        # Nothing between two `---` is no document.
        self._kept = not (isinstance(root, Scalar) and root.value is None) or bool(self._faults)
        if not self._kept:
            return
        place = Place(self._file, self._line) if root is None else Place(self._file, root.line, root.column)
        self.documents.append(Document(place=place, root=root, faults=tuple(self._faults)))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        mark: Any = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.tag is not None or event.anchor is not None:
            self._decorated(event, line, column)
        plain, value = event.implicit[0], event.value
        typed: object = value
        if plain and (not value or value[0] in _MAYBE_TYPED):
            typed = core_value(value)
            if typed is _NO_NUMBER:
                self._fault(line, column, FaultCode.VALUE_INVALID, _NUMBER_MESSAGE)
                typed = 0
        self._add(Scalar(typed, plain, line, column))

    def _mapping(self, event: yaml.MappingStartEvent) -> None:
        mark: Any = event.start_mark
        self._start(event, Mapping(bool(event.flow_style), mark.line + 1, mark.column + 1))

    def _sequence(self, event: yaml.SequenceStartEvent) -> None:
        mark: Any = event.start_mark
        self._start(event, Sequence(mark.line + 1, mark.column + 1))

    def _start(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            self._decorated(event, node.line, node.column)
        if self._container is not None and len(self._stack) + 1 >= MAX_DEPTH:
            self._limit(event, f"collections stand in one another more than {MAX_DEPTH} deep")
        if self._container is not None:
            self._stack.append((self._container, self._key))
        else:
            self._root = node
        self._container, self._key = node, None

    def _end(self, _event: yaml.Event) -> None:
        node = self._container
        if node is None:
            return
        if self._stack:
            self._container, self._key = self._stack.pop()
            self._add(node)
        else:
            self._container = None

    def _alias(self, event: yaml.AliasEvent) -> None:
        mark: Any = event.start_mark
        self._fault(mark.line + 1, mark.column + 1, FaultCode.YAML_ALIAS, "an alias stands for another value")
        self._add(Unread(mark.line + 1, mark.column + 1))

    # Building.

    def _add(self, node: Node) -> None:
        self._nodes += 1
        container = self._container
        if type(container) is Mapping:
            if self._key is None:
                self._key = node
            else:
                self._entry(container, self._key, node)
                self._key = None
        elif type(container) is Sequence:
            container.items.append(node)
        else:
            self._root = node
        if self._nodes > MAX_NODES:
            raise _Stop(
                self.begin, node.line, node.column, FaultCode.YAML_LIMIT, f"the file holds more than {MAX_NODES} values"
            )

    def _entry(self, mapping: Mapping, key: Node, value: Node) -> None:
        name = key.value if type(key) is Scalar else None
        if type(name) is not str or (name == "<<" and type(key) is Scalar and key.plain):
            self._refuse_key(key, merge=name == "<<")
        elif name in mapping.entries:
            first = mapping.keys[name]
            self._fault(
                key.line,
                key.column,
                FaultCode.YAML_DUPLICATE_KEY,
                f"the key {show(name)} stands here already at line {first.line}",
            )
            mapping.entries[name] = Unread(value.line, value.column)  # which of the two was meant, nobody knows
        else:
            mapping.entries[name] = value
            mapping.keys[name] = key

    def _refuse_key(self, key: Node, *, merge: bool) -> None:
        if merge:
            self._fault(key.line, key.column, FaultCode.YAML_MERGE, "the merge key `<<` brings other keys in")
        elif type(key) is Mapping and key.flow:
            self._fault(
                key.line,
                key.column,
                FaultCode.YAML_KEY,
                "braces that aren't quoted make a mapping, and a mapping can't be a key",
            )
        elif type(key) is not Unread:
            self._fault(key.line, key.column, FaultCode.YAML_KEY, "a key is not text")

    def _decorated(self, event: Any, line: int, column: int) -> None:
        if event.anchor is not None:
            self._fault(line, column, FaultCode.YAML_ALIAS, "an anchor names a value for later")
        if event.tag is not None:
            self._fault(line, column, FaultCode.YAML_TAG, "a tag gives a value another type")

    def _fault(self, line: int, column: int, code: FaultCode, message: str) -> None:
        self._fault_count += 1
        # Each document that has a fault keeps at least one, or it would count as sound.
        if self._fault_count <= MAX_FAULTS or not self._faults:
            self._faults.add(Place(self._file, line, column), code, message)

    def _limit(self, event: yaml.NodeEvent, message: str) -> None:
        mark: Any = event.start_mark
        raise _Stop(mark.index, mark.line + 1, mark.column + 1, FaultCode.YAML_LIMIT, message)


# --- syntax errors, in words -----------------------------------------------------------------------------

_BARE_BRACES: Final = re.compile(r"""[^\s"'\[{,]\{[A-Za-z_]|\{[A-Za-z_][\w.:-]*\}[^\s,\]}"']""")
"""`/orders/{order_id}` or `{tenant}.shop`: braces that touch text."""


_CORRECT: Final = "Correct the YAML at this place or just before it."


def _syntax_stop(text: str, error: yaml.MarkedYAMLError) -> _Stop:
    mark: Any = error.problem_mark or error.context_mark
    if mark is None:
        return _stop_at(text, len(text), "the file is not readable as YAML", _CORRECT)
    line = _line_at(text, mark.index)
    code, advice = FaultCode.YAML_SYNTAX, None
    if error.problem and "maximum nesting" in error.problem:
        code, message = FaultCode.YAML_LIMIT, f"collections stand in one another more than {MAX_DEPTH} deep"
    elif _BARE_BRACES.search(line):
        message = (
            "braces that aren't quoted begin a mapping here: put the value in quotes "
            '("/orders/{order_id}"), or write it in block style'
        )
    elif text[mark.index : mark.index + 1] == "\t":
        message, advice = "a tab can't indent YAML", "Indent with spaces."
    else:
        message, advice = "not readable as YAML: " + " ".join(filter(None, (error.problem, error.context))), _CORRECT
    return _Stop(mark.index, mark.line + 1, mark.column + 1, code, message, advice)


def _line_at(text: str, index: int) -> str:
    begin = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    return text[begin:] if end < 0 else text[begin:end]


# --- the core schema (YAML 1.2 §10.3.2) ------------------------------------------------------------------

_MAYBE_TYPED: Final = frozenset("0123456789+-.~nNtTfF")
_WORDS: Final[MappingType[str, object]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NO_NUMBER: Final = object()
_NUMBER_MESSAGE: Final = f"a number is finite and an integer has at most {MAX_DIGITS} digits; quote it if it is text"
_BASES: Final = {"0o": 8, "0x": 16}


def core_value(text: str) -> object:
    """What a plain scalar stands for by the core schema: dates, `yes` and `no` are text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        base = _BASES.get(text[:2], 10)
        return int(text if base == 10 else text[2:], base) if len(text) <= MAX_DIGITS else _NO_NUMBER
    if _FLOAT.fullmatch(text):
        number = float(text) if len(text) <= 2 * MAX_DIGITS else math.inf
        return number if math.isfinite(number) else _NO_NUMBER
    return _NO_NUMBER if _NOT_FINITE.fullmatch(text) else text
