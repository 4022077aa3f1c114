"""Steady traffic in the background, and what became of every single request."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter
from collections.abc import Mapping

from examples.store.processes import wait_for


class Load:
    """`threads` clients that ask one after the other on connections of their own, until the block is left.

    `outcomes` counts statuses; whatever got no answer at all counts under the name of its exception.
    """

    def __init__(
        self, port: int, target: str, headers: Mapping[str, str], *, threads: int = 2, tls: ssl.SSLContext | None = None
    ) -> None:
        self._port = port
        self._tls = tls
        self._target = target
        self._headers = dict(headers)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[object] = Counter()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(20)

    def wait_for_more(self, requests: int) -> None:
        """Wait until that many further requests were answered, one way or another."""
        goal = self.outcomes.total() + requests
        wait_for(f"{requests} more requests", lambda: self.outcomes.total() >= goal, within=30)

    def _work(self) -> None:
        connection = self._connection()
        while not self._ended.is_set():
            outcome = self._ask(connection)
            with self._lock:
                self.outcomes[outcome] += 1
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=self._tls)

    def _ask(self, connection: http.client.HTTPConnection) -> object:
        try:
            connection.request("GET", self._target, headers=self._headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return type(error).__name__
        return response.status
