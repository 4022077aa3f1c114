"""docs/settings.md, made from the settings: `python -m authz.config.reference > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from authz.config.load import DEFAULT_FILE, FILE_VARIABLE, flag_name, variable_name
from authz.config.settings import Descriptor, groups

_INTRODUCTION = f"""\
# Settings

<!-- Made by `python -m authz.config.reference`; a test compares the two. Edit authz/config/settings.py
instead. -->

How the service itself runs. What it decides is in the policy directory (policy-language.md).

Each setting can be given as a flag, as an environment variable, or in a YAML file; the first of these wins,
and what is given nowhere has its default. `authz config show` prints every value and where it came from.
The file is named by `--config` or `{FILE_VARIABLE}`, else it is `{DEFAULT_FILE}` in the working directory
if there is one. Settings with a dot are nested in the file:

```yaml
policy_dir: /etc/authz/policies
listen: [unix:/run/authz/authz.sock]
keys:
  refresh: 5m
```

Unknown keys, unknown `AUTHZ_` variables and values out of range end the start, all of them named at once.
Durations have a unit (`ms s m h d`), sizes may have one (`KiB MiB GiB`). Lists in variables and flags are
separated by commas. No setting holds a secret: settings name the files that do.
"""


def render() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for group in groups():
        yield f"## {group.name}\n\n{group.help}\n" if group.name else "## General\n"
        yield "| setting | default | value | meaning |"
        yield "|---|---|---|---|"
        yield from map(_row, group.settings)
        yield ""
    yield "## Names\n"
    yield "| setting | variable | flag |"
    yield "|---|---|---|"
    for group in groups():
        for each in group.settings:
            yield f"| `{each.name}` | `{variable_name(each.name)}` | `{flag_name(each.name)}` |"
    yield ""


def _row(each: Descriptor) -> str:
    default = each.kind.show(each.default)
    shown = f"`{default}`" if default else "none"
    return f"| `{each.name}` | {shown} | {each.kind.description} | {each.help} |"


if __name__ == "__main__":
    sys.stdout.write(render())
