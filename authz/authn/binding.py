"""Sender-constrained tokens: whether the one who presents a token is the one it is bound to (RFC 7800 `cnf`).

Owns: certificate-bound tokens (RFC 8705 §3), and whether a proof of possession is by the key that the token is
bound to (RFC 9449 §7.1). Must not: verify proofs (authn.dpop does), or take a token with `cnf` for a plain bearer
token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from authz.authn.certificate import CertificateError, decode_certificate, thumbprint
from authz.authn.extract import PresentedToken, Scheme
from authz.authn.verified import BINDINGS, CERTIFICATE_MEMBER, KEY_MEMBER
from authz.model.errors import Refused
from authz.model.reason import Reason


def check_binding(claims: Mapping[str, Any], presented: PresentedToken) -> None:
    """Return if the token isn't bound, or to whom presents it in each way that it says; else raises `Refused`.

    BINDING_MISMATCH for another certificate or none, PROOF_INVALID for a member that isn't known. A token that is
    bound to a key counts only under the scheme DPoP, and that scheme only with such a token and a verified proof by
    its key (RFC 9449 §7.1, §7.2): else PROOF_MISSING, or PROOF_INVALID when a proof came that doesn't count.
    """
    members: Mapping[str, Any] = {}
    if "cnf" in claims:
        members = _members(claims["cnf"])
    if CERTIFICATE_MEMBER in members:
        _check_certificate(members[CERTIFICATE_MEMBER], presented.certificate)
    if presented.scheme is Scheme.DPOP or KEY_MEMBER in members:
        _check_key(members.get(KEY_MEMBER), presented)


def _check_key(expected: object, presented: PresentedToken) -> None:
    proven = presented.proven
    if presented.scheme is not Scheme.DPOP or proven is None:
        if presented.proof:
            raise Refused(Reason.PROOF_INVALID, "a proof counts under the scheme DPoP, once verified (RFC 9449 §7.2)")
        raise Refused(Reason.PROOF_MISSING, "the token needs a proof of possession (RFC 9449 §7.1)")
    if type(expected) is not str or not expected.isascii():
        raise Refused(Reason.PROOF_INVALID, "the token isn't bound to a key (RFC 9449 §7.1)")
    if not hmac.compare_digest(proven.thumbprint, expected):
        raise Refused(Reason.PROOF_INVALID, "the proof is by another key than the token's (RFC 9449 §4.3)")


def _members(confirmation: object) -> Mapping[str, Any]:
    if type(confirmation) is not dict or not confirmation or not confirmation.keys() <= BINDINGS.keys():
        raise Refused(Reason.PROOF_INVALID, "cnf holds a member that isn't known, or none (RFC 7800 §3.1)")
    return confirmation


def _check_certificate(expected: object, certificate: str) -> None:
    if type(expected) is not str or not expected.isascii() or not certificate:
        raise Refused(Reason.BINDING_MISMATCH, "the token is bound to a certificate (RFC 8705 §3)")
    try:
        actual = thumbprint(decode_certificate(certificate))
    except CertificateError as error:
        raise Refused(Reason.BINDING_MISMATCH, str(error)) from None
    if not hmac.compare_digest(actual, expected):
        raise Refused(Reason.BINDING_MISMATCH, "the token is bound to another certificate (RFC 8705 §3)")
