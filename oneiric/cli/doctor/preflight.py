"""The plugins loaded in a process of its own first: one that ends or hangs its process does not end or hang this one.

What no guard can isolate is an import that calls ``os._exit``, crashes, or never returns.  A child process loads all
plugins and notes each before it is imported; where it does not come to its end, the last one noted is to blame.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from oneiric.cli.context import Context, find_beside

if TYPE_CHECKING:
    from oneiric.settings import Settings

#: Plugins that are left out one after the other, before it is given up.
MOST = 5
_DONE = "."


@attrs.frozen
class Crash:
    """A process that did not come to its end.

    Args:
        plugin: What switches off the one that was being imported; empty if all had been.
        how: How it ended.
    """

    plugin: str
    how: str


def fly(settings: Settings, context: Context, timeout: float) -> Iterator[Crash]:
    """Load everything in a child process, again without what has crashed it; nothing if it all comes to its end."""
    if not _is_worth_while(settings):
        return
    off: list[str] = []
    while len(off) < MOST:
        crash = _try(context, off, timeout)
        if crash is None:
            return
        yield crash
        if not crash.plugin:
            return
        off.append(crash.plugin)


def _is_worth_while(settings: Settings) -> bool:
    """Whether anything is to be imported that is not built in."""
    from oneiric.assembly import GROUP
    from oneiric.installed import installed

    plugins = settings.plugins
    if settings.app.plugins:
        return True
    return (plugins.auto_load or bool(plugins.only)) and any(
        installed(group) for group in (GROUP, *plugins.entry_points)
    )


def _try(context: Context, off: list[str], timeout: float) -> Crash | None:
    from oneiric.cli.bisect.running import run

    options = context.options
    with tempfile.TemporaryDirectory(prefix="oneiric-doctor-", ignore_cleanup_errors=True) as folder:
        notes = Path(folder, "notes")
        told = {
            "notes": str(notes),
            "path": sys.path,
            "config": options.config,
            "profile": options.profile,
            "off": options.off,
            "plugins": options.plugins,
            "without": off,
        }
        code = f"from {__name__} import main; import sys; main(sys.argv[1])"
        # The same modules are found, and the same Python is asked, whatever the environment says.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = run([sys.executable, "-c", code, json.dumps(told)], environment, timeout, show=False)
        lines = notes.read_text("utf-8", "replace").splitlines() if notes.exists() else [_DONE]
    last = lines[-1] if lines else ""
    if last == _DONE:
        return None
    if done.exit is None:
        return Crash(last, f"takes longer than {timeout:g} s, or never comes back")
    if done.exit > 128:
        return Crash(last, f"ends its process by signal {done.exit - 128}")
    return Crash(last, f"ends its process, with exit {done.exit}")


def main(told: str) -> None:
    """In the child: load everything, and note what is being loaded."""
    facts: Mapping[str, Any] = json.loads(told)
    sys.path[:] = facts["path"]
    with open(facts["notes"], "a", encoding="utf-8") as notes:  # noqa: PTH123 - open until the process ends

        def note(text: str) -> None:
            notes.write(f"{text}\n")
            notes.flush()

        note("")
        try:
            _load(facts, note)
        except Exception:
            pass  # whatever is wrong beyond that is found by the checks
        note(_DONE)
    # What plugins leave running, or do at the end, is not what was asked.
    os._exit(0)


def _load(facts: Mapping[str, Any], note: Any) -> None:
    from oneiric.assembly import assemble

    context = Context()
    for name in ("config", "profile", "off", "plugins"):
        setattr(context.options, name, facts[name])
    settings = context.load(examine=True)
    find_beside(Path.cwd() if settings.file is None else settings.file.parent)

    def watch(record: Any) -> None:
        note(f"{record.distribution}:{record.name}" if record.distribution else record.name)

    assemble(settings, off=facts["without"], strict=False, watch=watch).hooks.close()
