"""``runtime_health.json`` and ``lifecycle_status.json`` in the state directory, for scrapers.

Each is written whole, in the place of the one before, in a thread; at most once in five seconds where something has
changed, and once a minute where nothing has, so that by ``written`` and ``pid`` everybody sees whether the process
still writes.

Several processes may share a directory.  The first has the plain names; each other one, as long as that one lives,
writes ``runtime_health.NODE.json`` beside it.  So none of them overwrites another's, and ``runtime_health*.json`` are
all of them.  What processes leave behind that are gone is removed by those that live.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneiric.remote.disk import RECENT, UNFINISHED, Disk
from oneiric.settings.places import state_folder
from oneiric.state.nodes import birth_of, this_process

from .reporting import about
from .rows import Rows, wall_of

if TYPE_CHECKING:
    from .orchestrator import Orchestrator

log = logging.getLogger("oneiric.orchestrator")

HEALTH, LIFECYCLE = "runtime_health", "lifecycle_status"
#: Seconds between two writings: where something has changed, and where nothing has.
SOON, SELDOM = 5.0, 60.0
#: Seconds after which a file of another machine counts as left behind; of this one, the process is looked at.
SILENT = 3 * SELDOM
#: Parts that are looked at before others get their turn on the loop, and the most bytes that say who wrote a file.
AT_ONCE, LIMIT = 50, 4096
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


class Files:
    """Writes the files of one process.

    Args:
        orchestrator: The process.
        disk: What is done to files.
    """

    def __init__(self, orchestrator: Orchestrator, disk: Disk | None = None) -> None:
        self._orchestrator, self._disk = orchestrator, disk or Disk()
        self._wall: Callable[[], float] = wall_of(orchestrator)
        self._trouble = ""
        host, pid, birth = this_process()
        self._me = {"node": orchestrator.node, "pid": pid, "host": host, "birth": birth}

    async def run(self) -> None:
        """Go on until cancelled, whatever goes wrong."""
        clock = self._orchestrator.runtime.clock
        written, stamp = -SELDOM, None
        while True:
            now, seen = clock.time(), self._stamp()
            if seen != stamp or now - written >= SELDOM:
                written, stamp = now, seen
                await self._turn()
            await asyncio.sleep(SOON)

    async def _turn(self) -> None:
        trouble = ""
        try:
            rows = [row async for row in self._rows()]
            health = about(self._orchestrator)
            folder = state_folder(self._orchestrator.runtime.settings)
            await self._orchestrator.runtime.in_thread(
                lambda: self._write(folder, health, rows), name="status files"
            )
        except asyncio.CancelledError:
            raise
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        if trouble and not self._trouble:
            # Said once, and not every five seconds for as long as a disk is full.
            log.warning("the status files are not written: %s", trouble)
        elif self._trouble and not trouble:
            log.info("the status files are written again")
        self._trouble = trouble

    def _stamp(self) -> object:
        """Equal where nothing has changed that would be another line in a file; leases come and go without."""
        each = self._orchestrator
        slots = 0
        for slot in each.runtime.engine("status").slots.values():
            error = slot.last_error
            slots = hash(
                (slots, slot.pending, slot.swaps, slot.rollbacks, None if error is None else error[1])
            )
        loops = tuple((loop.name, loop.failures) for loop in each.loops)
        watched = None if each.watching is None else each.watching.status
        return each.measuring.revision, each.reconciler.wanted.revision, slots, loops, watched

    async def _rows(self) -> Any:
        """The rows of all parts; others get their turn in between."""
        rows = Rows(self._orchestrator)
        for number, key in enumerate(rows.keys(), 1):
            yield rows.row(key)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _write(self, folder: Path, health: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        suffix = self._suffix(folder)
        self._tidy(folder, suffix)
        shared = {"domains": health["domains"], "total": health["total"]}
        self._disk.write(folder / f"{HEALTH}{suffix}", self._text(HEALTH, health, ()))
        self._disk.write(folder / f"{LIFECYCLE}{suffix}", self._text(LIFECYCLE, shared, rows))

    def _text(self, kind: str, facts: Mapping[str, Any], rows: list[dict[str, Any]] | tuple[()]) -> bytes:
        """Who writes in the first line, and one line for each fact and each part, so that ``grep`` finds them."""
        schema = f"oneiric/{kind.replace('_', '-')}-file/1"
        head = {"schema": schema, **self._me, "written": round(self._wall(), 3)}
        lines = [json.dumps(head)[:-1]]
        lines += [
            f"{json.dumps(name)}: {json.dumps(value)}" for name, value in facts.items() if name not in head
        ]
        if kind == LIFECYCLE:
            lines.append('"slots": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
        return (",\n".join(lines) + "}\n").encode()

    def _suffix(self, folder: Path) -> str:
        """``.json``, unless another process that lives has the plain names."""
        head = self._head(folder / f"{HEALTH}.json")
        if head is None or self._mine(head) or not self._lives(head):
            return ".json"
        return f".{_UNFIT.sub('_', self._orchestrator.node)[:120]}.json"

    def _mine(self, head: Mapping[str, Any]) -> bool:
        return all(head.get(name) == value for name, value in self._me.items())

    def _head(self, path: Path) -> Mapping[str, Any] | None:
        """What a file says of who wrote it; None where there is none, or nobody can tell."""
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            with path.open("rb") as file:
                found = json.loads(file.readline(LIMIT).rstrip(b"\n,") + b"}")
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _lives(self, head: Mapping[str, Any]) -> bool:
        pid, birth, written = head.get("pid"), head.get("birth"), head.get("written")
        if not isinstance(written, (int, float)) or not -SILENT < self._wall() - written < SILENT:
            return False
        if head.get("host") != socket.gethostname() or not isinstance(pid, int) or pid < 1:
            return True
        born = birth_of(pid)
        return born is not None and (not born or not birth or born == birth)

    def _tidy(self, folder: Path, suffix: str) -> None:
        """Remove what processes left that are gone, and my own beside the plain ones when I have those."""
        for kind in (HEALTH, LIFECYCLE):
            for path in folder.glob(f"{kind}.*.json"):
                head = self._head(path)
                mine = head is not None and self._mine(head)
                if head is None or not self._lives(head) or (mine and path.name != f"{kind}{suffix}"):
                    path.unlink(missing_ok=True)
        for path in folder.glob(f"{UNFINISHED}*"):
            try:
                if time.time() - path.lstat().st_mtime > RECENT:
                    path.unlink(missing_ok=True)
            except OSError:
                continue  # somebody else was quicker
