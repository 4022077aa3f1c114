"""Invariant: no octets but a certificate that the authority signed are verified, and any others are refused in order.

In a bundle a certificate with any octet changed is skipped with a warning or used; nothing else is raised.
"""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authz.authn.leaf import named_id, verify_svid
from authz.authn.svid import BundleError, TrustBundle, import_bundle
from authz.model.errors import Refused
from authz.model.reason import Reason
from tests.mint.certificates import TRUST_DOMAIN, Issued, authority, bundle, svid
from tests.mint.tokens import NOW

LEAF = svid()
OCTETS = (0x00, 0x14, 0x1E, 0xFF)
"""An end of text, two string types whose contents may not decode, and the largest."""


def der_of(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def encoded(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return quote(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n", safe="")


def reason_of(text: str, trusted: TrustBundle) -> Reason | None:
    try:
        verify_svid(text, {TRUST_DOMAIN}, {TRUST_DOMAIN: trusted}.get, now=NOW)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("octet", OCTETS)
def test_a_changed_octet_at_any_place_is_refused(octet: int) -> None:
    """Whether the change breaks a name, a time, the key or only the signature."""
    der, trusted = der_of(LEAF), import_bundle(bundle(authority()), TRUST_DOMAIN)
    assert reason_of(encoded(der), trusted) is None

    for at, before in enumerate(der):
        if before != octet:
            changed = encoded(der[:at] + bytes([octet]) + der[at + 1 :])
            assert reason_of(changed, trusted) in (Reason.WORKLOAD_INVALID, Reason.TRUST_DOMAIN_UNKNOWN), at


@pytest.mark.parametrize("octet", OCTETS)
def test_a_changed_authority_is_skipped_or_used(octet: int) -> None:
    """A self-signature isn't asked for; what counts is that its key signed the leaf and nothing else is raised."""
    der = der_of(authority())

    for at in range(len(der)):
        changed = base64.b64encode(der[:at] + bytes([octet]) + der[at + 1 :]).decode()
        trusted = import_bundle(bundle(authority().jwk(x5c=[changed])), TRUST_DOMAIN)
        assert len(trusted.authorities) + len(trusted.warnings) == 1
        assert reason_of(LEAF.encoded, trusted) in (None, Reason.WORKLOAD_INVALID)


@given(st.text(max_size=60) | st.binary(max_size=60).map(encoded))
def test_any_text_is_refused_in_order(text: str) -> None:
    """Text and octets of any kind are a workload that is invalid."""
    with pytest.raises(Refused) as refused:
        named_id(text)

    assert refused.value.reason is Reason.WORKLOAD_INVALID


@given(st.binary(max_size=80))
def test_any_document_is_a_bundle_or_none(document: bytes) -> None:
    """No other exception, and no authority out of nothing."""
    try:
        found = import_bundle(document, TRUST_DOMAIN)
    except BundleError:
        return
    assert found.authorities == ()
