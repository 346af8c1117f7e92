"""Hold every rule against one kit, in this process: ``python -m oneiric.testing.conformance JSON``.

The JSON object says ``module``, ``attribute``, ``path`` (to be put before ``sys.path``), ``behind`` (to be put after
it), ``settings`` and ``report``: a file that gets a line when a rule begins, and one when it has ended; so whoever
started this knows which rule it was that ended the process.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any, TextIO

import attrs
from oneiric_hookspecs import OneiricError

from .catalogue import RULES
from .kit import Kit
from .outcome import Broken, Outcome, held


def main() -> None:
    """Do what the argument says."""
    ask = json.loads(sys.argv[1])
    sys.path[:0] = ask["path"]
    sys.path += [folder for folder in ask["behind"] if folder not in sys.path]
    with open(ask["report"], "a", encoding="utf-8") as report:  # noqa: PTH123 - as short
        _say(report, begun="imports_lightly")
        kit = _kit(ask)
        if isinstance(kit, Outcome):
            _say(report, outcome=attrs.asdict(kit))
            _say(report, end=True)
            return
        about = None if kit.project is None else kit.project.name
        _say(report, kit={"kit": kit.name, "distribution": about, "where": kit.where})
        for rule in RULES:
            for candidate in kit.candidates if rule.each == "candidate" else (None,):
                subject = "" if candidate is None else f"{candidate.key} {candidate.provider}"
                _say(report, begun=rule.name, subject=subject)
                _say(report, outcome=attrs.asdict(held(rule, kit, candidate)))
        _say(report, end=True)


def _kit(ask: dict[str, Any]) -> Kit | Outcome:
    """The kit; or what came of importing it."""
    try:
        plugin: Any = importlib.import_module(ask["module"])
        for part in ask["attribute"].split(".") if ask["attribute"] else ():
            plugin = getattr(plugin, part)
        return Kit.of(plugin, settings=ask["settings"])
    except Exception as error:
        said = error.message if isinstance(error, OneiricError) else f"{type(error).__name__}: {error}"
        place = _last(error, [*ask["path"], *ask["behind"]])
        what = f"{ask['module']} does not import: {' '.join(said.split())[:300]}"
        return Outcome(RULES[0].name, RULES[0].promise, "", "broken", (Broken(what, place),))


def _last(error: BaseException, folders: list[str]) -> str | None:
    """The last line of the kit on the way to *error*; of a syntax error, that one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    found, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and file not in (__file__, importlib.__file__):
            inside = any(file.startswith(folder) for folder in folders)
            found = f"{file}:{trace.tb_lineno}" if inside or found is None else found
        trace = trace.tb_next
    return found


def _say(report: TextIO, **what: Any) -> None:
    report.write(json.dumps(what) + "\n")
    report.flush()


if __name__ == "__main__":
    main()
