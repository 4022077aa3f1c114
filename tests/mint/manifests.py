"""Reads the manifests of deploy/, and lays their files out as the kubelet would."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
MESHES: Final = ("kubernetes", "istio", "envoy-gateway")
DOCUMENTS: Final = [
    document
    for mesh in MESHES
    for file in sorted((DEPLOY / mesh).glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]


def the(kind: str, name: str = "authz") -> Any:
    """The one manifest of this kind and name."""
    (found,) = [each for each in DOCUMENTS if each.get("kind") == kind and each["metadata"]["name"] == name]
    return found


def pod() -> Any:
    """What the Deployment's pods are."""
    return the("Deployment")["spec"]["template"]["spec"]


def settings() -> dict[str, Any]:
    """The settings file that the pod reads."""
    read: dict[str, Any] = yaml.safe_load(the("ConfigMap", "authz-settings")["data"]["authz.yaml"])
    return read


def policy() -> dict[str, str]:
    """The keys of the policy's ConfigMap."""
    return dict(the("ConfigMap", "authz-policy")["data"])


def mount_policy(folder: Path, generation: str, data: dict[str, str]) -> None:
    """Lay out the policy's ConfigMap: files in a hidden folder, then `..data` turned to it by a rename."""
    volume = next(each for each in pod()["volumes"] if each["name"] == "policy")["configMap"]
    for item in volume["items"]:
        file = folder / f"..{generation}" / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data[item["key"]])
        top = item["path"].partition("/")[0]
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    (folder / "..data_tmp").symlink_to(f"..{generation}")
    (folder / "..data_tmp").rename(folder / "..data")
