"""What a load leaves to the next one: files that were sound, and policies as they were compiled.

Owns what may be taken over, and when: a file that says the same bytes under the same name, if nothing but policies
stands in it and nothing was wrong with it; a policy as compiled, if its text was taken over and so was all that the
platform says. Both depend on nothing else, so that a load that remembers gives exactly what it gives without. Must not
keep what the directory no longer holds, nor remember a file whose reading found a fault: it is judged anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authz.policy.compiled import CompiledGuardrail, CompiledRoute
from authz.policy.document import ParsedDirectory, RoutePolicyDocument
from authz.policy.faults import Fault


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """The routes of a text by id, and what compiling had to say. Holds the text: it is known by its identity."""

    document: RoutePolicyDocument
    routes: Mapping[str, CompiledRoute]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Memory:
    """Goes with a set in force; digests are those of files. `compiled` is by the `id` of the text."""

    digests: Mapping[str, str] = field(default_factory=dict)
    sound: Mapping[str, tuple[RoutePolicyDocument, ...]] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)
    guardrails: tuple[CompiledGuardrail, ...] = ()
    compiled: Mapping[int, CompiledPolicy] = field(default_factory=dict)

    def unchanged(self, digests: Mapping[str, str]) -> Mapping[str, tuple[RoutePolicyDocument, ...]]:
        """What sound files hold that have the same bytes now."""
        return {file: found for file, found in self.sound.items() if digests.get(file) == self.digests[file]}


def platform_of(parsed: ParsedDirectory, digests: Mapping[str, str]) -> Mapping[str, str]:
    """The digests of the files that the platform's documents stand in: equal ones say the same."""
    return {file: digests[file] for file in parsed.platform_files}
