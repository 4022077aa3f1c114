"""Invariant: a forwarded identity is exactly what the trusted proxy wrote in its own last element, or none.

What clients write into other elements, into quoted values or around them never becomes an identity.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authz.authn.forwarded import forwarded_id, parse_elements
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId

PROXY = SpiffeId.parse("spiffe://shop.example/ns/edge/sa/gateway")
CLIENT = "spiffe://shop.example/ns/shop/sa/frontend"
DOMAINS = {"shop.example"}
GOOD = f"By={PROXY};Hash=ab12;URI={CLIENT}"

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
keys = st.sampled_from(["By", "Hash", "Subject", "URI", "DNS", "Cert", "Chain", "other"])
pairs = st.lists(st.tuples(keys, printable), min_size=1, max_size=4)


def written(elements: list[list[tuple[str, str]]]) -> str:
    """As Envoy writes elements: every value in quotes, quotes inside escaped."""
    return ",".join(";".join(f'{key}="{quoted(value)}"' for key, value in element) for element in elements)


def quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@given(st.lists(pairs, max_size=4))
def test_what_envoy_writes_is_read_back(elements: list[list[tuple[str, str]]]) -> None:
    """Keys, order and number of elements survive whatever stands in the values."""
    read = parse_elements(written(elements)) or ()

    assert [[key for key, _ in element] for element in read] == [
        [key.lower() for key, _ in element] for element in elements
    ]


@given(st.lists(pairs, max_size=3))
def test_a_clients_own_elements_change_nothing(elements: list[list[tuple[str, str]]]) -> None:
    """The proxy's element comes after what its client sent: the result is the proxy's."""
    value = ",".join(part for part in (written(elements), GOOD) if part)

    assert str(forwarded_id(value, PROXY, DOMAINS)) == CLIENT


@given(printable)
def test_a_subject_cannot_forge_an_element(subject: str) -> None:
    """A certificate's subject is the client's text; inside its quotes it stays a value."""
    forged = f'{subject}";URI=spiffe://shop.example/admin,By={PROXY};URI=spiffe://shop.example/admin'
    value = f'By={PROXY};Subject="{quoted(forged)}";URI={CLIENT}'

    assert str(forwarded_id(value, PROXY, DOMAINS)) == CLIENT


@given(st.text(max_size=60) | st.text('By=URI;,"\\ spiffe://shop.example/a', max_size=60))
def test_any_value_gives_an_identity_or_none_or_a_refusal(value: str) -> None:
    """Nothing else is raised, and an identity always stands in the value."""
    for text in (value, f"{GOOD},{value}", f"{value},{GOOD}", GOOD[: len(value)]):
        try:
            found = forwarded_id(text, PROXY, DOMAINS)
        except Refused as refused:
            assert refused.reason in (Reason.WORKLOAD_INVALID, Reason.TRUST_DOMAIN_UNKNOWN)
            continue
        assert found is None or str(found) in text
