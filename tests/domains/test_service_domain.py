"""The domain of services: at work while they are bound, watched meanwhile, and ended when they go."""

import asyncio
import logging
import threading
from contextlib import asynccontextmanager

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    FactoryError,
    Key,
    NoCandidate,
    Policies,
    Runnable,
    ServiceStatus,
    Startable,
    hookimpl,
)

from oneiric import assemble

KEY = Key.of("service", "clock")


class Diary:
    """What was done to every service of a test, in order; and how to make them."""

    def __init__(self):
        self.lines = []
        self.made = []

    def __call__(self, line):
        self.lines.append(line)

    def candidate(self, cls, name="a", *, key=KEY, **more):
        """A candidate whose services are *cls*, each with this diary."""

        async def create():
            service = cls()
            service.name, service.diary = name, self
            self.made.append(service)
            return service

        return Candidate(key, name, more.pop("factory", create), **more)


@pytest.fixture
def diary():
    return Diary()


class Runs:
    """Works until it is cancelled."""

    rounds = 0

    async def run(self):
        self.diary(f"{self.name} runs")
        try:
            while True:
                self.rounds += 1
                await asyncio.sleep(1)
        finally:
            self.diary(f"{self.name} ends")


class Asked(Runs):
    """Works until it is asked to end, and takes its time for it."""

    async def run(self):
        self.diary(f"{self.name} runs")
        self.asked = asyncio.Event()
        await self.asked.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        self.diary(f"{self.name} ends")

    def stop(self):
        self.diary(f"{self.name} is asked")
        self.asked.set()


class Starts:
    """Is started and stopped; its ``close`` is for somebody else."""

    async def start(self):
        self.diary(f"{self.name} starts")

    async def stop(self):
        self.diary(f"{self.name} stops")

    async def aclose(self):
        self.diary(f"{self.name} is closed")


class StartsInThreads:
    """The same, without a coroutine."""

    def start(self):
        assert threading.current_thread() is not threading.main_thread()
        self.diary(f"{self.name} starts")

    def stop(self):
        assert threading.current_thread() is not threading.main_thread()
        self.diary(f"{self.name} stops")


class RunsLikeAThread(Starts):
    """Has a ``run``, which is none of ours."""

    def run(self):
        self.diary("it must not be run")


class Both(Runs):
    """Is started, which takes some turns of the loop, runs, and is stopped."""

    async def start(self):
        self.diary(f"{self.name} starts")
        for _ in range(4):
            await asyncio.sleep(0)

    async def stop(self):
        self.diary(f"{self.name} stops")
        self.running.cancel()

    async def run(self):
        self.running = asyncio.current_task()
        await super().run()


class Prepares(Runs):
    """Is started, and runs until it is cancelled."""

    async def start(self):
        for _ in range(4):
            await asyncio.sleep(0)


class Fails(Runs):
    """Fails after two seconds."""

    async def run(self):
        await asyncio.sleep(2)
        raise ConnectionError("the line is dead")


class Finishes(Runs):
    """Has nothing more to do after two seconds."""

    async def run(self):
        await asyncio.sleep(2)


class Deserts(Runs):
    """Cancels itself after two seconds."""

    async def run(self):
        await asyncio.sleep(2)
        asyncio.current_task().cancel()
        await asyncio.sleep(0)


def runtime_of(*candidates, **settings):
    """An assembled runtime, and these; the last one is the winner."""
    runtime = assemble(settings, environment=False)
    runtime.register(*candidates)
    return runtime


async def status_of(runtime, name="clock"):
    return (await runtime.domain("service").status(name))[name]


# --- at work while it is bound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "lines"),
    [
        (Runs, ["a runs", "used", "a ends"]),
        (Asked, ["a runs", "used", "a is asked", "a ends"]),
        (Starts, ["a starts", "used", "a stops"]),
        (StartsInThreads, ["a starts", "used", "a stops"]),
        (RunsLikeAThread, ["a starts", "used", "a stops"]),
        (Both, ["a starts", "a runs", "used", "a stops", "a ends"]),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_it_is_at_work_from_its_activation_to_the_end(cls, lines, diary, run):
    """Each kind of service: begun before anybody gets it, ended once, all of it before the runtime is closed."""

    async def scenario():
        async with runtime_of(diary.candidate(cls)) as runtime:
            async with runtime.use(*KEY):
                diary("used")
            await asyncio.sleep(10)
            report = await runtime.close()
            return report.clean, diary.lines

    assert run(scenario) == (True, lines)


def test_users_get_the_service_itself(diary, run):
    """By every way to use it; what watches it is in nobody's way."""

    async def scenario():
        async with runtime_of(diary.candidate(Runs)) as runtime:
            handle = runtime.handle(*KEY)
            async with runtime.use(*KEY) as used:
                with runtime.lease(*KEY) as leased, handle() as held:
                    return [
                        each is diary.made[0] for each in (used, leased, held, runtime.bound(*KEY).instance)
                    ]

    assert run(scenario) == [True] * 4


def test_it_works_while_nobody_uses_it(diary, run):
    """A round a second, for as long as it is bound."""

    async def scenario():
        async with runtime_of(diary.candidate(Runs)) as runtime:
            async with runtime.use(*KEY):
                pass
            await asyncio.sleep(99.5)
            return diary.made[0].rounds

    assert run(scenario) == 100


def test_the_contract_says_what_is_a_service():
    """Protocols that can be asked; every service of these tests is one of them, or both."""
    found = [
        (isinstance(cls(), Startable), isinstance(cls(), Runnable)) for cls in (Runs, Starts, Both, object)
    ]

    assert found == [(False, True), (True, False), (True, True), (False, False)]


class OnlyStarts:
    def start(self):
        raise AssertionError("it must not be started")


class OnlyStops:
    def stop(self):
        pass


class RunsInNoLoop:
    def run(self):
        raise AssertionError("it must not be run")


class AnswersToEverything:
    def __getattr__(self, name):
        return lambda: None


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (object, "object has no run() and no start()"),
        (OnlyStarts, "OnlyStarts has start() and no stop()"),
        (OnlyStops, "OnlyStops has no run() and no start()"),
        (RunsInNoLoop, "the run() of RunsInNoLoop is not async"),
        (AnswersToEverything, "AnswersToEverything has no run() and no start()"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_no_service_is_refused(cls, reason, run):
    """Before anything of it is called; what a service must have is said."""

    async def scenario():
        async with runtime_of(Candidate(KEY, "odd", cls)) as runtime:
            with pytest.raises(FactoryError) as refused:
                async with runtime.use(*KEY):
                    pass
            return str(refused.value).splitlines()

    assert run(scenario) == [
        f"service:clock: odd did not come up at step create: its product is no service: {reason}",
        "  still serving: nothing",
        "  a service has an async run(), or start() and stop()",
    ]


def test_one_that_does_not_start_is_cleaned_up(diary, run):
    """It is not bound; it is stopped, as it may have opened something; and the status says why."""

    class Refuses(Starts):
        aclose = None

        async def start(self):
            self.diary("a starts")
            raise OSError("the port is taken")

    async def scenario():
        async with runtime_of(diary.candidate(Refuses)) as runtime:
            with pytest.raises(FactoryError, match="the port is taken"):
                async with runtime.use(*KEY):
                    pass
            await asyncio.sleep(1)
            return diary.lines, attrs.evolve(await status_of(runtime), since=None)

    assert run(scenario) == (
        ["a starts", "a stops"],
        ServiceStatus("clock", "a", "failed", None, "it did not come up: OSError: the port is taken"),
    )


class FailsAtOnce(Runs):
    async def run(self):
        raise ValueError("no configuration")


class FinishesAtOnce(Runs):
    async def run(self):
        return


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (FailsAtOnce, "its run() failed: ValueError: no configuration"),
        (FinishesAtOnce, "its run() has ended by itself"),
    ],
    ids=["fails", "finishes"],
)
def test_a_run_that_ends_in_its_first_step_has_not_come_up(cls, reason, diary, run, caplog):
    """Whoever asked for it is told, and nobody else."""

    async def scenario():
        async with runtime_of(diary.candidate(cls)) as runtime:
            with pytest.raises(FactoryError) as refused:
                async with runtime.use(*KEY):
                    pass
            return refused.value.reason, runtime.bound(*KEY)

    assert run(scenario) == (reason, None)
    assert [each for each in caplog.records if each.name == "oneiric.services"] == []


def test_it_runs_with_the_settings_of_a_file(tmp_path, run):
    """As every part: selected, configured, built."""

    @attrs.frozen
    class Settings:
        every: float = 60.0

    class Configured:
        def __init__(self, settings):
            self.settings, self.rounds = settings, 0

        async def run(self):
            while True:
                self.rounds += 1
                await asyncio.sleep(self.settings.every)

        def status(self):
            return {"rounds": self.rounds, "every": self.settings.every}

    path = tmp_path / "oneiric.toml"
    path.write_text('[services.selections]\nclock = "slow"\n[services.settings.clock.slow]\nevery = 5\n')

    class Kit:
        @hookimpl
        def oneiric_candidates(self):
            for provider in ("slow", "other"):
                yield Candidate(KEY, provider, Configured, settings_class=Settings)

    async def scenario():
        async with assemble(path, plugins=[Kit()], environment=False) as runtime:
            async with runtime.use(*KEY):
                await asyncio.sleep(11)
            status = await status_of(runtime)
            return status.provider, status.state, status.report

    assert run(scenario) == ("slow", "running", {"rounds": 3, "every": 5.0})


# --- watched while it is bound -----------------------------------------------------------------------------------------

ENDS = [
    (Fails, "its run() failed: ConnectionError: the line is dead"),
    (Finishes, "its run() has ended by itself"),
    (Deserts, "its run() was cancelled, and nobody had asked for that"),
]


@pytest.mark.parametrize(("cls", "failure"), ENDS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_run_that_ends_while_it_is_bound_is_a_failure(cls, failure, diary, run, caplog):
    """Said once in the log; failed in the domain's status, in its health, and in the runtime's status."""

    async def scenario():
        async with runtime_of(diary.candidate(cls)) as runtime:
            async with runtime.use(*KEY):
                pass
            before = (await status_of(runtime)).state
            began = runtime.bound(*KEY).since
            await asyncio.sleep(5)
            seen = runtime.status().of(*KEY)
            health = await runtime.health(*KEY)
            status = await status_of(runtime)
            return (
                before,
                (status.provider, status.state, status.since - began, status.error, status.report),
                (seen.phase, seen.bound.health.status, seen.bound.health.reason),
                (health.status, health.reason),
            )

    assert run(scenario) == (
        "running",
        ("a", "failed", 2.0, failure, None),
        ("ready", "failed", failure),
        ("failed", failure),
    )
    said = [each for each in caplog.records if each.name == "oneiric.services"]
    assert [(each.levelno, each.getMessage()) for each in said] == [
        (logging.ERROR, f"service clock (a): {failure}")
    ]


@pytest.mark.parametrize(("cls", "failure"), ENDS, ids=lambda each: getattr(each, "__name__", ""))
def test_one_that_has_failed_closes_well(cls, failure, diary, run):
    """What it raised was said; it is asked nothing more."""

    class WithStop(cls):
        def stop(self):
            diary("asked")

    async def scenario():
        async with runtime_of(diary.candidate(WithStop)) as runtime:
            async with runtime.use(*KEY):
                await asyncio.sleep(5)
            report = await runtime.close()
            return report.clean, diary.lines

    assert run(scenario) == (True, [])


def test_what_was_started_is_stopped_also_where_its_run_has_failed(diary, run):
    """``stop()`` belongs to ``start()``."""

    class StartsAndFails(Fails):
        async def start(self):
            diary("starts")

        async def stop(self):
            diary("stops")

    async def scenario():
        async with runtime_of(diary.candidate(StartsAndFails)) as runtime:
            async with runtime.use(*KEY):
                await asyncio.sleep(5)
        return diary.lines

    assert run(scenario) == ["starts", "stops"]


def test_while_it_runs_its_own_health_counts(diary, run):
    """The domain adds a reason to fail, and takes none away."""

    class Ill(Fails):
        well = True

        def health(self):
            return self.well

    async def scenario():
        async with runtime_of(diary.candidate(Ill)) as runtime:
            async with runtime.use(*KEY):
                first = (await runtime.health(*KEY)).status
                diary.made[0].well = False
                second = (await runtime.health(*KEY)).reason
                diary.made[0].well = True
                await asyncio.sleep(5)
                return first, second, (await runtime.health(*KEY)).reason

    assert run(scenario) == (
        "ok",
        "its check answers no",
        "its run() failed: ConnectionError: the line is dead",
    )


# --- swaps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "mode", "lines"),
    [
        (Asked, "overlap", ["a runs", "b runs", "a is asked", "a ends"]),
        (Asked, "exclusive", ["a runs", "a is asked", "a ends", "b runs"]),
        (Runs, "overlap", ["a runs", "b runs", "a ends"]),
        (Starts, "overlap", ["a starts", "b starts", "a stops"]),
        (Starts, "exclusive", ["a starts", "a stops", "b starts"]),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_which_one_is_at_work_in_a_swap(cls, mode, lines, diary, run):
    """The new one before the old one is asked to end; where they cannot overlap, after it has ended."""
    policies = Policies(mode=mode)

    async def scenario():
        two = [diary.candidate(cls, name, policies=policies) for name in "ba"]
        async with runtime_of(*two) as runtime:
            async with runtime.use(*KEY):
                pass
            report = await runtime.swap(*KEY, "b")
            await report.retired()
            return diary.lines[:]

    assert run(scenario) == lines


def test_a_swap_to_one_that_does_not_come_up_changes_nothing(diary, run):
    """The old one runs on."""

    async def scenario():
        async with runtime_of(diary.candidate(FailsAtOnce, "b"), diary.candidate(Runs)) as runtime:
            async with runtime.use(*KEY):
                pass
            with pytest.raises(FactoryError):
                await runtime.swap(*KEY, "b")
            await asyncio.sleep(9.5)
            status = await status_of(runtime)
            return status.provider, status.state, diary.made[0].rounds

    assert run(scenario) == ("a", "running", 10)


def test_one_that_fails_on_probation_is_rolled_back(diary, run):
    """The old one has been at work all the time; the new one is gone."""

    async def scenario():
        two = diary.candidate(Fails, "b"), diary.candidate(Runs)
        async with runtime_of(*two, lifecycle={"probation": 60, "probe_interval": 1}) as runtime:
            async with runtime.use(*KEY):
                pass
            await runtime.swap(*KEY, "b")
            await asyncio.sleep(59.5)
            status = await status_of(runtime)
            slot = runtime.status().of(*KEY)
            return status.provider, status.state, slot.rollbacks, diary.made[0].rounds

    assert run(scenario) == ("a", "running", 1, 60)


def test_a_spare_that_fails_says_nothing_about_what_serves(diary, run, caplog):
    """It is said in the log; the health of the one that is bound stays its own."""

    async def scenario():
        two = diary.candidate(Runs, "b"), diary.candidate(Fails)
        async with runtime_of(*two, lifecycle={"probation": 60, "probe_interval": 100}) as runtime:
            async with runtime.use(*KEY):
                pass
            await runtime.swap(*KEY, "b")
            await asyncio.sleep(10)
            return (await status_of(runtime)).state, runtime.status().of(*KEY).bound.health.status

    assert run(scenario) == ("running", "ok")
    assert [each.getMessage() for each in caplog.records if each.name == "oneiric.services"] == [
        "service clock (a): its run() failed: ConnectionError: the line is dead"
    ]


# --- ended when it goes --------------------------------------------------------------------------------------------------


class HangsInStop(Runs):
    async def stop(self):
        await asyncio.sleep(1e6)


class IgnoresStop(Runs):
    async def stop(self):
        pass


class RaisesInStop(Runs):
    async def stop(self):
        raise OSError("cannot stop")


class RaisesWhenCancelled(Runs):
    async def run(self):
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            self.diary("a ends")
            raise OSError("cannot save") from None


class IgnoresCancellation(Runs):
    async def run(self):
        until = asyncio.get_running_loop().time() + 1000
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                self.diary("no")
        self.diary("a ends")


TOO_LONG = "closing it took longer than 10 s, or cancelled itself"


@pytest.mark.parametrize(
    ("cls", "ending", "error", "seconds"),
    [
        (HangsInStop, "close_failed", TOO_LONG, 10),
        (IgnoresStop, "close_failed", TOO_LONG, 10),
        (RaisesInStop, "close_failed", "OSError: cannot stop", 0),
        (RaisesWhenCancelled, "close_failed", "OSError: cannot save", 0),
        (
            IgnoresCancellation,
            "abandoned",
            "closing it takes longer than 10 s, and does not end when cancelled",
            12,
        ),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_it_is_ended_within_the_limits(cls, ending, error, seconds, diary, run, clock):
    """However it is asked, and whatever it answers: the swap stands, and its end is in the report."""

    async def scenario():
        two = diary.candidate(Runs, "b"), diary.candidate(cls)
        async with runtime_of(*two) as runtime:
            async with runtime.use(*KEY):
                await asyncio.sleep(1)
            began = clock.time()
            report = await runtime.swap(*KEY, "b")
            retirement = await report.retired()
            took = clock.time() - began
            ended = "a ends" in diary.lines
            await asyncio.sleep(2000)
            return retirement.ending, retirement.error, round(took, 3), ended, "a ends" in diary.lines

    assert run(scenario) == (ending, error, seconds, ending != "abandoned", True)


def test_one_object_for_two_is_one_service(diary, run):
    """A factory that hands out the same one twice: it runs once, until its last user is gone."""
    service = Runs()
    service.name, service.diary = "it", diary
    other = Key.of("service", "other")

    async def create():
        return service

    async def scenario():
        two = diary.candidate(Runs, "b"), diary.candidate(Runs, "a", factory=create)
        async with runtime_of(*two, Candidate(other, "a", create)) as runtime:
            async with runtime.use(*KEY), runtime.use(*other):
                pass
            report = await runtime.swap(*KEY, "b")
            await report.retired()
            between = diary.lines[:]
            await runtime.close()
            return between, sorted(diary.lines)

    assert run(scenario) == (["it runs", "b runs"], ["b ends", "b runs", "it ends", "it runs"])


def test_a_context_manager_starts_and_ends_itself(diary, run):
    """What it gives is run inside of it; ``start`` and ``stop`` are its own affair."""

    class Itself(Starts):
        async def __aenter__(self):
            diary("opened")
            return self

        async def __aexit__(self, *_):
            diary("left")

    @asynccontextmanager
    async def create():
        diary("opened")
        service = Runs()
        service.name, service.diary = "it", diary
        service.start = lambda: diary("started")
        try:
            yield service
        finally:
            diary("left")

    async def plain():
        diary("opened")
        yield "anything that was started here"
        diary("left")

    async def scenario(factory):
        diary.lines.clear()
        async with runtime_of(Candidate(KEY, "a", factory)) as runtime:
            async with runtime.use(*KEY):
                diary("used")
            return await runtime.close(), (await asyncio.sleep(0, diary.lines[:]))

    first, lines = run(scenario(create))
    second, more = run(scenario(plain))
    third, own = run(scenario(Itself))
    assert (third.clean, own) == (True, ["opened", "used", "left"])
    assert (first.clean, lines) == (True, ["opened", "it runs", "used", "it ends", "left"])
    assert (second.clean, more) == (True, ["opened", "used", "left"])


def test_the_close_of_the_candidate_stands_for_stop(diary, run):
    """Where there is no ``run()``; else it is called when that has ended."""

    def close(service):
        diary(f"{service.name} is let go")

    async def scenario(cls):
        diary.lines.clear()
        async with runtime_of(diary.candidate(cls, close=close)) as runtime:
            async with runtime.use(*KEY):
                pass
            await runtime.close()
            return diary.lines[:]

    assert run(scenario(Starts)) == ["a starts", "a is let go"]
    assert run(scenario(Runs)) == ["a runs", "a ends", "a is let go"]
    assert run(scenario(Asked)) == ["a runs", "a is asked", "a ends", "a is let go"]


def test_one_that_is_not_ours_is_left_alone(diary, run):
    """It was started by whoever brings it, and is ended by him."""
    service = Starts()
    service.name, service.diary = "it", diary

    async def scenario():
        async with runtime_of(Candidate.ready(KEY, "theirs", service)) as runtime:
            async with runtime.use(*KEY):
                status = await status_of(runtime)
            return status.provider, status.state, diary.lines

    assert run(scenario) == ("theirs", "running", [])


@pytest.mark.parametrize("cls", [Asked, Both, Prepares], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("what", ["activation", "swap", "exclusive", "close"])
def test_cut_after_every_step_nothing_goes_on(cls, what, diary, run):
    """An activation, a swap, the end: cancelled after each step of the loop; what began has ended, once."""

    async def act(runtime):
        if what == "activation":
            async with runtime.use(*KEY):
                pass
        elif what == "close":
            await runtime.close()
        else:
            await runtime.swap(*KEY, "b")

    async def scenario(steps):
        diary.lines.clear()
        policies = Policies(mode="exclusive" if what == "exclusive" else "overlap")
        runtime = runtime_of(*(diary.candidate(cls, name, policies=policies) for name in "ba"))
        async with runtime:
            if what != "activation":
                async with runtime.use(*KEY):
                    pass
            acting = asyncio.ensure_future(act(runtime))
            for _ in range(steps):
                await asyncio.sleep(0)
            done = acting.done()
            acting.cancel()
            await asyncio.wait({acting})
            if what != "close":
                async with runtime.use(*KEY) as service:  # and it still works
                    assert service is runtime.bound(*KEY).instance
        begun = sorted(line[0] for line in diary.lines if line.endswith(" runs"))
        ended = sorted(line[0] for line in diary.lines if line.endswith(" ends"))
        running = [each.get_name() for each in asyncio.all_tasks() if each.get_name().startswith("run ")]
        return done, begun == ended, running

    async def main():
        steps, done = 0, False
        while not done:
            done, *found = await scenario(steps)
            assert found == [True, []], f"after {steps} steps"
            steps += 1
            assert steps < 300
        return steps

    assert run(main, timeout=120) > 2


# --- its status ------------------------------------------------------------------------------------------------------------


def test_the_status_of_all(diary, run):
    """One that runs, one that was ended, one that nobody has asked for, and one that nobody fills."""
    names = ("idle", "ended", "nobody", "works")
    keys = {name: Key.of("service", name) for name in names}

    async def scenario():
        runtime = runtime_of(
            *(diary.candidate(Runs, key=keys[name]) for name in ("idle", "ended", "works")),
            diary.candidate(Runs, key=keys["nobody"], platforms=["cp/m"]),
        )
        async with runtime:
            async with runtime.use(*keys["works"]), runtime.use(*keys["ended"]):
                await asyncio.sleep(3)
            face = runtime.domain("service")
            running = await face.status("ended")
            await runtime.close()
            return running

    async def open_one():
        async with runtime_of(
            diary.candidate(Runs, key=keys["idle"]),
            diary.candidate(Runs, key=keys["works"]),
            diary.candidate(Runs, key=keys["nobody"], platforms=["cp/m"]),
        ) as runtime:
            async with runtime.use(*keys["works"]):
                since = runtime.bound(*keys["works"]).since
            return since, await runtime.domain("service").status()

    assert [each.state for each in run(scenario).values()] == ["running"]
    since, found = run(open_one)
    why = found["nobody"].error
    assert found == {
        "idle": ServiceStatus("idle", "a", "not_bound"),
        "nobody": ServiceStatus("nobody", None, "not_bound", None, why),
        "works": ServiceStatus("works", "a", "running", since),
    }
    assert why.startswith("no candidate fills service:nobody")


class Once(Runs):
    """Cannot be started a second time; fails after two seconds, where it is told to."""

    def __init__(self):
        self.begun, self.fails = 0, False

    async def run(self):
        self.begun += 1
        if self.begun > 1:
            raise OSError("only once")
        await (Fails.run(self) if self.fails else super().run())


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (False, ServiceStatus("clock", "a", "stopped", 7.0)),
        (
            True,
            ServiceStatus("clock", "a", "failed", 2.0, "its run() failed: ConnectionError: the line is dead"),
        ),
    ],
    ids=["well", "failed"],
)
def test_one_that_was_ended_is_not_merely_one_that_nobody_has_asked_for(fails, expected, diary, run, clock):
    """It is stopped, since then; or has failed, since that."""
    began = clock.time()
    service = Once()
    service.name, service.diary, service.fails = "a", diary, fails

    async def create():
        return service

    class Watches:
        """Looks at the moment in which the old one has been closed, and nothing else is bound."""

        @hookimpl
        async def oneiric_check_candidate(self, candidate):
            self.asked = candidate

        @hookimpl
        async def oneiric_retired(self):
            seen.append(await runtime.domain("service").status("clock"))

    class Slowly(Runs):
        async def start(self):
            await asyncio.sleep(5)

        async def stop(self):
            self.diary("asked")

    seen = []
    policies = Policies(mode="exclusive")
    runtime = assemble({}, plugins=[Watches()], environment=False)
    runtime.register(
        diary.candidate(Slowly, "b", policies=policies),
        diary.candidate(Once, factory=create, policies=policies),
    )

    async def scenario():
        async with runtime:
            async with runtime.use(*KEY):
                await asyncio.sleep(7)
            swapping = asyncio.ensure_future(runtime.swap(*KEY, "b"))
            await asyncio.sleep(1)
            swapping.cancel()
            await asyncio.wait({swapping})
            return attrs.evolve(seen[0]["clock"], since=seen[0]["clock"].since - began)

    assert run(scenario) == expected


async def slow():
    await asyncio.sleep(3)


async def raises():
    raise KeyError("gone")


@pytest.mark.parametrize(
    ("status", "report", "error"),
    [
        (lambda: {"seen": 5}, {"seen": 5}, ""),
        (lambda: Key.of("a", "b"), "a:b", ""),
        (slow, None, "its status() took longer than 1 s"),
        (raises, None, "its status() failed: KeyError: 'gone'"),
        (lambda: object(), None, "its status() failed: TypeError: a object is not plain data"),
        (
            lambda: {"load": float("nan")},
            None,
            "its status() failed: ValueError: Out of range float values are not JSON compliant",
        ),
    ],
    ids=["plain", "made plain", "slow", "raises", "no data", "no JSON"],
)
def test_what_it_says_of_itself(status, report, error, diary, run):
    """Plain data, in time; else why not, and that does no harm to it: it still runs, and no use of it has failed."""

    class Speaks(Runs):
        def __init__(self):
            self.status = status

    async def scenario():
        async with runtime_of(diary.candidate(Speaks), lifecycle={"probation": 30}) as runtime:
            async with runtime.use(*KEY):
                pass
            found = await status_of(runtime)
            with runtime.lease(*KEY) as _:
                pass
            return found.state, found.report, found.error.partition(": nan")[0]

    assert run(scenario) == ("running", report, error)


def test_there_is_no_such_service(diary, run):
    """The nearest name is offered."""

    async def scenario():
        async with runtime_of(diary.candidate(Runs)) as runtime:
            with pytest.raises(NoCandidate) as refused:
                await runtime.domain("service").status("clokc")
            return str(refused.value).splitlines()

    assert run(scenario)[:2] == ["no candidate fills service:clokc", "  did you mean service:clock?"]
