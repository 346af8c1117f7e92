"""Fixtures for every test: time that passes at once, and no kit that happens to be installed."""

import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from oneiric.testing import VirtualClock, run_virtual


def pytest_configure() -> None:
    """Let signals come: what a shell starts in the background ignores two, and so would all that is started here."""
    for number, usual in [(signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)]:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture
def clock() -> VirtualClock:
    """The time of this test: ``clock.time()``, ``clock.advance(seconds)``; the loop of ``run`` keeps it too."""
    return VirtualClock()


@pytest.fixture
def run(clock: VirtualClock) -> Callable:
    """``run(main())``, or ``run(main)``: as asyncio.run, in virtual time, leaving no task and no error behind.

    Keywords are those of ``oneiric.testing.run_virtual``.
    """
    before = frozenset(threading.enumerate())  # threads that a test starts before it runs are waited for too

    def run(main, **more):
        return run_virtual(main, **{"clock": clock, "ignore": before} | more)

    return run


@pytest.fixture(scope="session")
def unplugged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hides installed kits from whoever has it first on ``sys.path``, or in ``PYTHONPATH``.

    It holds a distribution without entry points for each that has some of ours: of two distributions of one name the
    first counts.  Their modules can still be imported.
    """
    folder = tmp_path_factory.mktemp("unplugged")
    for found in metadata.distributions():
        groups = {entry.group.partition(".")[0] for entry in found.entry_points}
        if "oneiric" in groups and found.name != "oneiric":
            about = folder / f"{found.name.replace('-', '_')}-{found.version}.dist-info" / "METADATA"
            about.parent.mkdir(exist_ok=True)
            about.write_text(f"Metadata-Version: 2.1\nName: {found.name}\nVersion: {found.version}\n")
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_installed_kits(unplugged: Path) -> Iterator[None]:
    """What is installed beside the suite is plugged in nowhere: not in this process, nor in those it starts."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(unplugged), before]))
    sys.path.insert(0, str(unplugged))
    yield
    if str(unplugged) in sys.path:
        sys.path.remove(str(unplugged))
    if before is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is installed from this tree: building in the tree itself would leave things in it."""
    root, copy = Path(__file__).parents[1], tmp_path_factory.mktemp("checkout")
    litter = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    packages = [each.parent.name for each in root.glob("*/__init__.py")]
    for name in (*packages, "hookspecs", "contrib"):
        shutil.copytree(root / name, copy / name, ignore=litter)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    return copy


@pytest.fixture(scope="session")
def uv() -> str | None:
    """The command ``uv``, which does what ``venv`` and ``pip`` do, in a second; None where it is not at hand."""
    return shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.fixture(scope="session")
def offline() -> Callable[[str], str | None]:
    """Whether an installer says that it reaches no package index, and how."""
    words = "failed to fetch|error sending request|dns error|name resolution|NewConnectionError|network is unreachable"
    pattern = re.compile(words, re.IGNORECASE)

    def look(text: str) -> str | None:
        found = pattern.search(text)
        return None if found is None else f"no package index: {found[0]}"

    return look


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator["Sdk"]:
    """An SDK of OpenTelemetry that this test has set up: what it was told, by ``metrics()`` and ``spans()``."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    meters, tracers = MeterProvider([reader]), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    # What is set for good in a process is set for one test here.
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: meters)
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: tracers)
    yield Sdk(reader, exporter, tracers)
    meters.shutdown()
    tracers.shutdown()


class Sdk:
    """What an SDK was told."""

    def __init__(self, reader, exporter, tracers) -> None:
        self._reader, self._exporter = reader, exporter
        self.tracer = tracers.get_tracer("the application")

    def metrics(self) -> dict:
        """By name and attributes: of a counter and a gauge the value, of a histogram how many there were."""
        found = {}
        data = self._reader.get_metrics_data()
        for resource in () if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        figure = getattr(point, "value", None)
                        attributes = tuple(sorted(point.attributes.items()))
                        found[metric.name, attributes] = point.count if figure is None else figure
        return found

    def spans(self) -> list:
        """Those that have ended, in that order."""
        return list(self._exporter.get_finished_spans())


@pytest.fixture(scope="session")
def documented() -> Callable[[object, str], None]:
    """``documented(value, name)``: *value* is what ``docs/formats/status.schema.json`` says of *name*, all of it, and JSON."""
    import jsonschema

    def strict(schema):
        """No field that is not named, and none left out that is required; elsewhere they may be added."""
        if isinstance(schema, list):
            return [strict(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        found = {name: strict(each) for name, each in schema.items()}
        if isinstance(found.get("properties"), dict) and found.get("type") == "object":
            found.setdefault("additionalProperties", "synced" in found["properties"])
        return found

    path = Path(__file__).parents[1] / "docs/formats/status.schema.json"
    schemas = strict(json.loads(path.read_text()))

    def check(value, name):
        told = json.loads(json.dumps(value, allow_nan=False))
        jsonschema.Draft202012Validator({**schemas, "$ref": f"#/$defs/{name}"}).validate(told)

    return check
