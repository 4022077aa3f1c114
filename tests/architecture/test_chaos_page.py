"""docs/chaos.md is complete: each thing that tests break has a row, each kind of request a column, no cell is empty."""

from __future__ import annotations

import re

from authz.model.reason import Reason
from tests.real.chaos import KINDS, OUTAGES, PAGE, read_table


def test_the_table_has_every_row_and_column_that_is_tested() -> None:
    """The names of rows and columns are those of the tests, in both directions."""
    table = read_table(PAGE.read_text())

    assert set(table) == set(OUTAGES)
    assert {tuple(row) for row in table.values()} == {KINDS}


def test_each_cell_is_an_outcome_that_a_test_can_hold() -> None:
    """`allowed`, a status with a reason of the registry, or a status by Envoy itself or whose reason was lost."""
    reasons = {reason.value[0] for reason in Reason}
    cells = [cell for row in read_table(PAGE.read_text()).values() for cell in row.values()]

    odd = [cell for cell in cells if not _is_outcome(cell, reasons)]

    assert odd == []


def test_the_kinds_are_explained() -> None:
    """Each column has its line above the table."""
    explained = re.findall(r"^\| `([a-z-]+)` \| [a-z]", PAGE.read_text(), re.MULTILINE)

    assert [kind for kind in KINDS if kind not in explained] == []


def _is_outcome(cell: str, reasons: set[str]) -> bool:
    status, _, why = cell.partition(" ")
    return cell == "allowed" or (status.isdigit() and (why in {"by Envoy", "unrecorded"} or why in reasons))
