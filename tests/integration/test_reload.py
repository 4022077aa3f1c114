"""The reload loop with its thread and the real loader, over a directory that is swapped as Kubernetes does."""

from __future__ import annotations

import threading
from pathlib import Path

from authz.sources.bundles import BundleStore
from authz.sources.jwks import KeyStore
from authz.sources.reload import PolicyDirectory
from authz.sources.state import SourceEvent
from tests.fakes.fetching import FakeProvider

POLICY = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders}
service:
  hosts: [orders.shop.example]
  by_name: true
routes:
  - id: livez
    match: {methods: [GET], path: %s}
    allow: {public: "liveness only"}
"""


def _mount(root: Path, version: str, path: str) -> None:
    data = root / f"..{version}"
    data.mkdir()
    (data / "orders.yaml").write_text(POLICY % path)
    link = root / "orders.yaml"
    if not link.is_symlink():
        link.symlink_to("..data/orders.yaml")
    (root / "..tmp").symlink_to(data.name)
    (root / "..tmp").rename(root / "..data")


def test_a_swapped_mount_is_in_force_soon_and_a_faulty_one_is_reported(tmp_path: Path) -> None:
    """The thread notices by itself, keeps what is good, and ends when told."""
    reported = threading.Semaphore(0)
    events: list[SourceEvent] = []

    def report(event: SourceEvent) -> None:
        events.append(event)
        reported.release()

    _mount(tmp_path, "v1", "/livez")
    keys = KeyStore(tmp_path, fetch=FakeProvider().get)
    policies = PolicyDirectory(tmp_path, keys=keys, bundles=BundleStore(tmp_path), report=report, interval=0.01)
    policies.load_first()
    assert reported.acquire(timeout=10)
    first = policies.current()
    assert first is not None
    policies.start()

    _mount(tmp_path, "v2", "/healthz")
    assert reported.acquire(timeout=10)
    second = policies.current()
    assert second is not None
    assert second.revision != first.revision

    _mount(tmp_path, "v3", "no-slash")
    assert reported.acquire(timeout=10)
    assert "orders.yaml" in events[-1].error

    policies.close()
    keys.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "policy-reload"]
