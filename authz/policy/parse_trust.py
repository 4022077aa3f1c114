"""`kind: TrustDomains` (policy language §3): trusted domains, who verified the peer, roles of workloads.

Owns the rule that several domains behind one Envoy must be told apart by Envoy itself. Bundles aren't read here.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from typing import Final

from authz.model.issuer import BundleOrigin, JwtSvidSettings, PeerVerification, TrustSettings
from authz.model.spiffe import SpiffeId, SpiffeIdError, check_trust_domain
from authz.policy.document import TrustDomainsDocument
from authz.policy.faults import FaultCode
from authz.policy.parse_bundles import read_bundle
from authz.policy.parse_routes import check_header
from authz.policy.parse_values import Reading
from authz.policy.yaml_tree import Node, Unread, show

_KEYS: Final = ("apiVersion", "kind", "trustDomains", "roles", "peers")
_VERIFIED_BY: Final = {"envoy": PeerVerification.ENVOY, "certificate": PeerVerification.CERTIFICATE}


def read_trust_domains(reading: Reading, node: Node) -> TrustDomainsDocument:
    """The whole document; `node` is its root."""
    entries = reading.fields(node, "a TrustDomains document", _KEYS, required=("trustDomains", "peers"))
    bundles = _bundles(reading, entries["trustDomains"]) if "trustDomains" in entries else {}
    verified_by, proxies = PeerVerification.ENVOY, frozenset[SpiffeId]()
    jwt_svid: JwtSvidSettings | None = None
    if "peers" in entries:
        verified_by, proxies, jwt_svid = _peers(reading, entries["peers"], bundles)
    return TrustDomainsDocument(
        place=reading.place(node),
        settings=TrustSettings(
            bundles=bundles,
            verified_by=verified_by,
            roles=_roles(reading, entries["roles"], bundles) if "roles" in entries else {},
            trusted_proxies=proxies,
            jwt_svid=jwt_svid,
        ),
    )


def _bundles(reading: Reading, node: Node) -> dict[str, BundleOrigin]:
    found: dict[str, BundleOrigin] = {}
    for name, key, value in reading.pairs(node, "`trustDomains`"):
        try:
            check_trust_domain(name)
        except SpiffeIdError as error:
            reading.fault(key, FaultCode.NAME_INVALID, str(error), advice="Write the name as SPIFFE IDs have it.")
        found[name] = read_bundle(reading, value, name)
    return found


def _roles(reading: Reading, node: Node, bundles: MappingType[str, BundleOrigin]) -> dict[SpiffeId, frozenset[str]]:
    found: dict[SpiffeId, frozenset[str]] = {}
    for role, key, value in reading.pairs(node, "`roles`"):
        reading.name(key, "the name of a role")
        for workload in _known_ids(reading, value, f"the role {show(role)}", bundles):
            found[workload] = found.get(workload, frozenset()) | {role}
    return found


def _known_ids(reading: Reading, node: Node, what: str, bundles: MappingType[str, BundleOrigin]) -> frozenset[SpiffeId]:
    """Exact SPIFFE IDs of trusted domains."""
    found: set[SpiffeId] = set()
    for item in reading.items(node, what):
        workload = reading.spiffe_id(item, f"each item of {what}")
        if workload is None:
            continue
        if workload.trust_domain not in bundles:
            reading.fault(
                item,
                FaultCode.TRUST_DOMAIN_UNKNOWN,
                f"the trust domain {show(workload.trust_domain)} isn't among `trustDomains`",
            )
        found.add(workload)
    return frozenset(found)


def _peers(
    reading: Reading, node: Node, bundles: MappingType[str, BundleOrigin]
) -> tuple[PeerVerification, frozenset[SpiffeId], JwtSvidSettings | None]:
    entries = reading.fields(
        node,
        "`peers`",
        ("verified_by", "envoy_validates_per_domain", "forwarded", "jwt_svid"),
        required=("verified_by",),
    )
    verified_by = PeerVerification.ENVOY
    if "verified_by" in entries:
        verified_by = reading.choice(entries["verified_by"], "`verified_by`", _VERIFIED_BY) or verified_by
    stated = entries.get("envoy_validates_per_domain")
    validates = reading.boolean(stated, "`envoy_validates_per_domain`") if stated is not None else False
    if verified_by is PeerVerification.ENVOY and len(bundles) > 1 and not validates and type(stated) is not Unread:
        reading.fault(
            stated if stated is not None else node,
            FaultCode.TRUST_DOMAIN_VALIDATION,
            f"with {len(bundles)} trust domains, any of their authorities could name a workload of another",
        )
    proxies = _proxies(reading, entries["forwarded"], bundles) if "forwarded" in entries else frozenset[SpiffeId]()
    return verified_by, proxies, _jwt_svid(reading, entries["jwt_svid"]) if "jwt_svid" in entries else None


def _jwt_svid(reading: Reading, node: Node) -> JwtSvidSettings:
    keys = ("header", "audiences")
    entries = reading.fields(node, "`jwt_svid`", keys, required=keys)
    header = reading.text(entries["header"], "`header`") if "header" in entries else ""
    if header:
        check_header(reading, entries["header"], header)
    audiences = reading.texts(entries["audiences"], "`audiences`") if "audiences" in entries else ()
    return JwtSvidSettings(header=header, audiences=frozenset(text.value for text in audiences))


def _proxies(reading: Reading, node: Node, bundles: MappingType[str, BundleOrigin]) -> frozenset[SpiffeId]:
    entries = reading.fields(node, "`forwarded`", ("trusted_proxies",), required=("trusted_proxies",))
    if "trusted_proxies" not in entries:
        return frozenset()
    return _known_ids(reading, entries["trusted_proxies"], "`trusted_proxies`", bundles)
