"""One trust domain's bundle from its bundle endpoint (SPIFFE Federation §4, §5.2), on a thread of its own.

Owns: that an edition is never replaced by an earlier one, and which bundle the endpoint itself is judged by. Must not:
mix the bundles of two trust domains (§4.2), or take a bundle from a server that didn't prove itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from authz.authn.svid import TrustBundle, import_bundle
from authz.model.issuer import BundleEndpoint
from authz.sources.background import BackgroundSource, Good, Obtained, Surroundings
from authz.sources.fetch import Fetched, FetchError
from authz.sources.file_bundles import FileBundle
from authz.sources.schedule import after_hint
from authz.sources.server_trust import ServerTrust, SpiffeTrust
from authz.sources.state import Cause, SourceState, freshness_of

Fetch = Callable[[str, ServerTrust | None], Fetched]
"""`Fetcher.get`."""


class EndpointBundle(BackgroundSource[TrustBundle]):
    """`bootstrap` is the first edition, for `https_spiffe`: it authenticates the endpoint and serves until a fetch
    succeeds. A new edition of the file replaces what was fetched (§4.2)."""

    kind: ClassVar[str] = "bundle"
    renews: ClassVar[bool] = True

    def __init__(
        self,
        domain: str,
        endpoint: BundleEndpoint,
        surroundings: Surroundings,
        fetch: Fetch,
        bootstrap: FileBundle | None,
    ) -> None:
        super().__init__(domain, surroundings, origin=f"{endpoint.profile.value} {endpoint.url}")
        self.endpoint = endpoint
        self.bootstrap = bootstrap
        self._fetch = fetch
        self._newest: int | None = None
        """The highest sequence number that was fetched."""

    # --- answers for checks: never block ---

    def bundle(self) -> TrustBundle | None:
        """The bundle in use; None when there is none, or it is too old."""
        good = self._in_use()
        if good is None or self._env.clock() - good.at > self._env.rules.max_stale:
            return None
        return good.obtained.value

    # --- for operators ---

    def poll(self) -> None:
        """Look at the bootstrap file again; called by the reload loop."""
        if self.bootstrap is None:
            return
        before = self.bootstrap.changed_at
        self.bootstrap.poll()
        if self.bootstrap.changed_at != before:
            self.ask()  # What the operator wrote may be what lets the next fetch succeed.

    def state(self) -> SourceState:
        state, good = super().state(), self._in_use()
        if good is None or good is self._good:
            return state
        age = self._env.clock() - good.at
        return SourceState(
            name=self.name,
            age=age,
            error=state.error,
            failures=state.failures,
            cause=state.cause,
            origin=f"{self.origin}, bootstrap",
            revision=good.obtained.revision,
            size=good.obtained.size,
            freshness=freshness_of(age, max_stale=self._env.rules.max_stale, failing=True),
        )

    # --- the background ---

    def _obtain(self) -> Obtained[TrustBundle]:
        fetched = self._fetch(self.endpoint.url, self._server_trust())
        bundle = import_bundle(fetched.body, self.name)
        if not bundle.authorities and not len(bundle.jwt_keys):
            raise FetchError("the bundle holds no usable key")
        warnings = (*bundle.warnings, *self._compared(bundle))
        if bundle.sequence is not None:
            self._newest = bundle.sequence
        return Obtained(
            value=bundle,
            revision=bundle.revision,
            size=len(bundle.authorities),
            warnings=warnings,
            suggested=bundle.refresh_hint,
        )

    def _pause(self, obtained: Obtained[TrustBundle]) -> float:
        return after_hint(self._env.rules, obtained.suggested, self._env.random)

    def _compared(self, bundle: TrustBundle) -> tuple[str, ...]:
        """Raises `FetchError` when the edition is earlier than one that was in use (SPIFFE Bundle §4.1.1).

        Without a number it is taken for the newest (SPIFFE Federation §4.2).
        """
        in_use = self._in_use()
        newest = self._newest if in_use is self._good or in_use is None else in_use.obtained.value.sequence
        if bundle.sequence is None or newest is None:
            return ()
        if bundle.sequence < newest:
            raise FetchError("the bundle's sequence number went back", cause=Cause.ROLLBACK)
        if in_use is not None and bundle.sequence == newest and bundle.revision != in_use.obtained.revision:
            return ("it changed under the same sequence number (SPIFFE Bundle §4.1.1)",)
        return ()

    def _server_trust(self) -> ServerTrust | None:
        if self.endpoint.endpoint_id is None:
            return None
        in_use = self._in_use()
        # Also when it is too old to serve: its certificates' own dates bound what it can vouch for.
        return SpiffeTrust(self.endpoint.endpoint_id, None if in_use is None else in_use.obtained.value)

    def _in_use(self) -> Good[TrustBundle] | None:
        """What was fetched last, or the bootstrap file where that was written later."""
        good, bootstrap = self._good, self.bootstrap
        written = None if bootstrap is None else bootstrap.content
        if bootstrap is None or written is None or (good is not None and good.at >= bootstrap.changed_at):
            return good
        first = Obtained(value=written, revision=written.revision, size=len(written.authorities))
        return Good(first, bootstrap.changed_at)
