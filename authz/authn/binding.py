"""Sender-constrained tokens: whether the one who presents a token is the one it is bound to (RFC 7800 `cnf`).

Owns: certificate-bound tokens (RFC 8705 §3). Proofs of possession (RFC 9449) aren't read in this version,
so a token that needs one is refused. Must not: take a token with `cnf` for a plain bearer token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from authz.authn.certificate import CertificateError, decode_certificate, thumbprint
from authz.authn.extract import PresentedToken, Scheme
from authz.model.errors import Refused
from authz.model.reason import Reason

_KEY: Final = "jkt"
"""RFC 9449 §6.1."""
_CERTIFICATE: Final = "x5t#S256"
"""RFC 8705 §3.1."""
_KNOWN: Final = frozenset({_KEY, _CERTIFICATE})


def check_binding(claims: Mapping[str, Any], presented: PresentedToken) -> None:
    """Return if the token isn't bound, or to the caller's certificate; else raises `Refused`.

    PROOF_MISSING or PROOF_INVALID for a key (the latter when a proof came: none is accepted),
    BINDING_MISMATCH for another certificate or none, PROOF_INVALID for a member that isn't known.
    """
    members: Mapping[str, Any] = {}
    if "cnf" in claims:
        members = _members(claims["cnf"])
    if _CERTIFICATE in members:
        _check_certificate(members[_CERTIFICATE], presented.certificate)
    if presented.scheme is Scheme.DPOP or _KEY in members:
        if presented.proof:
            raise Refused(Reason.PROOF_INVALID, "no kind of proof is accepted in this version (RFC 9449 §7)")
        raise Refused(Reason.PROOF_MISSING, "the token needs a proof of possession (RFC 9449 §7.1)")


def _members(confirmation: object) -> Mapping[str, Any]:
    if type(confirmation) is not dict or not confirmation or not confirmation.keys() <= _KNOWN:
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
