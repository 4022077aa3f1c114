"""What the manifests are held against: helm, the checker and the projects' own schemas.

Owns: fetching and building, once, into a cache outside the tree. What can't be had raises `MissingTool`.

| what | from |
|---|---|
| `helm` | the Go module `helm.sh/helm/v4`, built |
| `check` | `deploy/check`, built: the API server's validation (`k8s.io/apiextensions-apiserver`), `istio.io/api` |
| schemas | OpenAPI and CustomResourceDefinitions out of the Go modules in `MODULES`, of which nothing is built |
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.real.tools import MissingTool, go, run

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authz" / "deploy"

HELM: Final = "helm.sh/helm/v4/cmd/helm@v4.3.1"
MODULES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # Version and checksum as Go writes it in go.sum; then the files.
    "k8s.io/kubernetes@v1.37.2": (
        "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=",
        tuple(
            f"api/openapi-spec/v3/{group}_openapi.json"
            for group in (
                "api__v1",
                "apis__admissionregistration.k8s.io__v1",
                "apis__apps__v1",
                "apis__networking.k8s.io__v1",
                "apis__policy__v1",
            )
        ),
    ),
    "istio.io/api@v1.32.0": (
        "h1:37mJvg9I0biYZAEQF+MATs4FNeCpXEIVO3LFpVb6iNM=",
        ("kubernetes/customresourcedefinitions.gen.yaml",),
    ),
    "github.com/envoyproxy/gateway@v1.9.1": (
        "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
        (
            "charts/gateway-helm/charts/crds/crds/gatewayapi-crds.yaml",
            "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_clienttrafficpolicies.yaml",
            "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_envoyproxies.yaml",
            "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_securitypolicies.yaml",
        ),
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        ("example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",),
    ),
}


@cache
def helm() -> Path:
    """`helm`."""
    place = CACHE / HELM.rpartition("@")[2] / "helm"
    if not place.exists():
        run(
            f"helm ({HELM}; the first build takes minutes)",
            [str(go()), "install", HELM],
            directory=CACHE,
            environment={"GOBIN": str(place.parent)},
        )
    return place


@cache
def checker() -> Path:
    """`check`; Go builds it anew only when its source changed."""
    place = CACHE / "check"
    run("deploy/check", [str(go()), "build", "-buildvcs=false", "-o", str(place), "."], directory=DEPLOY / "check")
    return place


@cache
def schemas() -> Path:
    """A folder with the schemas of every kind that the manifests use."""
    place = CACHE / "schemas"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for module, (checksum, files) in MODULES.items():
        told = json.loads(run(f"schemas of {module}", [str(go()), "mod", "download", "-json", module], directory=CACHE))
        if told["Sum"] != checksum:
            raise MissingTool(f"{module} has another checksum than the one that was written down: {told['Sum']}")
        for file in files:
            shutil.copyfile(Path(told["Dir"]) / file, place / re.sub(r"\W+(?!(json|yaml)$)", "-", f"{module}-{file}"))
    return place
