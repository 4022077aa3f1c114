"""What the upstream is told and what is taken away (policy language §7).

Removal lists always name every header that we know, whether or not the request shows it: Envoy may be configured
to hide request headers from us, and what is hidden must not pass either.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from operator import itemgetter
from typing import Final

from authz.model.headers import OWN_PREFIX
from authz.model.principal import User, Via, Workload
from authz.policy.compiled import Scene
from authz.policy.document import Credential
from authz.policy.plan import Alternative, RoutePlan
from authz.policy.references import workload_of

SUBJECT: Final = "x-authz-subject"
ISSUER: Final = "x-authz-issuer"
SCOPES: Final = "x-authz-scopes"
WORKLOAD: Final = "x-authz-workload"
ROUTE: Final = "x-authz-route"
DECISION_ID: Final = "x-authz-decision-id"
"""Set on every answer by `wire.encode`, so never in a removal list."""
OWN_HEADERS: Final = frozenset((SUBJECT, ISSUER, SCOPES, WORKLOAD, ROUTE))
CREDENTIAL: Final = "authorization"
PROOF: Final = "dpop"
"""Belongs to the credential (RFC 9449 §7.1): it goes where that goes."""

_PLAIN: Final = re.compile(r"(?! )[ -$&-~]*(?<! )")
"""Printable ASCII without `%` and outer spaces: passes as it is."""

_REMEMBERED: Final = 512
"""Characters: what is longer is read anew, so that texts fill no memory."""

_NAME_OF: Final = itemgetter(0)

Headers = tuple[tuple[str, str], ...]
_NO_HEADERS: Final[Headers] = ()


def mutations(
    removable: frozenset[str], plan: RoutePlan, index: int, scene: Scene, route: str
) -> tuple[Headers, tuple[str, ...], User | None, Workload | None]:
    """Headers to set, names to remove, and the principals that the permitting alternative used."""
    alternative = plan.alternatives[index]
    user = scene.user if alternative.user and isinstance(scene.user, User) else None
    via = alternative.workload_via
    workload = None if via is None else workload_of(via)(scene)
    workload = workload if isinstance(workload, Workload) else None
    headers: Headers = (
        (ROUTE, route),
        *(_NO_HEADERS if user is None else _of_user(user)),
        *(_NO_HEADERS if workload is None else ((WORKLOAD, str(workload.id)),)),
    )
    own = plan.identity[index]
    if own:
        texts = [(name, _text(get(scene))) for name, get in own]
        headers = (*headers, *((name, text) for name, text in texts if text is not None))
    withheld = _withheld(plan, scene, user=user is not None, jwt_svid=_used_jwt_svid(alternative, scene))
    return headers, _removed(removable, headers, withheld, scene), user, workload


def bare_mutations(
    removable: frozenset[str], plan: RoutePlan, scene: Scene, route: str
) -> tuple[Headers, tuple[str, ...]]:
    """Those of an answer that stands for nobody (a preflight): no identity and no credential."""
    headers = ((ROUTE, route),)
    credentials = _credentials(plan.jwt_svid_header, scene, user=True, jwt_svid=True)
    return headers, _removed(removable, headers, credentials, scene)


def header_text(text: str) -> str:
    """Text as a header value: `%`, controls, non-ASCII and outer spaces percent-encoded (UTF-8)."""
    if _PLAIN.fullmatch(text):
        return text
    inner = text.strip(" ")
    start = text.index(inner) if inner else len(text)
    return "%20" * start + "".join(map(_encoded, inner)) + "%20" * (len(text) - start - len(inner))


def _of_user(user: User) -> Headers:
    short = len(user.scope_text) <= _REMEMBERED
    return (_user_headers if short else _user_headers.__wrapped__)(user.subject, user.issuer_url, user.scope_text)


@lru_cache(maxsize=4096)
def _user_headers(subject: str, issuer: str, scopes: str) -> Headers:
    """The users of the moment come again and again."""
    headers = ((SUBJECT, header_text(subject)), (ISSUER, header_text(issuer)))
    return (*headers, (SCOPES, header_text(scopes))) if scopes else headers


def _withheld(plan: RoutePlan, scene: Scene, *, user: bool, jwt_svid: bool) -> tuple[str, ...]:
    """The credentials that don't reach the upstream: those that the permitting alternative didn't use, or all of
    them where the route says so. `user` and `jwt_svid` say which ones it used."""
    credential = plan.credential
    if credential is Credential.UNTOUCHED:
        return ()
    passing = credential is Credential.PASS
    return _credentials(plan.jwt_svid_header, scene, user=not (passing and user), jwt_svid=not (passing and jwt_svid))


def _credentials(jwt_svid_header: str, scene: Scene, *, user: bool, jwt_svid: bool) -> tuple[str, ...]:
    """The headers of these credentials; a JWT-SVID's in other spellings goes in any case, nobody examined it."""
    headers = scene.request.headers
    names: tuple[str, ...] = ()
    if user:
        names = (CREDENTIAL, PROOF) if PROOF in headers else (CREDENTIAL,)
    if jwt_svid_header:
        spelled = [name for name in headers.lookalikes if name.replace("_", "-") == jwt_svid_header and "_" in name]
        names = (*names, *((jwt_svid_header,) if jwt_svid else ()), *spelled)
    return names


def _used_jwt_svid(alternative: Alternative, scene: Scene) -> bool:
    return Via.JWT_SVID in alternative.vias and isinstance(scene.jwt_svid, Workload)


def _removed(removable: frozenset[str], headers: Headers, withheld: tuple[str, ...], scene: Scene) -> tuple[str, ...]:
    """The names that are always removed, then what the request itself shows in other spellings, then what is
    withheld; each once."""
    names = tuple(map(_NAME_OF, headers))
    shown = scene.request.headers.lookalikes
    if not shown:
        return _usual_removals(removable, names, withheld)
    others = [name for name in shown if name not in names and _is_removable(name, removable)]
    return tuple(dict.fromkeys((*_usual_removals(removable, names, ()), *others, *withheld)))


def _is_removable(name: str, removable: frozenset[str]) -> bool:
    folded = name.replace("_", "-")
    if name == DECISION_ID:
        return False
    return folded.startswith(OWN_PREFIX) or folded in removable or folded == CREDENTIAL


@lru_cache(maxsize=1024)
def _usual_removals(
    removable: frozenset[str], set_names: tuple[str, ...], withheld: tuple[str, ...]
) -> tuple[str, ...]:
    """Bounded: one entry per combination of headers that the routes of a policy set can set and withhold."""
    fixed = sorted((removable | OWN_HEADERS) - {*set_names, DECISION_ID})
    return tuple(dict.fromkeys((*fixed, *withheld)))


def _text(value: object) -> str | None:
    """A JSON scalar as a header value; None for what is absent or no scalar."""
    if isinstance(value, str):
        return header_text(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def _encoded(character: str) -> str:
    if " " <= character <= "~" and character != "%":
        return character
    return "".join(f"%{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))
