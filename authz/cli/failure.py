"""How a command ends early: a sentence for people and an exit code, never a traceback."""

from __future__ import annotations

from authz.model.errors import AuthzError


class CommandFailed(AuthzError):
    """Ends the command with `code`; each of `lines` goes to standard error."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.code = code
        self.lines = lines
