"""`python -m examples.store.demo`: start the store, walk through the scenarios, change a policy, stop everything.

Owns: what is printed and the exit code (0 all as expected, 1 a difference, 5 something didn't start).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from examples.store.envoys import MissingEnvoy
from examples.store.processes import StartFailed, wait_for
from examples.store.provider_web import log_in
from examples.store.scenarios import ALLOWED, SCENARIOS, Outcome, Scenario, Walk
from examples.store.store import PUBLIC_HOST, Store, replace_file, running

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HEADINGS = ("request", "what it shows", "verdict", "reason", "who", "the upstream saw")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--keep-running", action="store_true", help="leave the store running, with curl lines, until Ctrl-C"
    )
    options = parser.parse_args(arguments)
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # `nohup` is respected
            signal.signal(number, _as_interrupt)
    try:
        return _run(keep_running=options.keep_running)
    except (StartFailed, MissingEnvoy, TimeoutError) as error:
        print(f"\nthe store did not start: {error}", file=sys.stderr)
        return 5
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


def _run(*, keep_running: bool) -> int:
    began = time.monotonic()
    print("starting three token issuers, six services, six Envoys and authz on loopback …", flush=True)
    with running() as store:
        print(f"all up after {time.monotonic() - began:.1f} s\n", flush=True)
        if keep_running:
            return _serve(store)
        differences = _show(store)
    print(f"\n{differences or 'no'} difference{'' if differences == 1 else 's'}; everything is stopped again")
    return 1 if differences else 0


def _show(store: Store) -> int:
    """Print the table and the policy changes; the number of differences."""
    walk = Walk(store)
    outcomes = show_table(walk)
    for change in CHANGES:
        print(f"\n{change.says}")
        change.apply(store)
        outcomes.append(_report(_settled(walk, change.then)))
    return sum(bool(outcome.differences) for outcome in outcomes)


def show_table(walk: Walk, scenarios: Sequence[Scenario] = SCENARIOS) -> list[Outcome]:
    """Send the scenarios and print each one's row as it comes."""
    _print_row(_HEADINGS)
    print("-" * 200)
    return [_report(walk.run(scenario)) for scenario in scenarios]


class Change:
    """One edit of a policy file in the running store's copy, and what is true afterwards."""

    def __init__(self, *, says: str, file: str, old: str, new: str, then: Scenario) -> None:
        self.says = says
        self.then = then
        self._file = file
        self._old = old
        self._new = new

    def apply(self, store: Store) -> None:
        path = store.policy / self._file
        text = path.read_text()
        if self._old not in text:
            raise LookupError(f"{self._file} doesn't hold what is to be changed")
        replace_file(path, text.replace(self._old, self._new).encode())


CHANGES = (
    Change(
        says="team-orders opens cancelling (orders/orders.yaml), nothing is restarted:",
        file="orders/orders.yaml",
        old="  - id: health\n",
        new=(
            "  - id: orders.cancel\n    match:\n      methods: [DELETE]\n      path: /orders/{order_id}\n"
            "    allow: {all: [order-owner, from-frontend]}\n  - id: health\n"
        ),
        then=Scenario(
            title="the frontend cancels alice's order",
            method="DELETE",
            target="/orders/42",
            to="orders",
            caller="frontend",
            token="alice",
            by="orders",
            upstream="orders",
            sees={"x-authz-subject": "alice"},
        ),
    ),
    Change(
        says="the platform takes the role from the frontend (platform/trust-domains.yaml):",
        file="platform/trust-domains.yaml",
        old="order-caller: [spiffe://shop.example/ns/shop/sa/frontend]",
        new="order-caller: [spiffe://shop.example/ns/shop/sa/kiosk]",
        then=Scenario(
            title="alice reads her order again",
            target="/orders/42",
            token="alice",
            status=403,
            reason="workload_not_permitted",
            by="orders",
        ),
    ),
)


def _settled(walk: Walk, scenario: Scenario) -> Outcome:
    """The outcome once the reload has happened, or whatever it is when that takes too long."""
    outcomes: list[Outcome] = []

    def as_expected() -> bool:
        outcomes.append(walk.run(scenario))
        return not outcomes[-1].differences

    with contextlib.suppress(TimeoutError):
        wait_for("the reload", as_expected, within=10)
    return outcomes[-1]


def _report(outcome: Outcome) -> Outcome:
    scenario = outcome.scenario
    sender = f"{scenario.caller} → " if scenario.caller else ""
    request = f"{scenario.method} {sender}{scenario.authority.removesuffix('.shop.example')}{scenario.target}"
    verdict = f"{'allow' if outcome.reason == ALLOWED else 'deny'} {outcome.status}"
    _print_row((request, scenario.title, verdict, outcome.reason, outcome.who, outcome.saw))
    for difference in outcome.differences:
        print(f"    DIFFERENT  {difference}")
    return outcome


def _print_row(cells: Sequence[str]) -> None:
    request, title, verdict, reason, identity, saw = cells
    print(f"{request:<49} {title:<52} {verdict:<9} {reason:<23} {identity:<31} {saw}", flush=True)


def _serve(store: Store) -> int:
    """Leave it running with lines to copy."""
    edge, orders = store.ports["gateway"].inbound, store.ports["orders"].inbound
    curl = f"curl -si --cacert $STORE/web-ca.pem --connect-to {PUBLIC_HOST}:443:127.0.0.1:{edge}"
    svid = "$STORE/identities/inventory/svid.pem"
    inside = f"curl -sik --cert {svid} --connect-to orders.shop.example:443:127.0.0.1:{orders}"
    alice, bob = (log_in(store.idp.provider.issuer, name) for name in ("alice", "bob"))
    print(
        f"export STORE={store.directory} ALICE={alice} BOB={bob}\n\n"
        f"# public\n{curl} https://{PUBLIC_HOST}/healthz\n"
        f"# 401, no token\n{curl} https://{PUBLIC_HOST}/orders/42\n"
        f'# 200, her order\n{curl} -H "Authorization: Bearer $ALICE" https://{PUBLIC_HOST}/orders/42\n'
        f'# 403, not his order\n{curl} -H "Authorization: Bearer $BOB" https://{PUBLIC_HOST}/orders/42\n'
        f"# 403, inventory may not call orders\n"
        f'{inside} -H "Authorization: Bearer $ALICE" https://orders.shop.example/orders/42\n\n'
        f"policies, to change while it runs:  {store.policy}\n"
        f"every decision:                     {store.audit.file}\n"
        f"other logs:                         {store.directory / 'logs'}\n"
        f"readiness of authz:                 http://127.0.0.1:{store.admin_port}/readyz?verbose\n\n"
        f"Ctrl-C stops everything (process {os.getpid()})",
        flush=True,
    )
    threading.Event().wait()
    return 0


def _as_interrupt(*_: object) -> None:
    """Stop, once: a second Ctrl-C must not cut the tidying up short."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
