"""Several processes of one service: which addresses each of them listens on.

The rule: worker `i` (from 0) takes `port + 10·i` of every TCP address and `PATH.i` of every Unix socket; port 0 stays
0. The step leaves room for the neighbours that people write (9000 for checks, 9001 for the admin address). The doors
through which people revoke are worker 0's, as written: the shared store tells the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from authz.config.listen import MAX_UNIX_PATH, ListenAddress
from authz.config.settings import Settings

STEP: Final = 10
"""Ports between two workers."""
MAX_PORT: Final = 65535


def worker_address(address: ListenAddress, index: int) -> ListenAddress:
    """Where worker `index` of several listens."""
    if address.is_unix:
        return replace(address, path=f"{address.path}.{index}")
    return replace(address, port=address.port + STEP * index if address.port else 0)


def check_addresses(settings: Settings) -> tuple[ListenAddress, ...]:
    """Every address that checks are answered on, by worker."""
    if settings.workers == 1:
        return settings.listen
    return tuple(worker_address(each, index) for index in range(settings.workers) for each in settings.listen)


def for_worker(settings: Settings, index: int) -> Settings:
    """The settings of one of several workers."""
    admin, revocation = settings.admin_listen, settings.revocation
    return replace(
        settings,
        listen=tuple(worker_address(each, index) for each in settings.listen),
        admin_listen=None if admin is None else worker_address(admin, index),
        revocation=revocation if index == 0 else replace(revocation, socket=None, listen=None),
    )


def contradictions(settings: Settings) -> Iterator[str]:
    """What several processes can't do, a sentence each."""
    if settings.workers == 1:
        return
    if settings.revocation.enabled and settings.store.url is None:
        yield "several workers share revocations through store.url only"
    if settings.dpop.nonces and settings.dpop.nonce_key_file is None:
        yield "several workers need the same nonces: dpop.nonce_key_file"
    yield from _unusable(settings)


def _unusable(settings: Settings) -> Iterator[str]:
    every = [str(each) for each in check_addresses(settings) if each.is_unix or each.port]
    admin = settings.admin_listen
    for index in range(settings.workers) if admin is not None and admin.port else ():
        assert admin is not None
        every.append(str(worker_address(admin, index)))
    if settings.revocation.listen is not None and settings.revocation.listen.port:
        every.append(str(settings.revocation.listen))
    for address in sorted(address for address, times in Counter(every).items() if times > 1):
        yield f"{address} would be listened on twice: worker i takes port + {STEP}·i of each address"
    last = settings.workers - 1
    for each in (*settings.listen, *([admin] if admin is not None else [])):
        mine = worker_address(each, last)
        if mine.port > MAX_PORT:
            yield f"worker {last} would listen on port {mine.port}"
        if len(mine.path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
            yield f"worker {last}'s Unix socket {mine.path} would have over {MAX_UNIX_PATH} bytes"
