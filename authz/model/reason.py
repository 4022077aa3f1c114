"""The closed registry of denial reasons.

One enum feeds the response, metrics, audit, `authz explain`, tests and the generated docs. Source:
policy language §8. The value is the stable code; `status` is the HTTP status that the client sees;
`summary` is for operators and the generated reference, never for the client (see `public_text`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

ALLOWED: Final = "allowed"
"""What metadata and audit carry as the reason of a permit; deliberately no member of `Reason`."""


class Reason(Enum):
    """Why a request was denied: `(code, HTTP status, one sentence for operators)`."""

    # 400: the request itself can't be judged.
    REQUEST_MALFORMED = (
        "request_malformed",
        400,
        "The request breaks HTTP's grammar or is of a kind that is never judged.",
    )
    PATH_NOT_CANONICAL = ("path_not_canonical", 400, "Two parsers could read the request target differently.")
    HOST_INVALID = ("host_invalid", 400, "The authority is outside the host grammar or contradicts the host header.")
    HEADER_AMBIGUOUS = ("header_ambiguous", 400, "A header that carries a credential came more than once.")
    # 401: the user has to present something else.
    CREDENTIAL_MISSING = ("credential_missing", 401, "No bearer token was presented.")
    TOKEN_MALFORMED = ("token_malformed", 401, "What was presented is not a well-formed token.")
    TOKEN_ALGORITHM_REFUSED = ("token_algorithm_refused", 401, "The issuer's list doesn't hold the token's algorithm.")
    TOKEN_TYPE_REFUSED = ("token_type_refused", 401, "The token is of another kind than an access token.")
    TOKEN_KEY_UNKNOWN = ("token_key_unknown", 401, "The issuer publishes no key that the token names.")
    TOKEN_SIGNATURE_INVALID = ("token_signature_invalid", 401, "The signature doesn't verify.")
    ISSUER_UNKNOWN = ("issuer_unknown", 401, "No configured issuer has the token's `iss`.")
    AUDIENCE_MISMATCH = ("audience_mismatch", 401, "The token was issued for another audience.")
    TOKEN_EXPIRED = ("token_expired", 401, "The token's `exp` has passed.")
    TOKEN_NOT_YET_VALID = ("token_not_yet_valid", 401, "The token's `nbf` or `iat` lies in the future.")
    TOKEN_LIFETIME_EXCESSIVE = ("token_lifetime_excessive", 401, "The token lives longer than its issuer may grant.")
    TOKEN_CLAIM_MISSING = ("token_claim_missing", 401, "The token lacks a required claim.")
    TOKEN_INACTIVE = ("token_inactive", 401, "The issuer says that the token is not active.")
    TOKEN_REVOKED = ("token_revoked", 401, "The token was revoked.")
    PROOF_MISSING = ("proof_missing", 401, "The token is sender-constrained and no proof came with it.")
    PROOF_INVALID = ("proof_invalid", 401, "The proof of possession doesn't verify.")
    PROOF_REPLAYED = ("proof_replayed", 401, "The proof of possession was used before.")
    BINDING_MISMATCH = ("binding_mismatch", 401, "The token is bound to another certificate than the caller's.")
    ACR_INSUFFICIENT = ("acr_insufficient", 401, "The login's context class is not one that the route accepts.")
    AMR_INSUFFICIENT = ("amr_insufficient", 401, "The login's methods are not those that the route asks for.")
    AUTH_TOO_OLD = ("auth_too_old", 401, "The login is older than the route accepts.")
    # 403: who it is, is known; they may not.
    ROUTE_UNMATCHED = ("route_unmatched", 403, "No route covers the path.")
    METHOD_UNMATCHED = ("method_unmatched", 403, "The path has routes, none for the method.")
    DESTINATION_UNMATCHED = ("destination_unmatched", 403, "No policy protects this host at this destination.")
    ISSUER_NOT_PERMITTED = ("issuer_not_permitted", 403, "The route doesn't take tokens of this issuer.")
    SUBJECT_NOT_PERMITTED = ("subject_not_permitted", 403, "The route isn't open to this subject or kind of principal.")
    SCOPE_MISSING = ("scope_missing", 403, "The token lacks a scope.")
    GROUP_MISSING = ("group_missing", 403, "The user is not in a group that the route asks for.")
    ROLE_MISSING = ("role_missing", 403, "The user lacks a role.")
    CLIENT_NOT_PERMITTED = ("client_not_permitted", 403, "The route isn't open to this client.")
    CLAIM_MISMATCH = ("claim_mismatch", 403, "A claim doesn't have the value that the route asks for.")
    WORKLOAD_MISSING = ("workload_missing", 403, "No workload identity was presented.")
    WORKLOAD_INVALID = ("workload_invalid", 403, "The workload identity breaks the SPIFFE rules or doesn't verify.")
    WORKLOAD_REVOKED = ("workload_revoked", 403, "The workload identity was revoked.")
    WORKLOAD_NOT_PERMITTED = ("workload_not_permitted", 403, "The route isn't open to this workload.")
    TRUST_DOMAIN_UNKNOWN = ("trust_domain_unknown", 403, "The workload's trust domain is not configured.")
    SOURCE_NOT_PERMITTED = ("source_not_permitted", 403, "The peer's address is outside the permitted networks.")
    EXPRESSION_FALSE = ("expression_false", 403, "The route's expression is not true.")
    EXCLUDED = ("excluded", 403, "A `not` excludes the caller, or can't be known not to.")
    GUARDRAIL_DENIED = ("guardrail_denied", 403, "A platform guardrail denies the caller.")
    NOBODY = ("nobody", 403, "The route is closed to everybody.")
    # 503: the decision could not be made.
    KEYS_UNAVAILABLE = ("keys_unavailable", 503, "The issuer's keys could not be had.")
    INTROSPECTION_UNAVAILABLE = ("introspection_unavailable", 503, "The issuer could not be asked about the token.")
    STORE_UNAVAILABLE = ("store_unavailable", 503, "The shared store could not be reached.")
    POLICY_UNAVAILABLE = ("policy_unavailable", 503, "The policy of this host is faulty or absent.")
    DEADLINE_EXCEEDED = ("deadline_exceeded", 503, "The decision could not be made in time.")
    OVERLOADED = ("overloaded", 503, "More checks are waiting than can be answered.")
    INTERNAL_ERROR = ("internal_error", 503, "A bug in this program; the request was denied.")

    def __init__(self, code: str, status: int, summary: str) -> None:
        self.code = code
        self.status = status
        self.summary = summary

    @property
    def is_step_up(self) -> bool:
        """Whether a fresh or stronger login would help (RFC 9470)."""
        return self in _STEP_UP

    @property
    def is_undecided(self) -> bool:
        """Whether the answer hangs on something that could not be found out (status 503)."""
        return self.status == 503

    @property
    def public_text(self) -> str:
        """The short text that a client may see: it doesn't tell which rule refused."""
        return _PUBLIC_TEXT[self.status]


_STEP_UP: Final = frozenset({Reason.ACR_INSUFFICIENT, Reason.AMR_INSUFFICIENT, Reason.AUTH_TOO_OLD})
_PUBLIC_TEXT: Final = {
    400: "The request can't be processed as it was sent.",
    401: "Valid credentials are required.",
    403: "Access is denied.",
    503: "The decision could not be made; try again later.",
}
BY_CODE: Final = {reason.code: reason for reason in Reason}
