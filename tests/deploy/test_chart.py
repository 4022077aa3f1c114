"""The chart, rendered by real helm: what it refuses, and that what it renders works with this version of authz."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy import tools
from tests.deploy.conftest import CHART, POLICY, documents, render, run
from tests.deploy.generate import plain

_PLAIN: Final = ("--values", "deploy/kubernetes/values.yaml")
_AUTHZ: Final = Path(sys.executable).with_name("authz")


@pytest.mark.parametrize("mesh", ["kubernetes", "istio", "envoy-gateway"])
def test_the_chart_passes_helms_own_lint(mesh: str) -> None:
    """`helm lint --strict` has nothing to say, with the values of each mesh."""
    done = run([tools.helm(), "lint", "--strict", CHART, "-f", POLICY, "-f", f"deploy/{mesh}/values.yaml"])

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plain_manifests_are_the_charts() -> None:
    """deploy/kubernetes/authz.yaml is what helm renders; `make manifests` writes it anew."""
    assert (tools.DEPLOY / "kubernetes/authz.yaml").read_text() == plain(), "run `make manifests`"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-f", POLICY), "mayConnect"),
        (_PLAIN, "policy.files or policy.existingConfigMap"),
        (("-f", POLICY, *_PLAIN, "--set", "policy.existingConfigMap=mine"), "one of the two"),
        (("-f", POLICY, *_PLAIN, "--set", "tls.source=off"), "source"),
        (("-f", POLICY, *_PLAIN, "--set", "settings.unsafe_plaintext=true"), "unsafe_plaintext"),
        (("-f", POLICY, *_PLAIN, "--set", "networkPolicy.envoys=null"), "envoys"),
        (("-f", POLICY, *_PLAIN, "--set-json", "networkPolicy.envoys=[]"), "envoys"),
        (("-f", POLICY, *_PLAIN, "--set", "replicaCount=1"), "replicaCount"),
        (("-f", POLICY, *_PLAIN, "--set", "settings.keys.refreshh=5m"), "refreshh"),
        (("-f", POLICY, *_PLAIN, "--set", "polcy.files=x"), "polcy"),
    ],
    ids=str,
)
def test_the_chart_refuses_what_would_be_open_or_useless(arguments: tuple[str, ...], complaint: str) -> None:
    """It renders nothing, and names what is wrong."""
    done = run([tools.helm(), "template", "authz", CHART, "--namespace", "authz", *arguments])

    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("source", ["secret", "istio", "workloadApi"])
def test_rendered_settings_are_taken_by_the_service(source: str, tmp_path: Path) -> None:
    """`authz config show` reads them; the paths are those that the pod mounts; ours win over the user's."""
    rendered = documents(
        render(
            *(*_PLAIN, "--set", f"tls.source={source},settings.keys.refresh=7m,secrets={{authz-redis}}"),
            *("--set", "settings.store.url=rediss://redis:6379/0,settings.store.password_file=/secrets/authz-redis/p"),
            *("--set", "tls.workloadApi.spiffeId=spiffe://cluster.local/ns/authz/sa/authz"),
        )
    )
    file = tmp_path / "authz.yaml"
    file.write_text(rendered["ConfigMap authz-settings"]["data"]["authz.yaml"])

    shown = run([_AUTHZ, "config", "show", "--config", file])

    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^keys\.refresh\s+7m\s", shown.stdout, re.MULTILINE)
    pod = rendered["Deployment authz"]["spec"]["template"]["spec"]
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    paths = re.findall(r": (?:unix:)?(/[\w./-]+)$", file.read_text(), re.MULTILINE)
    assert len(paths) >= 3
    assert [path for path in paths if not path.startswith(tuple(mounts))] == []
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }


def test_a_rendered_policy_is_clean(tmp_path: Path) -> None:
    """Whatever a file holds arrives as it was written, and lint finds nothing but missing tests."""
    files = yaml.safe_load((tools.ROOT / POLICY).read_text())["policy"]["files"]
    rendered = documents(render(*_PLAIN))
    volumes = rendered["Deployment authz"]["spec"]["template"]["spec"]["volumes"]
    items = next(each["configMap"]["items"] for each in volumes if each["name"] == "policy")

    for item in items:
        (tmp_path / item["path"]).parent.mkdir(exist_ok=True)
        (tmp_path / item["path"]).write_text(rendered["ConfigMap authz-policy"]["data"][item["key"]])

    assert {item["path"]: (tmp_path / item["path"]).read_text() for item in items} == files
    done = run([_AUTHZ, "lint", tmp_path])
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"(?:error|warning)\[(\S+)\]", done.stdout)) <= {"test-missing"}


def test_an_own_config_map_is_mounted_as_it_is() -> None:
    """No key is picked, so a key that is added later arrives too."""
    done = run([tools.helm(), "template", "authz", CHART, *_PLAIN, "--set", "policy.existingConfigMap=mine"])
    rendered = documents(done)

    volumes = rendered["Deployment authz"]["spec"]["template"]["spec"]["volumes"]

    assert [each["configMap"] for each in volumes if each["name"] == "policy"] == [{"name": "mine"}]
    assert "ConfigMap authz-policy" not in rendered


def _annotation(*arguments: str) -> Any:
    rendered = documents(render(*_PLAIN, *arguments))
    return rendered["Deployment authz"]["spec"]["template"]["metadata"]["annotations"]["authz/settings"]


def test_a_changed_setting_replaces_the_pods_and_a_changed_policy_does_not() -> None:
    """Settings are read at start; the policy is watched."""
    before = _annotation()

    assert _annotation("--set", "settings.log.level=debug") != before
    assert _annotation("--set", r"policy.files.orders\.yaml=changed") == before


def test_the_drain_and_the_kubelet_agree_whatever_is_set() -> None:
    """terminationGracePeriodSeconds follows the two drain settings."""
    rendered = documents(render(*_PLAIN, "--set", "drain.healthWait=30,drain.grace=60"))

    settings = yaml.safe_load(rendered["ConfigMap authz-settings"]["data"]["authz.yaml"])

    assert (settings["health_wait"], settings["drain_grace"]) == ("30s", "60s")
    assert rendered["Deployment authz"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 95


def test_empty_lists_of_peers_leave_the_rule_out() -> None:
    """Nobody is written as no rule: an empty list would be everybody."""
    rendered = documents(render(*_PLAIN, "--set-json", "networkPolicy.issuers.to=[]"))
    spec = rendered["NetworkPolicy authz"]["spec"]

    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53]]
    assert len(spec["ingress"]) == 1


def test_under_istio_the_sidecar_touches_no_traffic() -> None:
    """It only writes the certificate to where authz reads it."""
    rendered = documents(render("--values", "deploy/istio/values.yaml"))
    template = rendered["Deployment authz"]["spec"]["template"]
    annotations = template["metadata"]["annotations"]

    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert annotations["traffic.sidecar.istio.io/includeInboundPorts"] == ""
    assert annotations["traffic.sidecar.istio.io/includeOutboundIPRanges"] == ""
    ((volume,),) = [yaml.safe_load(annotations["sidecar.istio.io/userVolumeMount"])]
    output = yaml.safe_load(annotations["proxy.istio.io/config"])["proxyMetadata"]["OUTPUT_CERTS"]
    assert volume == {"name": "tls", "mountPath": output}
    assert "clusterIP" not in rendered["Service authz"]["spec"]


def test_the_notes_say_who_may_ask() -> None:
    """What helm prints after an installation names the address and the Envoys."""
    done = run(
        [tools.helm(), "install", "authz", CHART, "--namespace", "authz", "--dry-run=client", "-f", POLICY, *_PLAIN]
    )

    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "authz.authz.svc:9000" in notes
    assert "spiffe://cluster.local/ns/edge/sa/gateway" in notes
