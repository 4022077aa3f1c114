"""The ground that requirements are compiled on: one directory's platform documents, and where faults go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from authz.model.issuer import IssuerSettings
from authz.model.principal import Via
from authz.policy.document import ParsedDirectory
from authz.policy.faults import FaultCode, Faults, Place

_ANY_VIA: Final = frozenset((Via.MTLS, Via.FORWARDED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every requirement of a directory stands on, and where its faults go.

    `origin` is "" for routes, else `guardrail:ID`; guardrails take any issuer where none is written.
    """

    platform: ParsedDirectory
    faults: Faults
    policy: str = ""
    origin: str = ""
    any_issuer: bool = False

    @property
    def issuers(self) -> Mapping[str, IssuerSettings]:
        return {} if self.platform.issuers is None else self.platform.issuers.issuers

    @property
    def aliases(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(issuer.aliases) for name, issuer in self.issuers.items()}

    @property
    def any_via(self) -> frozenset[Via]:
        """Every way in which a workload's identity can reach us here."""
        return _ANY_VIA | {Via.JWT_SVID} if self.jwt_svid_header else _ANY_VIA

    @property
    def jwt_svid_header(self) -> str:
        """The header that JWT-SVIDs come in; empty when none are read."""
        trust = self.platform.trust_domains
        jwt_svid = None if trust is None else trust.settings.jwt_svid
        return "" if jwt_svid is None else jwt_svid.header

    def fault(self, place: Place, code: FaultCode, message: str) -> None:
        self.faults.add(place, code, message, policy=self.policy)
