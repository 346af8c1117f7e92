"""How a command ended."""

from __future__ import annotations

import json
from typing import Any

import attrs


@attrs.frozen
class Result:
    """How a command ended, and what it said.

    Args:
        code: Its exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The JSON object that tells of an error, the last line on stderr."""
        return json.loads(self.err.splitlines()[-1])
