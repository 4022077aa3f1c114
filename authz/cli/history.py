"""Which state of a policy directory a revision was: the directory as it is, or a commit of the git repository around.

Nothing is checked out. Revisions are digests of documents (`policy.link`), so each state has to be loaded to be
compared; the number of commits is bounded.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.policy.link import PolicySet

MAX_COMMITS: Final = 300
"""Commits that touched the directory, newest first."""
_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A policy set and where it comes from: "" for the directory as it is, else a commit."""

    policy: PolicySet
    commit: str = ""


def find(directory: str, revision: str) -> State | None:
    """The commit whose state of the directory has the revision; None when there is none, or no repository."""
    from authz.cli.revisions import files_of_archive
    from authz.policy.load import load

    prefix = _git(directory, "rev-parse", "--show-prefix")
    commits = _git(directory, "log", f"--max-count={MAX_COMMITS}", "--format=%H", "--", ".")
    if prefix is None or commits is None:
        return None
    below = prefix.decode().strip().rstrip("/")
    for commit in commits.decode().split():
        archive = _git(directory, "archive", "--format=tar", f"{commit}:{below}")
        if archive is None:
            continue
        try:
            policy = load(files_of_archive(archive, commit)).policy
        except CommandFailed:
            continue
        if policy is not None and policy.revision == revision:
            return State(policy=policy, commit=commit)
    return None


def _git(directory: str, *words: str) -> bytes | None:
    """What git prints; None when there is no git, no repository, or it says no."""
    command = ["git", "-C", directory, *words]
    try:
        # No shell; whichever git is there; nothing of the audit line is among the words.
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout
