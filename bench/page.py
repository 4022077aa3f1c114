"""Puts a run's tables into docs/performance.md: `python -m bench.page [--check | --again] [DIR]`.

Owns: the text between `<!-- table: KEY -->` (or `<!-- machine -->`, `<!-- goals -->`, `<!-- skipped -->`) and
`<!-- end -->`; everything else of the page is written by hand. The run (bench/results/latest unless named) becomes part
of the committed reference, JSON and SVG. `--check` changes nothing and says whether the page quotes the reference as it
is; `--again` takes no run, and writes the page anew from the reference.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from bench import goals
from bench.report import markdown

_RESULTS: Final = Path(__file__).parent / "results"
REFERENCE: Final = _RESULTS / "reference"
PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK: Final = re.compile(r"<!-- (machine|skipped|goals|table: (?P<key>[a-z0-9-]+)) -->\n.*?<!-- end -->", re.DOTALL)


def filled(page: str, results: dict[str, Any]) -> str:
    """The page with every block made from the results."""
    return _BLOCK.sub(lambda block: f"<!-- {block[1]} -->\n{_content(block, results)}\n<!-- end -->", page)


def _content(block: re.Match[str], results: dict[str, Any]) -> str:
    if block[1] == "machine":
        commands = sorted({table["command"] for table in results["tables"].values()})
        return f"Machine: {results['machine']}. Commands: {', '.join(f'`{one}`' for one in commands)}."
    if block[1] == "skipped":
        return "\n".join(f"- {one}" for one in results["skipped"]) or "- nothing"
    if block[1] == "goals":
        return markdown(goals.rows(results["tables"], results["findings"]))
    table = results["tables"].get(block["key"])
    if table is None:
        return "Not measured in this run; what was skipped is listed below."
    return "\n\n".join([f"**{table['title']}**", markdown(table["rows"]), *table["notes"]])


def adopt(run: Path) -> None:
    """Make a run's tables and plots those of the reference; what it didn't measure stays, if it is of this machine."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    fresh = json.loads((run / "results.json").read_text())
    for table in fresh["tables"].values():
        table.setdefault("command", fresh["command"])
    held = REFERENCE / "results.json"
    before = json.loads(held.read_text()) if held.exists() else {"machine": "", "tables": {}, "findings": {}}
    if before["machine"] == fresh["machine"]:
        for part in ("tables", "findings"):
            fresh[part] = before[part] | fresh[part]
    for plot in run.glob("*.svg"):
        shutil.copyfile(plot, REFERENCE / plot.name)
    held.write_text(json.dumps(fresh, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    arguments = sys.argv[1:]
    check = "--check" in arguments
    named = [one for one in arguments if not one.startswith("--")]
    if not check and "--again" not in arguments:
        adopt(Path(named[0]) if named else _RESULTS / "latest")
    page = PAGE.read_text()
    fresh = filled(page, json.loads((REFERENCE / "results.json").read_text()))
    if check:
        print("docs/performance.md quotes the reference" if page == fresh else "docs/performance.md has drifted")
        return 0 if page == fresh else 1
    PAGE.write_text(fresh)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
