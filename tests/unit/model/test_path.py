"""The path rules of policy language §4, "Paths", and docs/verification.md, "Requests": one case for each."""

from __future__ import annotations

import pytest

from authz.model.errors import Refused
from authz.model.path import RequestPath, fold, parse_path
from authz.model.reason import Reason

LIMIT = 8192
QUERY_OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "#\\")

ACCEPTED = {
    "the root": ("/", ("",)),
    "one segment": ("/orders", ("orders",)),
    "several segments": ("/orders/42/items", ("orders", "42", "items")),
    "a trailing slash is a final empty segment": ("/orders/", ("orders", "")),
    "case is kept": ("/Orders", ("Orders",)),
    "every raw pchar": ("/-._~!$&'()*+,=:@", ("-._~!$&'()*+,=:@",)),
    "a segment that begins with a dot": ("/.well-known/x", (".well-known", "x")),
    "three dots": ("/...", ("...",)),
    "dots inside": ("/a.b..c", ("a.b..c",)),
    "the query takes no part": ("/a?b=/../c;d//", ("a",)),
    "an empty query": ("/a?", ("a",)),
    "two question marks": ("/a?b?c", ("a",)),
    "broken percent-encoding in the query": ("/a?b=%zz%2e", ("a",)),
    "every other query octet": ("/a?" + QUERY_OCTETS, ("a",)),
    "UTF-8 is decoded": ("/users/J%C3%BCrgen", ("users", "Jürgen")),
    "hex digits in either case": ("/J%c3%bcrgen", ("Jürgen",)),
    "an encoded blank": ("/a%20b", ("a b",)),
    "an encoded pchar": ("/%41%7E", ("A~",)),
    "encoded brackets": ("/%5B%5D", ("[]",)),
    "an encoded quote": ("/%22", ('"',)),
    "an encoded astral letter": ("/%F0%9F%98%80", ("\U0001f600",)),
    "an NFC letter that NFKC changes": ("/%EF%AC%81sh", ("\ufb01sh",)),
    "a one dot leader beside letters": ("/a%E2%80%A4b", ("a\u2024b",)),
    "decoding happens once, after the split": ("/%C3%A9/x", ("é", "x")),
}

REFUSED = {
    "empty": "",
    "only a query": "?a",
    "no leading slash": "orders",
    "an absolute form": "http://shop.example/orders",
    "an asterisk": "*",
    "an authority form": "shop.example:443",
    "an empty first segment": "//orders",
    "only two slashes": "//",
    "an empty inner segment": "/orders//42",
    "two trailing slashes": "/orders//",
    "a dot segment": "/a/./b",
    "a final dot segment": "/a/.",
    "a dot-dot segment": "/a/../b",
    "a final dot-dot segment": "/a/..",
    "a first dot-dot segment": "/../a",
    "a dot-dot segment before a query": "/a/..?b",
    "a dot-dot segment in an encoded path": "/%41/../b",
    "an encoded dot": "/%2e",
    "encoded dots": "/%2e%2e/a",
    "mixed dots": "/.%2E/a",
    "an encoded dot inside": "/a%2Eb",
    "an encoded slash": "/a%2Fb",
    "an encoded slash in lower case": "/a%2fb",
    "an encoded backslash": "/a%5Cb",
    "an encoded backslash in lower case": "/a%5cb",
    "an encoded percent sign": "/a%25b",
    "double encoding": "/a%252Fb",
    "an encoded number sign": "/a%23b",
    "an encoded question mark": "/a%3Fb",
    "an encoded question mark in lower case": "/a%3fb",
    "an encoded semicolon": "/a%3Bb",
    "an encoded NUL": "/a%00b",
    "an encoded line feed": "/a%0Ab",
    "an encoded tab": "/a%09b",
    "an encoded unit separator": "/a%1Fb",
    "an encoded delete": "/a%7Fb",
    "an encoded C1 control": "/a%C2%85b",
    "a path parameter": "/a;v=1",
    "a semicolon alone": "/;",
    "dots and a semicolon": "/a/..;/b",
    "a lone percent sign": "/a%",
    "one hex digit": "/a%4",
    "one hex digit before a slash": "/a%4/b",
    "no hex digits": "/a%zz",
    "other digits": "/a%4 ",
    "octets that are no UTF-8": "/%FF",
    "a truncated sequence": "/%C3",
    "a sequence split over segments": "/%C3/%BC",
    "an overlong slash": "/%C0%AF",
    "an overlong dot": "/%E0%80%AE",
    "an encoded surrogate": "/%ED%A0%80",
    "beyond Unicode": "/%F4%90%80%80",
    "not in NFC": "/Ju%CC%88rgen",
    "a singleton that NFC replaces": "/%E2%84%AA",
    "a raw number sign": "/a#b",
    "a raw number sign in the query": "/a?b#c",
    "a raw backslash": "/a\\b",
    "a raw backslash in the query": "/a?b\\c",
    "a raw blank": "/a b",
    "a raw blank in the query": "/a?b c",
    "a raw tab": "/a\tb",
    "a final line feed": "/a\n",
    "a final line feed in the query": "/a?b\n",
    "a raw NUL": "/a\0",
    "a raw delete in the query": "/a?\x7f",
    "a raw letter outside ASCII": "/Jürgen",
    "a raw letter outside ASCII in the query": "/a?ü",
    "a raw surrogate": "/a\udc80",
    "a raw quote": '/a"b',
    "raw angle brackets": "/<a>",
    "raw square brackets": "/a[1]",
    "raw braces": "/{a}",
    "a raw caret": "/a^b",
    "a raw bar": "/a|b",
    "a raw grave accent": "/a`b",
    "a raw quote in an encoded path": '/%41"',
    "a one dot leader": "/%E2%80%A4",
    "a two dot leader": "/%E2%80%A5",
    "fullwidth dots": "/%EF%BC%8E%EF%BC%8E/a",
    "a fullwidth slash": "/a%EF%BC%8Fb",
    "a fullwidth backslash": "/a%EF%BC%BCb",
    "a fullwidth percent sign": "/a%EF%BC%85b",
    "a fullwidth number sign": "/a%EF%BC%83b",
    "a fullwidth question mark": "/a%EF%BC%9Fb",
    "a fullwidth semicolon": "/a%EF%BC%9Bb",
    "a Greek question mark": "/a%CD%BEb",
    "an account-of sign, which holds a slash": "/%E2%84%80",
    "a double question mark": "/%E2%81%87",
    "a format character": "/a%E2%80%8Bb",
    "a byte order mark": "/%EF%BB%BFa",
    "a right-to-left override": "/a%E2%80%AEb",
    "a soft hyphen": "/a%C2%ADb",
    "a private-use character": "/a%EE%80%80",
    "an unassigned character": "/a%CD%B8",
    "a noncharacter": "/a%EF%BF%BF",
    "over the limit": "/" + "a" * LIMIT,
    "over the limit with its query": "/a?" + "a" * LIMIT,
}


@pytest.mark.parametrize(("target", "segments"), ACCEPTED.values(), ids=ACCEPTED)
def test_the_path_is_read(target: str, segments: tuple[str, ...]) -> None:
    """Segments are decoded once, the text stays as it was sent, the query is gone."""
    path = parse_path(target, LIMIT)

    assert path == RequestPath(segments, target.partition("?")[0])


@pytest.mark.parametrize("target", REFUSED.values(), ids=REFUSED)
def test_the_path_is_refused_never_repaired(target: str) -> None:
    """What two parsers could read differently is `path_not_canonical`, and the message doesn't quote it."""
    with pytest.raises(Refused) as refused:
        parse_path(target, LIMIT)

    assert refused.value.reason is Reason.PATH_NOT_CANONICAL
    assert refused.value.detail
    assert len(target) < 5 or target not in str(refused.value)


def test_a_target_at_the_limit_is_read_and_one_octet_more_is_not() -> None:
    """The limit counts the query."""
    assert parse_path("/a?" + "b" * 5, 8).segments == ("a",)
    with pytest.raises(Refused):
        parse_path("/a?" + "b" * 6, 8)


PCHAR = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@")


@pytest.mark.parametrize("code", range(0x80))
def test_each_raw_ascii_octet_in_a_segment(code: int) -> None:
    """Raw, only RFC 3986 pchar without `;` stands in a segment; `/` and `?` end it."""
    octet = chr(code)
    target = f"/a{octet}b"

    if octet in PCHAR:
        assert parse_path(target, LIMIT).segments == (f"a{octet}b",)
    elif octet in "/?":
        assert parse_path(target, LIMIT).segments[0] == "a"
    else:
        with pytest.raises(Refused):
            parse_path(target, LIMIT)


@pytest.mark.parametrize("code", range(0x100))
@pytest.mark.parametrize("digits", ["%{:02x}", "%{:02X}"])
def test_each_encoded_octet_in_a_segment(code: int, digits: str) -> None:
    """Encoded, a delimiter, dot, percent sign, control or lone octet refuses, in either case of hex."""
    target = "/a" + digits.format(code) + "b"

    if code >= 0x7F or code < 0x20 or chr(code) in "/\\.%#?;":
        with pytest.raises(Refused):
            parse_path(target, LIMIT)
    else:
        assert parse_path(target, LIMIT).segments == (f"a{chr(code)}b",)


@pytest.mark.parametrize(
    ("segment", "folded"),
    [
        ("Admin", "admin"),
        (" admin ", "admin"),
        ("ＡＤＭＩＮ", "admin"),
        ("Straße", "strasse"),
        ("\u212a", "k"),
        ("\u00a0admin", "admin"),
        ("ﬁn", "fin"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_folding_makes_what_a_lenient_reader_could_see(segment: str, folded: str) -> None:
    """NFKC, case-folding and trimming."""
    assert fold(segment) == folded
