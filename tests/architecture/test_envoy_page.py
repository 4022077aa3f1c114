"""What docs/envoy.md shows is configuration that a real Envoy accepts, and it fails closed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture import tree

_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"


def _shown(page: str, name: str) -> dict[str, Any]:
    """The YAML block of a page whose top-level `name` is this."""
    found = [
        document
        for block in tree.blocks(page)
        if block.language == "yaml"
        for document in [yaml.safe_load(block.text)]
        if isinstance(document, dict) and document.get("name") == name
    ]
    assert len(found) == 1
    return found[0]


def _bootstrap(page: str) -> dict[str, Any]:
    per_route, log_format = (
        next(yaml.safe_load(block.text) for block in tree.blocks("docs/envoy.md") if key in block.text)
        for key in ("context_extensions", "json_format")
    )
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, **per_route}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "page",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "access_log": [{"name": "page", "typed_config": {"@type": _STDOUT, "log_format": log_format}}],
        "http_filters": [
            _shown(page, "envoy.filters.http.ext_authz"),
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}},
        ],
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    listener = {
        "name": "page",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [network_filter]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_shown(page, "authz")]}}


@pytest.mark.e2e
@pytest.mark.parametrize("page", ["docs/envoy.md", "README.md"])
def test_envoy_accepts_the_filter_and_the_cluster(page: str, tmp_path: Path) -> None:
    """The filter and the cluster of a page, with the per-route block and the access log, are valid together."""
    envoy = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert envoy is not None
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(_bootstrap(page)), encoding="utf-8")

    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", str(file), "--log-level", "error"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", ["docs/envoy.md", "README.md"])
def test_the_filter_fails_closed(page: str) -> None:
    """No page shows a filter that lets requests through when authz can't be asked."""
    settings = _shown(page, "envoy.filters.http.ext_authz")["typed_config"]

    assert settings["failure_mode_allow"] is False
    assert "allowed_headers" not in settings


def test_the_istio_page_fails_closed() -> None:
    """The provider says so in words, and the policy matches every request."""
    documents = [yaml.safe_load(block.text) for block in tree.blocks("docs/istio.md")]

    (provider,) = documents[0]["meshConfig"]["extensionProviders"]
    assert provider["envoyExtAuthzGrpc"]["failOpen"] is False
    assert documents[1]["spec"] == {"action": "CUSTOM", "provider": {"name": "authz"}, "rules": [{}]}
