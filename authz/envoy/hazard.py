"""A hazard, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from authz.envoy.configuration import Manager


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hazard stands; "" for what doesn't apply."""

    listener: str = ""
    chain: str = ""
    filter: str = ""
    host: str = ""
    route: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        named = (
            ("listener", self.listener),
            ("chain", self.chain),
            ("filter", self.filter),
            ("virtual host", self.host),
            ("route", self.route),
            ("cluster", self.cluster),
        )
        return " / ".join(f"{what} {name}" for what, name in named if name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """One thing to put right."""

    code: str
    place: Place
    why: str
    write: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the policies ask of Envoy: whether authz itself checks certificates. None: nobody said."""

    certificate_checked_by_authz: bool | None = None


def place_of(manager: Manager, *, filter: str = "", host: str = "", route: str = "") -> Place:  # noqa: A002 - Envoy calls it so
    """The place of a manager, or of something in it."""
    return Place(listener=manager.listener, chain=manager.chain, filter=filter, host=host, route=route)
