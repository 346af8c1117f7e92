"""Import a module in an interpreter of its own, and write down what that loads and does.

Run as a script, with one JSON object as its argument: ``module``, ``path`` (of ``sys``), ``roots`` (files and folders
of the kit) and ``report`` (a file to write).  The standard library only, so that what is loaded is the kit's doing.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable
from typing import Any

#: What happens outside this process, by the name of its audit event.
_DEEDS = {
    "socket.connect": "connects to a server",
    "socket.bind": "binds a socket",
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.fork": "forks",
}


class Watch:
    """Remembers which line of the kit began what.

    Args:
        roots: Files and folders that are the kit's.
    """

    def __init__(self, roots: list[str]) -> None:
        self.roots = tuple(roots)
        self.places: dict[str, str] = {}
        self.done: list[dict[str, str | None]] = []
        self.touched: dict[str, list[str]] = {}
        self.on = False

    def here(self) -> str | None:
        """The innermost line of the kit's own code that is being executed."""
        frame: Any = sys._getframe(1)  # noqa: SLF001 - there is no other way to look at who calls
        while frame is not None:
            file = frame.f_code.co_filename
            if any(file == root or file.startswith(root + os.sep) for root in self.roots):
                return f"{file}:{frame.f_lineno}"
            frame = frame.f_back
        return None

    def remember(self, what: str, value: object = None) -> None:
        """Where *what* was done first, and to which value.

        It counts although it may change nothing: who started this process may have imported the kit before, and then
        its variables, its directory and the signals it ignores are those of this process from the beginning.
        """
        if self.on and (place := self.here()) is not None:
            self.places.setdefault(what, place)
            if value is not None:
                self.touched.setdefault(what, []).append(
                    os.fsdecode(value) if isinstance(value, bytes) else str(value)
                )

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit hook."""
        if not self.on:
            return
        if event == "import" and args and isinstance(args[0], str):
            self.remember("import " + args[0].partition(".")[0])
        elif event in _DEEDS:
            self.done.append({"what": _DEEDS[event], "where": self.here()})
        elif event in ("os.putenv", "os.unsetenv"):
            self.remember("environ", args[0])
        elif event == "os.chdir":
            self.remember("cwd", args[0])

    def wrap(self, owner: Any, name: str, what: str) -> None:
        """Remember who calls ``owner.name`` first."""
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **more: Any) -> Any:
            self.remember(what, getattr(args[0], "name", args[0]) if what in ("signals", "threads") else None)
            return original(*args, **more)

        setattr(owner, name, watched)


class Heard:
    """Stands in for stdout, and remembers who writes."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.text = ""

    def write(self, text: str) -> int:
        """Remember it."""
        self.watch.remember("stdout")
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        """It is nobody's screen."""
        return False


def state() -> dict[str, Any]:
    """What importing a module leaves alone."""
    root = logging.getLogger()
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "logging": [
            root.level,
            logging.root.manager.disable,
            sorted(type(each).__name__ for each in root.handlers),
            sorted(
                f"{name}:{type(each).__name__}"
                for name, logger in logging.root.manager.loggerDict.items()
                if isinstance(logger, logging.Logger)
                for each in logger.handlers
                if not isinstance(each, logging.NullHandler)
            ),
        ],
        "signals": {
            each.name: repr(signal.getsignal(each)) for each in signal.valid_signals() if _named(each)
        },
        "environ": dict(os.environ),
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib is not loaded
        "sys.path": list(sys.path),
        "warnings": len(warnings.filters),
        "excepthook": repr(sys.excepthook),
    }


def _named(number: Any) -> bool:
    return hasattr(number, "name")


def _of_stdlib(name: str) -> bool:
    if name in sys.stdlib_module_names or name.startswith("_sysconfigdata"):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str) or "site-packages" in file or "dist-packages" in file:
        return False
    return file.startswith(sysconfig.get_path("stdlib") + os.sep)


def main() -> None:
    """Do what the argument says."""
    ask = json.loads(sys.argv[1])
    sys.path[:] = ask["path"]
    sys.dont_write_bytecode = True
    watch = Watch(ask["roots"])
    heard = Heard(watch)
    for owner, name, what in (
        (threading.Thread, "start", "threads"),
        (logging.Logger, "addHandler", "logging"),
        (logging.Logger, "setLevel", "logging"),
        (logging, "disable", "logging"),
        (logging, "basicConfig", "logging"),
        (signal, "signal", "signals"),
        (warnings, "simplefilter", "warnings"),
        (warnings, "filterwarnings", "warnings"),
    ):
        watch.wrap(owner, name, what)
    sys.addaudithook(watch.audit)
    before, loaded = state(), set(sys.modules)
    stdout: Any = sys.stdout
    sys.stdout = heard
    error = None
    watch.on = True
    try:
        __import__(ask["module"])
    except BaseException as raised:  # what it raises is the answer
        error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:300]}"
        trace = raised.__traceback__
        while trace is not None:
            if any(trace.tb_frame.f_code.co_filename.startswith(root) for root in watch.roots):
                watch.places["error"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            trace = trace.tb_next
    watch.on = False
    sys.stdout = stdout
    after = state()
    new = {name.partition(".")[0] for name in sys.modules.keys() - loaded}
    report = {
        "error": error,
        "modules": sorted(name for name in new if not _of_stdlib(name)),
        "kernel": sorted(name for name in sys.modules.keys() - loaded if name.partition(".")[0] == "oneiric"),
        "changed": {name: [before[name], after[name]] for name in before if before[name] != after[name]},
        "printed": heard.text,
        "done": watch.done,
        "touched": watch.touched,
        "places": watch.places,
    }
    with open(ask["report"], "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
        json.dump(report, file)


if __name__ == "__main__":
    main()
