"""Where a trust domain's bundle comes from: which keys go together (policy language §3, SPIFFE Federation §5.2)."""

from __future__ import annotations

import pytest

from authz.model.issuer import BundleEndpoint, BundleFile, BundleOrigin, BundleWorkloadApi, EndpointProfile
from authz.model.spiffe import SpiffeId
from tests.unit.policy.test_parse_platform import HEAD, codes, trust

URL = "https://spiffe.shop.example/bundle"
ID = "spiffe://shop.example/spire/server"
SPIFFE = f"endpoint: {URL}, profile: https_spiffe, endpoint_spiffe_id: {ID}, bootstrap: bundles/shop.json"


def document(bundle: str) -> str:
    domains = f"trustDomains: {{shop.example: {{bundle: {bundle}}}}}\n"
    return f"{HEAD}kind: TrustDomains\n{domains}peers: {{verified_by: envoy}}\n"


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ("{file: bundles/shop.json}", BundleFile("bundles/shop.json")),
        ("{workload_api: true}", BundleWorkloadApi()),
        (f"{{endpoint: {URL}, profile: https_web}}", BundleEndpoint(url=URL)),
        (
            f"{{{SPIFFE}}}",
            BundleEndpoint(
                url=URL, profile=EndpointProfile.SPIFFE, endpoint_id=SpiffeId.parse(ID), bootstrap="bundles/shop.json"
            ),
        ),
    ],
)
def test_each_origin_becomes_a_value(bundle: str, expected: BundleOrigin) -> None:
    """A file, the Workload API, and an endpoint of either profile."""
    assert trust(document(bundle)).bundles == {"shop.example": expected}


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        ("{}", "key-missing"),
        ("[]", "value-type"),
        ("{workload_api: false}", "value-invalid"),
        ("{workload_api: yes}", "value-type"),
        ("{file: a.json, workload_api: true}", "value-invalid"),
        (f"{{file: a.json, endpoint: {URL}}}", "value-invalid"),
        ("{file: a.json, profile: https_web}", "value-invalid"),
        ("{workload_api: true, bootstrap: a.json}", "value-invalid"),
        (f"{{endpoint: {URL}}}", "key-missing"),
        (f"{{endpoint: {URL}, profile: web}}", "value-invalid"),
        ("{endpoint: http://spiffe.shop.example/b, profile: https_web}", "issuer-url"),
        ("{endpoint: http://localhost/b, profile: https_web}", "issuer-url"),
        ("{endpoint: 'https://me@spiffe.shop.example/b', profile: https_web}", "issuer-url"),
        (f"{{endpoint: {URL}, profile: https_web, bootstrap: a.json}}", "value-invalid"),
        (f"{{endpoint: {URL}, profile: https_web, endpoint_spiffe_id: {ID}}}", "value-invalid"),
        ("{" + SPIFFE.replace(", bootstrap: bundles/shop.json", "") + "}", "key-missing"),
        ("{" + SPIFFE.replace(f", endpoint_spiffe_id: {ID}", "") + "}", "key-missing"),
        ("{" + SPIFFE.replace(ID, "spiffe://other.example/spire/server") + "}", "value-invalid"),
        ("{" + SPIFFE.replace(ID, "spire") + "}", "spiffe-id"),
        ("{" + SPIFFE.replace("bundles/shop.json", "../shop.json") + "}", "value-invalid"),
        ("{workload_apis: true}", "key-unknown"),
    ],
)
def test_what_a_bundle_cant_say_is_one_fault(bundle: str, code: str) -> None:
    """Each is told once, at its place."""
    assert codes(document(bundle)) == [code]
