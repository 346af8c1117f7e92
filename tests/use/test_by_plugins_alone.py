"""What a plugin alone can add: a domain, an adapter, work in the background."""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    Domain,
    FactoryError,
    Health,
    Key,
    OneiricError,
    PluginContext,
    RuntimeClosing,
    SettingsError,
    hookimpl,
)

from oneiric import assemble

PLUGIN = '''
"""A seventh domain with two providers, and another adapter: all of it in one file that knows the contract only."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, Need, hookimpl


@runtime_checkable
class Report(Protocol):
    async def render(self) -> str: ...


@attrs.frozen
class Settings:
    title: str = "untitled"


class Text:
    def __init__(self, settings, numbers):
        self.settings, self.numbers = settings, numbers

    async def render(self):
        return f"{self.settings.title}: {sum(await self.numbers.all())}"


class Html(Text):
    async def render(self):
        return f"<h1>{self.settings.title}</h1>{sum(await self.numbers.all())}"


class Numbers:
    async def all(self):
        return [1, 2, 3]


class NoReport:
    pass


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("report", "reports", "things that are printed on Mondays", contract=Report)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    numbers = Need(Key.of("adapter", "numbers"))
    key = Key.of("report", "monday")
    yield Candidate(key, "text", Text, needs=[numbers], settings_class=Settings)
    yield Candidate(key, "html", Html, needs=[numbers], settings_class=Settings)
    yield Candidate(key, "wrong", NoReport)
    yield Candidate(Key.of("adapter", "numbers"), "constant", Numbers)
'''

SETTINGS = """\
[app]
plugins = ["monday_reports"]

[reports.selections]
monday = "text"

[reports.settings.monday.text]
title = "Sales"

[reports.settings.monday.html]
title = "Sales, bold"

[lifecycle.keys."report:monday"]
drain_timeout = 3.0
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a plugin's module and a file of settings."""
    (tmp_path / "monday_reports.py").write_text(PLUGIN)
    (tmp_path / "oneiric.toml").write_text(SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    import sys

    sys.modules.pop("monday_reports", None)


def test_a_seventh_domain_and_another_adapter(project, run):
    """One module and a section of settings: resolved, explained, activated, swapped, refused and rolled back."""

    async def main():
        async with assemble(project / "oneiric.toml", environment=False) as runtime:
            async with runtime.use("report", "monday") as report:
                seen = [await report.render()]
            report = await runtime.swap("report", "monday", "html")
            seen += [report.outcome, (await report.retired()).ending]
            with runtime.lease("report", "monday") as report:
                seen.append(await report.render())
            with pytest.raises(FactoryError) as error:
                await runtime.swap("report", "monday", "wrong")
            seen.append(str(error.value).splitlines()[0])
            decision = runtime.explain("report", "monday")
            seen.append([(row.candidate.provider, row.standing) for row in decision.rows])
            (project / "oneiric.toml").write_text(
                SETTINGS.replace("bold", "brave").replace('"text"', '"html"')
            )
            runtime.unpin("report", "monday")
            (changed,) = await runtime.apply(str(project / "oneiric.toml"))
            with runtime.lease("report", "monday") as report:
                seen += [changed.outcome, await report.render()]
            return seen, runtime.snapshot.domains["report"].plural

    seen, plural = run(main())
    assert seen == [
        "Sales: 6",
        "swapped",
        "closed",
        "<h1>Sales, bold</h1>6",
        "report:monday: wrong did not come up at step create: its product is no Report: NoReport lacks render",
        [("html", "selected"), ("wrong", "shadowed"), ("text", "shadowed")],
        "swapped",
        "<h1>Sales, brave</h1>6",
    ]
    assert plural == "reports"


def test_its_section_is_checked_like_any_other(project):
    """A typo in the new domain's section is an error with its line, and the nearest right name."""
    file = project / "oneiric.toml"
    file.write_text(SETTINGS.replace('title = "Sales"', 'titel = "Sales"'))
    with pytest.raises(SettingsError) as error:
        assemble(file, environment=False)
    assert "did you mean title?" in str(error.value)
    assert "oneiric.toml:8" in str(error.value)


def test_without_the_plugin_there_is_no_such_domain(project):
    """The kernel knows nothing of it."""
    (project / "oneiric.toml").write_text(SETTINGS.replace('plugins = ["monday_reports"]', ""))
    with pytest.raises(SettingsError, match="reports"):
        assemble(project / "oneiric.toml", environment=False)


# --- a plugin with a life of its own --------------------------------------------------------------------------------------


@attrs.frozen
class Every:
    seconds: float = 1.0


class Beating:
    """A plugin that is a class: it has settings, works in the background, and is closed with the runtime."""

    Settings = Every
    log: list = []

    def __init__(self, context: PluginContext):
        self.context = context
        self.log.append(("made", context.name, context.settings.seconds))

    @hookimpl
    def oneiric_domains(self):
        yield Domain("heart", "hearts")

    @hookimpl
    def oneiric_candidates(self):
        yield Candidate(Key.of("heart", "beat"), "calm", Heart, settings_class=None)

    @hookimpl
    def oneiric_started(self, host):
        host.spawn(self.beat(host), name="beating")

    @hookimpl
    async def oneiric_stopping(self, host):
        async with host.use("heart", "beat") as heart:
            self.log.append(("last", heart.beats))

    async def beat(self, host):
        try:
            while True:
                async with host.use("heart", "beat") as heart:
                    heart.beats += 1
                    self.log.append(("beat", host.clock.time()))
                await asyncio.sleep(self.context.settings.seconds)
        finally:
            self.log.append(("cancelled",))

    def close(self):
        self.log.append(("closed",))


class Heart:
    def __init__(self):
        self.beats = 0

    def health(self):
        return Health("ok", details={"beats": self.beats})

    def close(self):
        Beating.log.append(("heart closed", self.beats))


def test_a_class_has_settings_a_host_and_an_end(run):
    """Made once with its context; its task is the runtime's; it is closed last, when all it used is gone."""
    Beating.log = log = []

    async def main():
        settings = {"plugins": {"settings": {"Beating": {"seconds": 10.0}}}}
        async with assemble(settings, plugins=[Beating], environment=False) as runtime:
            await asyncio.sleep(25)
            names = runtime.status().tasks
            health = await runtime.health("heart", "beat")
        return names, dict(health.details)

    assert run(main()) == (("beating",), {"beats": 3})
    assert log == [
        ("made", "Beating", 10.0),
        ("beat", 0.0),
        ("beat", 10.0),
        ("beat", 20.0),
        ("last", 3),
        ("cancelled",),
        ("heart closed", 3),
        ("closed",),
    ]


def test_its_settings_are_checked(run):
    """What does not fit is said with the path into the file; without a table it gets the defaults."""
    Beating.log = []
    with pytest.raises(OneiricError, match=r"plugins\.settings\.Beating"):
        assemble(
            {"plugins": {"settings": {"Beating": {"second": 1.0}}}}, plugins=[Beating], environment=False
        )
    runtime = assemble({}, plugins=[Beating], environment=False)
    assert Beating.log == [("made", "Beating", 1.0)]
    asyncio.run(runtime.close())
    assert Beating.log == [("made", "Beating", 1.0), ("closed",)]


def test_a_task_of_a_plugin_that_fails_is_reported_and_nothing_else(run, caplog):
    """The runtime goes on; the log names the task."""

    class Failing:
        @hookimpl
        def oneiric_started(self, host):
            async def work():
                raise ValueError("out of order")

            host.spawn(work(), name="failing")

    async def main():
        async with assemble({}, plugins=[Failing()], environment=False) as runtime:
            await asyncio.sleep(1)
            async with runtime.use("adapter", "cache"):
                return runtime.status().tasks

    assert run(main()) == ()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "task failing failed: ValueError: out of order"
    ]


def test_a_host_that_is_not_started_says_so():
    """A plugin that uses the runtime in its own making is too early, and told."""
    told = []

    class Early:
        def __init__(self, context):
            async def work():
                pass

            for call in (
                lambda: context.host.use("adapter", "cache"),
                lambda: context.host.spawn(work(), name="w"),
            ):
                try:
                    call()
                except RuntimeClosing as error:
                    told.append(str(error).splitlines()[0])

    runtime = assemble({}, plugins=[Early], environment=False)
    assert told == ["use: the runtime is new, not running", "spawn: the runtime is new, not running"]
    asyncio.run(runtime.close())


def test_a_task_that_does_not_end_is_named_in_the_report(run):
    """Closing does not wait for it for ever."""

    async def main():
        runtime = assemble({"lifecycle": {"shutdown_timeout": 5.0}}, environment=False)
        over = asyncio.Event()

        async def stubborn():
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue

        async with runtime:
            task = runtime.spawn(stubborn(), name="stubborn")
            await asyncio.sleep(0)
        report = await runtime.close()
        over.set()
        await task.wait()
        return report.left

    assert run(main()) == ("task stubborn",)
