"""What stands behind the doors of revocation: a list whose store may be away, and a trail that is kept in memory."""

from __future__ import annotations

from authz.engine.revocations import RevocationPlane
from authz.model.issuer import IssuerSettings
from authz.model.record import RevocationRecord
from authz.server.revoking import Revoker
from authz.sources.revocation_stream import StreamJournal
from authz.sources.revocations import RevocationList
from tests.fakes.clock import FakeClock
from tests.fakes.streams import FakeStream, FakeStreamClient
from tests.mint.tokens import ISSUER, NOW

CORP = IssuerSettings(name="corp", issuer=ISSUER, audiences=frozenset({"shop-api"}), max_lifetime=3600.0)


class Desk:
    """A revoker with everything behind it."""

    def __init__(self, *, capacity: int = 1000) -> None:
        self.wall = FakeClock(NOW)
        self.stream = FakeStream()
        self.plane = RevocationPlane(capacity)
        journal = StreamJournal(FakeStreamClient(self.stream), clock=FakeClock(), wall=self.wall)
        self.entries = RevocationList(self.plane, journal, max_stale=30.0, wall=self.wall, clock=FakeClock())
        self.issuers = {"corp": CORP}
        self.trail: list[RevocationRecord] = []
        self.revoker = Revoker(self.entries, lambda: self.issuers, self.trail.append, wall=self.wall)
