"""pytest plug-in: `pytest --authz DIR` collects the tests of a policy directory beside everything else.

Each test of a `_test.yaml` file becomes an item, run as `authz test` runs it. Without the option nothing is collected
and nothing of the policy language is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from authz.cli.policy_directory import ReadDirectory
    from authz.policy.rehearse import Stage
    from authz.policy.suite import Case, Suite

_OPTION: Final = "authz"
_SUFFIX: Final = "_test.yaml"


class PolicyTestFailed(AssertionError):
    """A policy decided otherwise than its test expects; the lines are the report."""


class PolicyInvalid(ValueError):
    """The directory can't be tested; the lines are its faults."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--authz DIR`."""
    parser.getgroup("authz").addoption(
        "--authz", dest=_OPTION, metavar="DIR", default=None, help="collect the tests of this policy directory"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The directory is looked into wherever pytest was told to look."""
    directory = _directory(config)
    if directory is None:
        return
    if not directory.is_dir():
        raise pytest.UsageError(f"--authz {directory}: no such directory")
    config.args.append(str(directory))
    config.stash[_KEY] = _Opened(directory)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The files of tests below the directory."""
    opened = parent.config.stash.get(_KEY, None)
    if opened is None or not file_path.name.endswith(_SUFFIX) or not file_path.is_relative_to(opened.path):
        return None
    return PolicyTestFile.from_parent(parent, path=file_path)


class PolicyTestFile(pytest.File):
    """One file; its documents' tests are items."""

    def collect(self) -> Iterator[pytest.Item]:
        opened = self.config.stash[_KEY]
        name = self.path.relative_to(opened.path).as_posix()
        for suite, case in opened.cases(name):
            yield PolicyTestItem.from_parent(self, name=case.name, suite=suite, case=case)


class PolicyTestItem(pytest.Item):
    """One test of a policy."""

    def __init__(self, *, suite: Suite, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._suite = suite
        self._case = case

    def runtest(self) -> None:
        from authz.cli.rehearsal_report import failure_lines
        from authz.policy.rehearse import run

        result = run(self.config.stash[_KEY].stage(), self._suite, self._case)
        if not result.passed:
            raise PolicyTestFailed("\n".join(failure_lines(result)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, PolicyTestFailed):
            return f"{self._case.place}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._case.place.line - 1, f"{self._suite.policy}: {self._case.name}"


class _Opened:
    """The directory, read once, when the first file is collected."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: ReadDirectory | None = None
        self._stage: Stage | None = None

    def cases(self, file: str) -> list[tuple[Suite, Case]]:
        """Those of one file; raises `PolicyInvalid`, which pytest shows as an error of collection."""
        from authz.cli.rehearsal import cases

        return [(suite, case) for suite, case in cases(self._directory()) if suite.place.file == file]

    def stage(self) -> Stage:
        from authz.cli.rehearsal import stage_of

        if self._stage is None:
            self._stage = stage_of(self._directory())
        return self._stage

    def _directory(self) -> ReadDirectory:
        from authz.cli.fault_report import as_text
        from authz.cli.policy_directory import read
        from authz.policy.faults import Severity

        if self._read is None:
            self._read = read(str(self.path), tests=True, references=False)
        errors = [fault for fault in self._read.faults if fault.severity is Severity.ERROR]
        if errors or self._read.policy is None:
            raise PolicyInvalid("\n".join(as_text(errors, self._read.files)))
        return self._read


_KEY: Final = pytest.StashKey[_Opened]()


def _directory(config: pytest.Config) -> Path | None:
    given = config.getoption(_OPTION)
    return None if given is None else Path(config.invocation_params.dir, given).resolve()
