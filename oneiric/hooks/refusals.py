"""Why a plugin is refused: one error that says everything, and where."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
from oneiric_hookspecs import PluginError, SettingsError

from .faults import said, short
from .records import PluginRecord


def together(findings: Sequence[PluginError]) -> PluginError:
    """*findings* as one error: the first, and below its hint every other with its place and its hint."""
    first, *others = findings
    if not others:
        return first
    return PluginError(
        f"{first.message} (and {len(others)} more)",
        plugin=first.plugin,
        distribution=first.distribution,
        where=first.where,
        hint=_lines([first.hint or "", *map(_in_a_line, others)]),
        code=first.code,
    )


def fail(record: PluginRecord, error: BaseException) -> None:
    """Write into *record* that *error* kept the plugin from loading."""
    record.state, record.reason = "failed", said(error)
    record.where = culprit(error) or record.where
    if isinstance(error, SettingsError) and error.problems:
        record.reason = short("; ".join(map(str, error.problems)))
        error = _of_settings(error)
    elif isinstance(error, PluginError):
        record.reason = short(error.message)
    record.error = _whose(error, record)


def strictly(record: PluginRecord, error: BaseException) -> PluginError:
    """*error*, which kept the plugin from loading, for who wants none that fails."""
    if isinstance(error, SettingsError) and error.problems:
        error = _of_settings(error)
    elif not isinstance(error, PluginError):
        error = PluginError(said(error), where=culprit(error))
    _whose(error, record)
    return error


def culprit(error: BaseException) -> str | None:
    """``file:line`` where *error* happened, outside Python's own importing; None where nobody knows."""
    if isinstance(error, PluginError):
        return error.where
    if isinstance(error, SettingsError) and error.problems:
        return error.problems[0].where
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    ours = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen importlib")
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(ours)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _of_settings(error: SettingsError) -> PluginError:
    """All its problems, at the place of the first, which is a line of the user's."""
    first, *others = error.problems
    more = f" (and {len(others)} more)" if others else ""
    refusal = PluginError(
        f"{attrs.evolve(first, where=None)}{more}", where=first.where, hint=_lines(map(str, others))
    )
    refusal.__cause__ = error
    return refusal


def _whose(error: BaseException, record: PluginRecord) -> BaseException:
    if isinstance(error, PluginError):
        error.plugin = error.plugin or record.name
        error.distribution = error.distribution or record.distribution
    return error


def _in_a_line(finding: PluginError) -> str:
    code = f"{finding.code} " if finding.code else ""
    place = f" ({finding.where})" if finding.where else ""
    return f"{code}{finding.message}{place}" + (f": {finding.hint}" if finding.hint else "")


def _lines(texts: Iterable[str]) -> str | None:
    """*texts* as a hint, one below the other."""
    return "\n  ".join(filter(None, texts)) or None
