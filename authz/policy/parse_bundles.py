"""Where a trust domain's bundle comes from (policy language §3): a file, a bundle endpoint, or the Workload API.

Owns: which keys go together (SPIFFE Federation §5.2.1.2, §5.2.2.2). Must not: read or fetch a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from typing import Final

from authz.model.issuer import BundleEndpoint, BundleFile, BundleOrigin, BundleWorkloadApi, EndpointProfile
from authz.model.spiffe import SpiffeId
from authz.policy.faults import FaultCode
from authz.policy.parse_values import Reading
from authz.policy.yaml_tree import Mapping, Node, Scalar, show

_ORIGINS: Final = ("file", "endpoint", "workload_api")
_OF_ENDPOINTS: Final = ("profile", "endpoint_spiffe_id", "bootstrap")
_OF_SPIFFE: Final = ("endpoint_spiffe_id", "bootstrap")
_PROFILES: Final = {profile.value: profile for profile in EndpointProfile}
_NONE: Final = BundleFile("")
"""Stands for an origin that can't be read; a fault says why."""


def read_bundle(reading: Reading, node: Node, domain: str) -> BundleOrigin:
    """The entry of one trust domain."""
    what = f"the trust domain {show(domain)}"
    entries = reading.fields(node, what, ("bundle",), required=("bundle",))
    if "bundle" not in entries:
        return _NONE
    bundle = reading.fields(entries["bundle"], f"`bundle` of {what}", (*_ORIGINS, *_OF_ENDPOINTS))
    origin = _origin(reading, entries["bundle"], bundle, what)
    if origin != "endpoint":
        for key in (key for key in _OF_ENDPOINTS if key in bundle):
            reading.fault(bundle[key], FaultCode.VALUE_INVALID, f"`{key}` belongs to a bundle from an `endpoint`")
    if origin == "file":
        return BundleFile(reading.relative_file(bundle["file"], "`file`"))
    if origin == "endpoint":
        return _endpoint(reading, entries["bundle"], bundle, domain)
    if origin == "workload_api":
        _check_true(reading, bundle["workload_api"])
    return BundleWorkloadApi() if origin else _NONE


def _check_true(reading: Reading, node: Node) -> None:
    if not reading.boolean(node, "`workload_api`") and type(node) is Scalar and node.value is False:
        reading.fault(node, FaultCode.VALUE_INVALID, "`workload_api` is `true` or isn't there")


def _origin(reading: Reading, node: Node, bundle: MappingType[str, Node], what: str) -> str:
    """The one key that says where the bundle comes from; empty when there isn't exactly one."""
    given = [key for key in _ORIGINS if key in bundle]
    if len(given) > 1:
        reading.fault(bundle[given[1]], FaultCode.VALUE_INVALID, f"`bundle` of {what} comes from one place")
    elif not given and type(node) is Mapping and len(node.entries) == len(bundle):
        # A key that was refused already may be the missing one, misspelt.
        reading.fault(node, FaultCode.KEY_MISSING, f"`bundle` of {what} needs `file`, `endpoint` or `workload_api`")
    return given[0] if len(given) == 1 else ""


def _endpoint(reading: Reading, node: Node, bundle: MappingType[str, Node], domain: str) -> BundleEndpoint:
    url = reading.url(bundle["endpoint"], "`endpoint`", loopback=False)
    if "profile" not in bundle:
        reading.fault(node, FaultCode.KEY_MISSING, "a bundle from an `endpoint` needs the key `profile`")
        return BundleEndpoint(url=url)
    profile = reading.choice(bundle["profile"], "`profile`", _PROFILES)
    if profile is EndpointProfile.SPIFFE:
        return _spiffe_endpoint(reading, node, bundle, url, domain)
    for key in (key for key in _OF_SPIFFE if key in bundle and profile is not None):
        reading.fault(bundle[key], FaultCode.VALUE_INVALID, f"`{key}` belongs to the profile `https_spiffe`")
    return BundleEndpoint(url=url)


def _spiffe_endpoint(
    reading: Reading, node: Node, bundle: MappingType[str, Node], url: str, domain: str
) -> BundleEndpoint:
    endpoint_id: SpiffeId | None = None
    for key in _OF_SPIFFE:
        if key not in bundle:
            reading.fault(node, FaultCode.KEY_MISSING, f"the profile `https_spiffe` needs the key `{key}`")
    if "endpoint_spiffe_id" in bundle:
        endpoint_id = reading.spiffe_id(bundle["endpoint_spiffe_id"], "`endpoint_spiffe_id`")
    if endpoint_id is not None and endpoint_id.trust_domain != domain:
        reading.fault(
            bundle["endpoint_spiffe_id"],
            FaultCode.VALUE_INVALID,
            f"the endpoint is judged by the bundle that it serves, so its ID is one of {show(domain)}",
        )
    bootstrap = reading.relative_file(bundle["bootstrap"], "`bootstrap`") if "bootstrap" in bundle else ""
    return BundleEndpoint(url=url, profile=EndpointProfile.SPIFFE, endpoint_id=endpoint_id, bootstrap=bootstrap)
