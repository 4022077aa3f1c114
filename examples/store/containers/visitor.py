"""The store as a visitor in a container of the same networks sees it.

Owns: what `scenarios.Walk` needs to know. Must not: start or change anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from examples.store.audit import AuditTrail
from examples.store.containers import layout
from examples.store.containers.provider import kept_provider
from examples.store.processes import wait_for
from examples.store.provider import BATCH, Provider
from examples.store.provider_web import batch_token, log_in


class Trails:
    """The audit files of all replicas: a decision stands in one of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trails: dict[Path, AuditTrail] = {}

    def find(self, decision_id: str) -> Mapping[str, object]:
        """Its line; waits for it."""
        wait_for(f"audit line {decision_id}", lambda: self._holder(decision_id), within=5)
        holder = self._holder(decision_id)
        return holder.find(decision_id) if holder else {}

    def _holder(self, decision_id: str) -> AuditTrail | None:
        trails = [self._trails.setdefault(file, AuditTrail(file)) for file in self._directory.glob("*.jsonl")]
        return next((trail for trail in trails if trail.knows(decision_id)), None)


class Visitor:
    """A `scenarios.Reachable`."""

    web_ca_file = layout.WEB_CA
    mesh_ca_file = layout.MESH_CA

    def __init__(self) -> None:
        self.audit = Trails(layout.AUDIT)
        self.providers = {name: kept_provider(name) for name in layout.ISSUERS}
        self.providers["unknown"] = Provider(layout.UNKNOWN_ISSUER)
        self._passwords: dict[str, str] = json.loads(layout.PASSWORDS.read_text())

    def door(self, service: str) -> tuple[str, int]:
        return service, layout.INBOUND

    def svid(self, workload: str) -> Path:
        return layout.CALLERS / workload / "svid.pem"

    def log_in(self, name: str) -> str:
        return log_in(layout.ISSUERS["corp"], name, password=self._passwords[name], tls=layout.web_tls())

    def batch_token(self) -> str:
        secret = self._passwords[BATCH.client_id]
        return batch_token(layout.ISSUERS["corp"], secret=secret, tls=layout.web_tls())
