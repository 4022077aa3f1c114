"""Every manifest in deploy/ is one that a cluster with these versions takes, to the last field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.architecture import tree
from tests.deploy import tools
from tests.deploy.conftest import render, run
from tests.mint.manifests import MESHES

_MANIFESTS: Final = sorted(
    str(file.relative_to(tools.ROOT))
    for mesh in MESHES
    for file in (tools.DEPLOY / mesh).glob("*.yaml")
    if file.name != "values.yaml"
)
_PAGES: Final = ("docs/istio.md", "docs/envoy-gateway.md", "docs/kubernetes.md")


@pytest.mark.parametrize("file", _MANIFESTS)
def test_each_manifest_is_as_its_projects_schema_says(file: str) -> None:
    """Structure, unknown fields, enumerations and CEL rules hold, judged by the API server's own code."""
    done = run([tools.checker(), tools.schemas(), file])

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("source", ["secret", "istio", "workloadApi"])
def test_what_the_chart_renders_is_as_the_schemas_say(
    mesh: str, source: str, check: Callable[[str], list[str]]
) -> None:
    """With each mesh's values, each source of certificates, and everything that is optional."""
    rendered = render(
        *("--values", f"deploy/{mesh}/values.yaml", "--set", f"tls.source={source}"),
        *("--set", "serviceMonitor.enabled=true,secrets={authz-redis},podAnnotations.a=b,podLabels.c=d"),
        *("--set", "imagePullSecrets[0].name=pull,priorityClassName=high,serviceAccount.annotations.e=f"),
        *("--set", "tolerations[0].operator=Exists,nodeSelector.disk=fast,service.annotations.g=h"),
        *("--set-json", 'networkPolicy.store.to=[{"podSelector": {"matchLabels": {"app": "redis"}}}]'),
        *("--set-json", 'networkPolicy.monitoring=[{"namespaceSelector": {}}]'),
        *("--set-json", 'affinity={"podAntiAffinity": {}}'),
    )

    assert rendered.returncode == 0, rendered.stderr
    assert check(rendered.stdout) == []


@pytest.mark.parametrize("page", _PAGES)
def test_each_manifest_that_a_page_shows_is_as_the_schemas_say(page: str, check: Callable[[str], list[str]]) -> None:
    """What people copy from the page of a mesh is held to the same measure."""
    shown = [
        block.text
        for block in tree.blocks(page)
        if block.language == "yaml" and re.search("^(kind|meshConfig):", block.text, re.MULTILINE)
    ]

    assert check("\n---\n".join(shown)) == [] if shown else page == "docs/kubernetes.md"


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        ("kubernetes/authz.yaml", ("readOnlyRootFilesystem", "readonlyRootFilesystem"), "unknown field"),
        ("kubernetes/authz.yaml", ("replicas: 2", "replicas: two"), "must be of type integer"),
        ("kubernetes/authz.yaml", ("serviceAccountName:", "containers: []\n      serviceAccountName:"), "already set"),
        (
            "kubernetes/authz.yaml",
            ("  policyTypes: [Ingress, Egress]", "  policyTypes: Egress"),
            "must be of type array",
        ),
        ("istio/authorization-policy.yaml", ("CUSTOM", "CUSTOMS"), "Unsupported value"),
        ("istio/authorization-policy.yaml", ("provider:", "providers:"), "unknown field"),
        ("istio/destination-rule.yaml", ("ISTIO_MUTUAL", "ISTIO"), "Unsupported value"),
        ("istio/mesh-config.yaml", ("failOpen", "failopen"), "unknown field"),
        ("envoy-gateway/security-policy.yaml", ("failOpen", "failureModeAllow"), "unknown field"),
        ("envoy-gateway/security-policy.yaml", ("type: GRPC", "type: TCP"), "tcp field needs to be set"),
        ("envoy-gateway/security-policy.yaml", ("kind: Gateway, name", "kind: Gate, name"), "targetRefs[*].kind"),
        ("envoy-gateway/guard.yaml", ("object.spec.extAuth)", "object.spec.extAuth"), "Syntax error"),
        ("kubernetes/namespace.yaml", ("kind: Namespace", "kind: Namespaces"), "no schema for v1 Namespaces"),
    ],
)
def test_the_checker_finds_what_is_wrong(
    file: str, change: tuple[str, str], expected: str, check: Callable[[str], list[str]]
) -> None:
    """A misspelt field, a wrong type, a broken rule of the project, a key that stands twice: none gets through."""
    text = (tools.DEPLOY / file).read_text()
    assert change[0] in text

    faults = check(text.replace(*change))

    assert any(expected in fault for fault in faults), faults


_OBJECT: Final = "apiVersion: {api}\nkind: {kind}\nmetadata: {{namespace: {namespace}{more}}}\nspec: {{{spec}}}\n"


@pytest.mark.parametrize(
    ("mesh", "object_", "broken"),
    [
        ("istio", ("security.istio.io/v1", "AuthorizationPolicy", "istio-system", "", "action: CUSTOM"), False),
        ("istio", ("security.istio.io/v1", "AuthorizationPolicy", "shop", "", "action: CUSTOM"), True),
        ("istio", ("security.istio.io/v1beta1", "AuthorizationPolicy", "shop", "", "action: ALLOW"), False),
        ("istio", ("security.istio.io/v1", "AuthorizationPolicy", "shop", "", ""), False),
        ("istio", ("v1", "Pod", "shop", "", "containers: [{name: orders}, {name: istio-proxy}]"), False),
        ("istio", ("v1", "Pod", "shop", "", "containers: [{name: o}], initContainers: [{name: istio-proxy}]"), False),
        ("istio", ("v1", "Pod", "shop", "", "containers: [{name: orders}], initContainers: [{name: i}]"), True),
        ("istio", ("v1", "Pod", "shop", "", "containers: [{name: orders}]"), True),
        (
            "istio",
            (
                *("v1", "Pod", "shop", ", annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '80'}"),
                "containers: [{name: istio-proxy}]",
            ),
            True,
        ),
        ("envoy-gateway", ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "shop", "", "cors: {}"), True),
        (
            "envoy-gateway",
            ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "shop", "", "mergeType: StrategicMerge, cors: {}"),
            False,
        ),
        (
            "envoy-gateway",
            ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "shop", "", "mergeType: JSONMerge, extAuth: {}"),
            True,
        ),
        (
            "envoy-gateway",
            ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "edge", "", "extAuth: {failOpen: true}"),
            True,
        ),
        (
            "envoy-gateway",
            ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "edge", "", "extAuth: {headersToExtAuth: [a]}"),
            True,
        ),
        ("envoy-gateway", ("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "edge", "", "extAuth: {}"), False),
    ],
)
def test_the_guards_refuse_what_would_open_the_mesh(
    mesh: str, object_: tuple[str, str, str, str, str], broken: bool, tmp_path: Path
) -> None:
    """The admission policies' rules, evaluated as the API server does."""
    api, kind, namespace, more, spec = object_
    file = tmp_path / "object.yaml"
    file.write_text(_OBJECT.format(api=api, kind=kind, namespace=namespace, more=more, spec=spec))

    done = run([tools.checker(), "judge", f"deploy/{mesh}/guard.yaml", file])

    assert done.returncode == 0, done.stderr
    assert bool(done.stdout) is broken, done.stdout


@pytest.mark.parametrize("mesh", ["istio", "envoy-gateway"])
def test_our_own_manifests_pass_the_guards(mesh: str) -> None:
    """What we say to write is not what we refuse."""
    printed = [
        run([tools.checker(), "judge", f"deploy/{mesh}/guard.yaml", file]).stdout
        for file in _MANIFESTS
        if file.startswith(f"deploy/{mesh}/")
    ]

    assert set(printed) == {""}
