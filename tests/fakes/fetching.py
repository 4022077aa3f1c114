"""A provider that answers fetches from a table: no network."""

from __future__ import annotations

from authz.sources.fetch import Fetched, FetchError


class FakeProvider:
    """`answers` maps a URL to a body or to what is raised; an unknown URL is a 404. Remembers what was asked."""

    def __init__(self, answers: dict[str, bytes | Exception] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.max_age: float | None = None

    def get(self, url: str) -> Fetched:
        self.asked.append(url)
        answer = self.answers.get(url, FetchError("the server answered status 404", status=404))
        if isinstance(answer, Exception):
            raise answer
        return Fetched(body=answer, max_age=self.max_age)
