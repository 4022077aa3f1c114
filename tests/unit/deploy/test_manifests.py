"""The manifests in deploy/ fit the image, the service and each other; no cluster and no helm needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

import authz
from authz.policy.load import load
from authz.sources.directory import read_policy_directory
from tests.architecture import tree
from tests.mint.manifests import DEPLOY, DOCUMENTS, MESHES, mount_policy, pod, policy, the
from tests.mint.manifests import settings as mounted_settings
from tests.unit.deploy.settings_schema import settings_schema

_VALUES: Final = [DEPLOY / mesh / "values.yaml" for mesh in MESHES]
_SCHEMA: Final = json.loads((DEPLOY / "helm/authz/values.schema.json").read_text())


def _container() -> Any:
    return pod()["containers"][0]


def test_the_pod_is_what_the_image_is_built_for() -> None:
    """User, group, ports and the meaning of `args` are the Dockerfile's; the image is the compose file's."""
    dockerfile = tree.text_of("Dockerfile")
    user, group = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)[0]
    ports = re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)[0].split()
    compose = yaml.safe_load(tree.text_of("docker-compose.yml"))["services"]["authz-1"]

    context = pod()["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))
    assert [str(port["containerPort"]) for port in _container()["ports"]] == ports
    assert 'ENTRYPOINT ["authz"]' in dockerfile
    assert "command" not in _container()
    assert f"AUTHZ_IMAGE:-{_container()['image'].partition(':')[0]}:" in compose["image"]


def test_the_chart_is_of_this_version() -> None:
    """Chart, application and image tag bear the version of the package."""
    chart = yaml.safe_load((DEPLOY / "helm/authz/Chart.yaml").read_text())

    assert chart["appVersion"] == chart["version"] == authz.__version__
    assert _container()["image"].endswith(f":{authz.__version__}")


def test_the_pod_can_do_nothing_that_it_does_not_need() -> None:
    """Pod security's level `restricted`, and beyond it a root that can't be written and no token."""
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert _container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert the("ServiceAccount")["automountServiceAccountToken"] is False
    assert set(_container()["resources"]["limits"]) == {"memory"}


def test_no_service_of_the_namespace_becomes_a_setting() -> None:
    """Kubernetes makes AUTHZ_PORT of a service named authz, and an unknown AUTHZ_ variable ends the start."""
    assert pod()["enableServiceLinks"] is False


def test_the_pod_is_given_the_time_that_its_drain_takes() -> None:
    """The kubelet's patience is longer than health_wait and drain_grace together."""
    settings = mounted_settings()

    drain = sum(int(settings[name].removesuffix("s")) for name in ("health_wait", "drain_grace"))

    assert pod()["terminationGracePeriodSeconds"] > drain


def test_envoys_notice_a_drain_before_it_ends() -> None:
    """Where a health check is written down, its interval is below health_wait."""
    settings = mounted_settings()
    health = the("SecurityPolicy", "ask-authz")["spec"]["extAuth"]["grpc"]["backendSettings"]["healthCheck"]

    assert int(health["active"]["interval"].removesuffix("s")) * 2 < int(settings["health_wait"].removesuffix("s"))
    assert health["panicThreshold"] == 0


def test_everything_selects_the_same_pods() -> None:
    """Service, budget, network policy and spread mean the pods that the Deployment makes."""
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        the("Deployment")["spec"]["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
    ]

    assert all(each == selectors[0] for each in selectors)
    assert selectors[0].items() <= labels.items()


def test_no_network_rule_means_everybody() -> None:
    """A rule without peers, or with an empty one, would let all in or out."""
    spec = the("NetworkPolicy")["spec"]

    peers = [rule.get("from") or rule.get("to") for rule in (*spec["ingress"], *spec["egress"])]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert all(peers)
    assert all(peer != {} for rule in peers for peer in rule)
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == [9000]


def test_the_mounted_policy_is_clean_and_changes_as_one(tmp_path: Path) -> None:
    """All its files arrive with their folders, no fault but missing tests is found, and a swap is seen."""
    data = policy()
    mount_policy(tmp_path, "2026_1", data)

    before = read_policy_directory(tmp_path)
    data["orders.yaml"] = data["orders.yaml"].replace("orders:read", "orders:list")
    mount_policy(tmp_path, "2026_2", data)
    after = read_policy_directory(tmp_path)

    loaded = load(before)
    assert loaded.policy is not None
    assert {fault.code for fault in loaded.faults} <= {"test-missing"}
    assert {name for name in before if before[name] != after[name]} == {"orders.yaml"}
    done = _authz("lint", str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"(?:error|warning)\[(\S+)\]", done.stdout)) <= {"test-missing"}


def _authz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("authz")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_mounted_settings_are_the_services(tmp_path: Path) -> None:
    """`authz config show` takes them, and each value is the file's."""
    file = tmp_path / "authz.yaml"
    file.write_text(the("ConfigMap", "authz-settings")["data"]["authz.yaml"])

    done = _authz("config", "show", "--config", str(file))

    assert done.returncode == 0, done.stderr
    assert re.search(r"^tls\.may_connect\s+spiffe://cluster\.local/ns/edge/sa/gateway,", done.stdout, re.MULTILINE)


def test_what_is_mounted_is_what_the_settings_name() -> None:
    """Each path in the settings lies on a mount."""
    settings = mounted_settings()
    mounts = {mount["mountPath"] for mount in _container()["volumeMounts"]}

    named = {
        settings["policy_dir"],
        *(str(Path(settings["tls"][name]).parent) for name in ("cert", "key", "client_ca")),
    }

    assert named <= mounts
    assert "/etc/authz" in mounts
    assert not any("subPath" in mount for mount in _container()["volumeMounts"])


def test_nothing_that_a_mesh_is_told_fails_open() -> None:
    """The settings that would let requests pass unasked are written down, on the safe side."""
    (mesh,) = [each["meshConfig"] for each in DOCUMENTS if "meshConfig" in each]
    provider = mesh["extensionProviders"][0]["envoyExtAuthzGrpc"]
    asked = the("AuthorizationPolicy", "ask-authz")
    gateway = the("SecurityPolicy", "ask-authz")["spec"]["extAuth"]

    assert provider["failOpen"] is gateway["failOpen"] is False
    assert provider["clearRouteCache"] is gateway["recomputeRoute"] is False
    assert {"includeRequestBodyInCheck"}.isdisjoint(provider)
    assert {"headersToExtAuth", "bodyToExtAuth"}.isdisjoint(gateway)
    assert asked["metadata"]["namespace"] == "istio-system"
    assert asked["spec"] == {"action": "CUSTOM", "provider": {"name": "authz"}, "rules": [{}]}
    assert the("PeerAuthentication", "strict")["spec"] == {"mtls": {"mode": "STRICT"}}


@pytest.mark.parametrize("page", ["docs/istio.md", "docs/envoy-gateway.md"])
def test_a_page_shows_what_deploy_holds(page: str) -> None:
    """Whoever copies from the page gets the same as who applies the file."""
    shown = [yaml.safe_load(block.text) for block in tree.blocks(page) if block.language == "yaml"]

    assert shown
    assert [document for document in shown if document not in DOCUMENTS] == []


def test_the_meshes_ask_where_the_chart_answers() -> None:
    """Names, namespace, port and identity are the same on both sides."""
    address = "authz.authz.svc.cluster.local"
    identity = "spiffe://cluster.local/ns/authz/sa/authz"
    (mesh,) = [each["meshConfig"] for each in DOCUMENTS if "meshConfig" in each]
    provider = mesh["extensionProviders"][0]["envoyExtAuthzGrpc"]
    rule = the("DestinationRule")["spec"]
    (backend,) = the("SecurityPolicy", "ask-authz")["spec"]["extAuth"]["grpc"]["backendRefs"]
    validation = the("BackendTLSPolicy")["spec"]["validation"]
    service = the("Service")
    (port,) = service["spec"]["ports"]

    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("authz", "authz")
    assert provider["service"] == rule["host"] == validation["hostname"] == address
    assert provider["port"] == backend["port"] == port["port"]
    assert (backend["name"], backend["namespace"]) == ("authz", "authz")
    assert rule["trafficPolicy"]["tls"]["subjectAltNames"] == [identity]
    assert [each["uri"] for each in validation["subjectAltNames"]] == [identity]
    assert port["appProtocol"] == "grpc"


def test_the_schema_knows_every_setting_and_no_other() -> None:
    """`settings` in values.schema.json says what the service's own settings say."""
    assert _SCHEMA["properties"]["settings"] == settings_schema(), "run `make manifests`"


def _merged(*files: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((DEPLOY / "helm/authz/values.yaml").read_text())
    for file in (DEPLOY / "example-policy.yaml", *files):
        for name, value in yaml.safe_load(file.read_text()).items():
            values[name] = {**values[name], **value}
    for dotted, value in changes.items():
        place = values
        *path, last = dotted.split("__")
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    return values


@pytest.mark.parametrize("file", _VALUES, ids=lambda file: file.parent.name)
def test_the_schema_takes_the_values_of_each_mesh(file: Path) -> None:
    """What deploy/ holds is what the chart accepts."""
    jsonschema.validate(_merged(file), _SCHEMA)


def test_the_schema_names_every_value_that_the_chart_has() -> None:
    """A value without a line in the schema would be refused, and a line without a value would be undocumented."""
    values = yaml.safe_load((DEPLOY / "helm/authz/values.yaml").read_text())

    assert set(_SCHEMA["properties"]) == {*values, "global"}


@pytest.mark.parametrize(
    "changes",
    [
        {"replicaCount": 1},
        {"replicas": 3},
        {"image__digest": "latest"},
        {"image__user": 0},
        {"tls__source": "off"},
        {"tls__mayConnect": []},
        {"tls__mayConnect": ["*"]},
        {"tls__mayConnect": ["spiffe://cluster.local"]},
        {"tls__enabled": False},
        {"policy__files": {"../../etc/passwd.yaml": "x"}},
        {"policy__files": {"a/b/c.yaml": "x"}},
        {"policy__files": {"orders.yml": "x"}},
        {"policy__directory": "/policy"},
        {"settings__unsafe_plaintext": True},
        {"settings__tls": {}},
        {"settings__workers": 2},
        {"settings__listen": ["0.0.0.0:80"]},
        {"settings__policy_dir": "/"},
        {"settings__keys__refreshh": "5m"},
        {"settings__audit__on_full": "ignore"},
        {"settings__limits__concurrency": 0},
        {"drain__grace": "20s"},
        {"drain__healthWait": -1},
        {"service__port": 80},
        {"networkPolicy": {"enabled": True}},
        {"networkPolicy__envoys": None},
        {"networkPolicy__envoys": []},
        {"networkPolicy__envoys": [{}]},
        {"networkPolicy__monitoring": [{}]},
        {"networkPolicy__egress": []},
        {"networkPolicy__dns__to": []},
        {"podDisruptionBudget__maxUnavailable": 0},
        {"secrets": ["Not A Name"]},
        {"serviceMonitor__interval": "often"},
        {"serviceMonitor__enabled": "yes"},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_wrong(changes: dict[str, Any]) -> None:
    """A misspelt key, a value out of range, and everything that would open the door."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_merged(_VALUES[0], **changes), _SCHEMA)
