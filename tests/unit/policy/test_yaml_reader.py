"""Strict YAML: core types, refusals, and what stays readable when a file breaks."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from authz.policy.yaml_reader import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, core_value, read_file
from authz.policy.yaml_tree import Mapping, Node, Scalar, Sequence, let_go

SOUND = Path(__file__).parents[2] / "cases" / "lint" / "sound"


def plain(node: Node | None) -> object:
    """The tree as Python values."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Scalar) else "<unread>"


def faults(text: str | bytes) -> list[tuple[str, int, int]]:
    """Code, line and column of every fault of one file."""
    read = read_file("f.yaml", text.encode() if isinstance(text, str) else text)
    found = [fault for document in read.documents for fault in document.faults]
    found += [read.broken] if read.broken else []
    return [(fault.code, fault.place.line, fault.place.column) for fault in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("42", 42),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("0o17", 15),
        ("0xfF", 255),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".", "."),
        ("-", "-"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("42\n", "42\n"),
        ("٣", "٣"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    """Words, integers and floats as §10.3.2 has them; dates and the booleans of YAML 1.1 are text."""
    result = core_value(text)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN", "1e400", "9" * 19, "9" * 5000, "0x" + "f" * 40])
def test_numbers_that_json_readers_would_disagree_on_are_refused(text: str) -> None:
    """Infinity, NaN and integers beyond 18 digits are a fault where they stand."""
    assert faults(f"a: {text}") == [("value-invalid", 1, 4)]


def test_quoted_scalars_are_always_text() -> None:
    """Quotes and block scalars keep what looks like another type."""
    read = read_file("f.yaml", b"a: '42'\nb: \"true\"\nc: |\n  null\n")

    assert plain(read.documents[0].root) == {"a": "42", "b": "true", "c": "null\n"}


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("a: !!str x", "yaml-tag", 1, 4),
        ("a: ! x", "yaml-tag", 1, 4),
        ("a: !!map {b: 1}", "yaml-tag", 1, 4),
        ("%YAML 1.1\n---\na: 1", "yaml-tag", 1, 1),
        ("%TAG ! tag:x,2000:\n---\na: 1", "yaml-tag", 1, 1),
        ("a: &x 1", "yaml-alias", 1, 4),
        ("a: &x [1]", "yaml-alias", 1, 4),
        ("a: 1\n<<: {b: 2}", "yaml-merge", 2, 1),
        ("a: 1\nb: 2\na: 3", "yaml-duplicate-key", 3, 1),
        ("1: a", "yaml-key", 1, 1),
        ("? [a]\n: b", "yaml-key", 1, 3),
        ("{a}: b", "yaml-key", 1, 1),
        ("true: b", "yaml-key", 1, 1),
        ("a:\n\tb: c", "yaml-syntax", 2, 1),
        ("a: [b", "yaml-syntax", 2, 1),
        ("a: b: c", "yaml-syntax", 1, 5),
        ("[\n" * (MAX_DEPTH + 1), "yaml-limit", MAX_DEPTH + 1, 1),
        ("[" * 5000, "yaml-limit", 1, 1001),
        ("- " * (MAX_DEPTH + 1), "yaml-limit", 1, 2 * MAX_DEPTH + 1),
    ],
)
def test_what_strict_yaml_refuses_is_reported_at_its_place(text: str, code: str, line: int, column: int) -> None:
    """Each refusal has its own code, line and column."""
    assert (code, line, column) in faults(text)


@pytest.mark.parametrize(
    ("data", "column"),
    [
        (b"\xef\xbb\xbfa: 1", 1),
        (b"a: \xff", 4),
        (b"a: \xed\xa0\x80", 4),
        (b"a: x\x00y", 5),
        (b"a: \x7f", 4),
        ("a: 1 # \u2028b: 2".encode(), 8),
        ("a: \x85".encode(), 4),
        ("a: x\ufeff".encode(), 5),
        ("é: \x01".encode(), 4),
        ("a: 1".encode("utf-16"), 1),
    ],
)
def test_characters_that_yaml_versions_read_differently_end_the_file(data: bytes, column: int) -> None:
    """Controls, byte order marks, the line breaks of YAML 1.1, and anything but UTF-8."""
    assert faults(data) == [("yaml-syntax", 1, column)]


def test_an_alias_doesnt_hide_its_neighbours() -> None:
    """A refused value is marked unread and everything else stays."""
    read = read_file("f.yaml", b"a: &x 1\nb: *x\nc: 3")

    assert plain(read.documents[0].root) == {"a": 1, "b": "<unread>", "c": 3}


def test_of_a_duplicate_key_neither_value_counts() -> None:
    """Which of the two was meant, nobody knows."""
    read = read_file("f.yaml", b"a: 1\na: 2")

    assert plain(read.documents[0].root) == {"a": "<unread>"}


def test_a_syntax_error_leaves_the_documents_before_it_whole() -> None:
    """The broken document keeps its complete top-level entries and is marked."""
    read = read_file("f.yaml", b"a: 1\n---\nb: 2\nc: [d\n---\ne: 3")

    assert [document.complete for document in read.documents] == [True, False]
    assert [plain(document.root) for document in read.documents] == [{"a": 1}, {"b": 2}]
    assert read.rest.lstrip("-\n").startswith("b: 2")


def test_a_file_cut_by_a_bad_character_loses_its_last_document() -> None:
    """Nothing of the cut document is sure, not even the value before the cut."""
    read = read_file("f.yaml", b"a: 1\n---\nb: 2\nc: shop.example\x00")

    assert [(document.complete, plain(document.root)) for document in read.documents] == [
        (True, {"a": 1}),
        (False, "<unread>"),
    ]


def test_nothing_between_two_separators_is_no_document() -> None:
    """A trailing `---` is harmless."""
    read = read_file("f.yaml", b"---\n---\na: 1\n---\n")

    assert [plain(document.root) for document in read.documents] == [{"a": 1}]


@pytest.mark.parametrize(
    "text",
    ["match: {path: /orders/{order_id}}", "hosts: [{tenant}.shop.example]", "hosts:\n  - {tenant}.shop.example\n"],
)
def test_bare_braces_get_the_message_that_says_to_quote(text: str) -> None:
    """The error that people will meet names its way out."""
    broken = read_file("f.yaml", text.encode()).broken

    assert broken is not None
    assert "in quotes" in broken.message


def test_size_and_number_of_values_are_bounded() -> None:
    """A file that is too large isn't read, one with too many values not to its end."""
    assert faults(b"#" * (MAX_FILE_BYTES + 1)) == [("yaml-limit", 1, 1)]
    assert [code for code, _, _ in faults("[" + "1," * (MAX_NODES + 1) + "]")] == ["yaml-limit"]


def test_places_count_characters_not_bytes() -> None:
    """A column is what an editor shows."""
    assert faults("é: 'ü'\n'öö': !x 1") == [("yaml-tag", 2, 7)]


@pytest.mark.parametrize("path", sorted(SOUND.glob("*.yaml")), ids=lambda path: path.name)
def test_without_libyaml_the_same_is_read(path: Path) -> None:
    """PyYAML's own parser gives the same tree."""
    fast = read_file("f.yaml", path.read_bytes())
    slow = read_file("f.yaml", path.read_bytes(), python=True)

    assert [plain(document.root) for document in slow.documents] == [
        plain(document.root) for document in fast.documents
    ]
    assert [document.place for document in slow.documents] == [document.place for document in fast.documents]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "a:\n\tb: 1", "m: {path: /o/{id}}", '"', "@", "- a\nb: c"])
def test_without_libyaml_the_same_is_refused(text: str) -> None:
    """A syntax error is one fault there as well."""
    broken = read_file("f.yaml", text.encode(), python=True).broken

    assert broken is not None
    assert broken.code == "yaml-syntax"


@pytest.mark.parametrize(
    "text", ["a: {b: [1, 2]}\n", "a: [1\n", "a: !t 1\n", "a: \x07\n", "- " * (MAX_DEPTH + 1) + "x\n", ""]
)
def test_what_was_read_goes_with_its_last_reference(text: str) -> None:
    """Trees of large files must not wait for a full collection, which would stop every check."""
    read_file("f.yaml", text.encode())
    gc.collect()
    gc.disable()
    try:
        read_file("f.yaml", text.encode())

        assert gc.collect() == 0
    finally:
        gc.enable()


def test_long_lists_are_taken_apart_when_nobody_reads_them_any_more() -> None:
    """Routes go one by one, so that checks get their turns in between."""
    read = read_file("f.yaml", b"name: x\nroutes: [{id: a}, {id: b}]\n---\n- no mapping\n---\nroutes: []\n")

    let_go(read)

    assert plain(read.documents[0].root) == {"name": "x", "routes": []}
