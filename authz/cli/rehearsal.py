"""A policy directory's tests, run: what `authz test` reports and what the pytest plug-in collects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz.cli.policy_directory import ReadDirectory
from authz.cli.verified import verified_user
from authz.policy.rehearse import Result, Stage, run
from authz.policy.suite import Case, Suite
from authz.wire.challenge import challenge

if TYPE_CHECKING:
    from authz.policy.cover import Coverage
    from authz.policy.holes import Mutated


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Results by file and in the order written; coverage and mutants where they were asked for."""

    directory: ReadDirectory
    results: tuple[Result, ...]
    left_out: int
    """Tests that `only` doesn't name."""
    coverage: Coverage | None = None
    mutated: Mutated | None = None


def stage_of(directory: ReadDirectory) -> Stage:
    """What tests run on; the directory must have been loaded."""
    assert directory.policy is not None
    return Stage(policy=directory.policy, documents=directory.documents, make_user=verified_user, challenge=challenge)


def rehearse(directory: ReadDirectory, *, only: str = "", cover: bool = False, mutate: bool = False) -> Rehearsal:
    """Run the tests whose `POLICY/NAME` holds `only`."""
    stage = stage_of(directory)
    chosen = list(cases(directory, only))
    results = tuple(run(stage, suite, case) for suite, case in chosen)
    coverage, mutated = None, None
    if cover:
        from authz.policy.cover import coverage as measure

        places = {
            (policy.name, route.id): route.place for policy in directory.documents.policies for route in policy.routes
        }
        coverage = measure(stage.policy.routes, places, results)
    if mutate:
        from authz.policy.holes import find_holes

        mutated = find_holes(stage, stage.policy.routes, results)
    total = sum(len(suite.cases) for suite in directory.suites)
    return Rehearsal(
        directory=directory, results=results, left_out=total - len(chosen), coverage=coverage, mutated=mutated
    )


def cases(directory: ReadDirectory, only: str = "") -> Iterator[tuple[Suite, Case]]:
    """Each test with its document."""
    for suite in directory.suites:
        for case in suite.cases:
            if only in f"{suite.policy}/{case.name}":
                yield suite, case
