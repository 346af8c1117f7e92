"""Where python-tuf finds and leaves its files: a folder for one pull, made from what is kept, and kept again after it.

    in the folder                                            kept as
    root_history/N.root.json                                 root.N.json
    timestamp.json, snapshot.json, targets.json, delegated   role.NAME.json
    release                                                  release.json

What is kept decides nothing: python-tuf verifies it again at every pull, and fetches what does not hold.  So any
mixture of older and newer files will do, as a crash may leave; roots and the timestamp are saved first, as what is
older than those is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from oneiric_hookspecs import Keep

#: The one target that is asked for.
RELEASE = "release.json"
#: Bytes of a file that is kept, at most.
LIMIT = 1024 * 1024

_ROOT = re.compile(r"root\.([1-9]\d{0,9})\.json", re.ASCII)
_ROLE = re.compile(r"role\.([A-Za-z0-9_-][A-Za-z0-9._-]{0,99})\.json", re.ASCII)
_FIRST = ("role.timestamp.json", "role.snapshot.json", "role.targets.json")


class Folder:
    """The files of one pull.

    Args:
        path: An empty folder, which is this pull's own.
    """

    def __init__(self, path: Path) -> None:
        self.metadata, self.release = path, path / "release"  # metadata ends in .json
        (self.metadata / "root_history").mkdir()
        self._laid: dict[str, bytes] = {}

    def lay_out(self, keep: Keep, *, only_roots: bool = False) -> None:
        """Put there what is kept; of what cannot be read nothing is there.

        Args:
            keep: What is kept.
            only_roots: Whether the rest is left out.
        """
        for name in keep.names():
            place = self._place(name)
            if place is None or (only_roots and _ROOT.fullmatch(name) is None):
                continue
            data = keep.load(name)
            if data is not None:
                place.write_bytes(data)
                self._laid[name] = data

    def save(self, keep: Keep) -> None:
        """Keep what python-tuf left there, where it is another than what was kept.

        Raises:
            RemoteError: It cannot be kept; what was saved before it holds.
        """
        found = dict(self._found())
        roots = sorted((name for name in found if _ROOT.fullmatch(name)), key=lambda name: (len(name), name))
        for name in dict.fromkeys((*roots, *_FIRST, *sorted(found))):
            place = found.get(name)
            if place is None:
                continue
            data = place.read_bytes()
            if len(data) <= LIMIT and data != self._laid.get(name):
                keep.save(name, data)

    def contents(self) -> dict[str, bytes]:
        """What the release rests on, but for the roots, by name."""
        return {name: path.read_bytes() for name, path in self._found() if _ROOT.fullmatch(name) is None}

    def _place(self, name: str) -> Path | None:
        if name == RELEASE:
            return self.release
        if found := _ROOT.fullmatch(name):
            return self.metadata / "root_history" / f"{found[1]}.root.json"
        if (found := _ROLE.fullmatch(name)) and found[1] != "root":
            return self.metadata / f"{found[1]}.json"
        return None

    def _found(self) -> Iterator[tuple[str, Path]]:
        for path in (self.metadata / "root_history").glob("*.root.json"):
            yield f"root.{path.name.partition('.')[0]}.json", path
        for path in self.metadata.glob("*.json"):
            name = f"role.{path.name}"
            if path.name != "root.json" and _ROLE.fullmatch(name):
                yield name, path
        if self.release.exists():
            yield RELEASE, self.release
