"""Rules about importing a kit, each held in an interpreter of its own."""

from __future__ import annotations

import ast
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .kit import Kit
from .outcome import Broken, Skip

#: What the contract itself loads, and the contract.
_CONTRACT = frozenset({"oneiric_hookspecs", "attr", "attrs", "pluggy"})
#: Variables that are no business of the kit's.
_OTHERS = ("ONEIRIC", "COVERAGE_", "PYTEST_")
#: Seconds that an import may take before it counts as hanging.
_LIMIT = 60.0

_CHANGES = {
    "threads": ("starts a thread", "start it where the plugin, or its candidate, is made"),
    "logging": (
        "sets logging up",
        "take context.log, or a logger of its own; handlers are the application's",
    ),
    "signals": ("handles a signal", "signals are the application's"),
    "environ": ("changes the environment", "give the library what it needs as arguments"),
    "cwd": ("changes the working directory", "use paths from its settings"),
    "sys.path": ("changes sys.path", "import what is installed"),
    "warnings": ("changes the filters of warnings", "filters are the application's"),
    "excepthook": ("replaces sys.excepthook", "it is the application's"),
}


def imports_lightly(kit: Kit) -> Iterator[Broken]:
    """Importing the plugin loads the contract and itself, and no client library."""
    report = _report(kit)
    if report["error"] is not None:
        place = report["places"].get("error") or kit.where
        yield Broken(f"{kit.module} does not import alone: {report['error']}", place, _ALONE)
        return
    allowed = _CONTRACT | kit.allow | {kit.top, "oneiric"}
    with_kernel = report["places"].get("import oneiric")
    by_place: dict[str | None, list[str]] = {}
    for name in report["modules"]:
        place = report["places"].get(f"import {name}") or kit.where
        if name not in allowed and not name.startswith("__editable__") and place != with_kernel:
            by_place.setdefault(place, []).append(name)
    for place, names in by_place.items():
        yield Broken(
            f"importing {kit.module} loads {', '.join(names)}",
            place,
            "import it where it is used: in the factory, or in a module that the factory is named by",
        )


_ALONE = "a plugin is imported before anything of the application; what it needs stands in its requirements"


def importing_does_nothing(kit: Kit) -> Iterator[Broken]:
    """Importing the plugin changes nothing: no thread, no logging, no signal, no variable, no output."""
    report = _report(kit)
    if report["error"] is not None:
        raise Skip("it does not import; see the rule `imports_lightly`")
    for name, (what, hint) in _CHANGES.items():
        if name in report["changed"]:
            detail = _detail(name, *report["changed"][name])
        elif name in report["touched"]:
            detail = f": {', '.join(sorted(set(report['touched'][name])))}"
        else:
            continue
        yield Broken(
            f"importing {kit.module} {what}{detail}",
            report["places"].get(name) or kit.where,
            hint,
        )
    for deed in report["done"]:
        yield Broken(
            f"importing {kit.module} {deed['what']}", deed["where"] or kit.where, "do it in the factory"
        )
    if printed := report["printed"]:
        yield Broken(
            f"importing {kit.module} prints {printed.strip()[:60]!r}",
            report["places"].get("stdout") or kit.where,
            "commands answer on stdout; what is printed there breaks --json",
        )


def leaves_the_kernel_alone(kit: Kit) -> Iterator[Broken]:
    """The kit imports the contract, never the kernel."""
    if kit.top == "oneiric":
        raise Skip("it is built in")
    root = kit.root
    found = False
    for file in [] if root is None else _sources(root):
        for line, name in _imports_of_kernel(file):
            found = True
            yield Broken(f"imports {name}", f"{file}:{line}", _ONLY_CONTRACT)
    report = _report(kit)
    if not found and report["kernel"]:
        names = report["kernel"]
        place = report["places"].get("import oneiric") or kit.where
        yield Broken(f"importing {kit.module} loads {names[0]}", place, _ONLY_CONTRACT)


_ONLY_CONTRACT = "import oneiric_hookspecs; what the kernel does for plugins is context.host"


def _detail(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict):
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        return f": {', '.join(changed)}"
    if name in ("threads", "sys.path"):
        return f": {', '.join((Counter(after) - Counter(before)).elements())}"
    return f": {after}" if name == "cwd" else ""


def _sources(root: Path) -> Iterable[Path]:
    return [root] if root.is_file() else sorted(root.rglob("*.py"))


def _imports_of_kernel(file: Path) -> Iterator[tuple[int, str]]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # what does not parse is noticed where it is imported
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] == "oneiric":
                yield node.lineno, name  # type: ignore[attr-defined]  # a statement


def _report(kit: Kit) -> dict[str, Any]:
    root = str(kit.root) if kit.root is not None else ""
    # Without what differs from test to test, so that three rules need one process.
    variables = {name: text for name, text in os.environ.items() if not name.startswith(_OTHERS)}
    environment = tuple(sorted({**variables, **kit.environment}.items()))
    return _probed(kit.module, root, tuple(sys.path), environment)


@functools.lru_cache(maxsize=64)
def _probed(
    module: str, root: str, path: tuple[str, ...], environment: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """What importing *module* does; the same answer for the three rules."""
    with tempfile.TemporaryDirectory(prefix="oneiric-check-") as folder:
        report = Path(folder, "report.json")
        ask = {"module": module, "path": list(path), "roots": [root] if root else [], "report": str(report)}
        command = [sys.executable, "-P", str(Path(__file__).with_name("probe.py")), json.dumps(ask)]
        try:
            done = subprocess.run(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _failed(f"it did not end within {_LIMIT:g} s")
        try:
            found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = done.stderr.strip().splitlines()[-1:] or [""]
            ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
            return _failed(f"the interpreter ended with {ended} {said[0][:200]}".strip())
        found["printed"] = found["printed"] or done.stdout
        return found


def _failed(error: str) -> dict[str, Any]:
    return {
        "error": error,
        "modules": [],
        "kernel": [],
        "changed": {},
        "printed": "",
        "done": [],
        "touched": {},
        "places": {},
    }
