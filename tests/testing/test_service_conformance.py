"""``ServiceConformance``: services that keep their promises pass, and each promise that is broken is found."""

import asyncio
import threading

import pytest

from oneiric.testing import run_virtual
from oneiric.testing.services import ServiceConformance

PROMISES = [name for name in vars(ServiceConformance) if name.startswith("test_")]


class Runs:
    """Until it is cancelled."""

    async def run(self):
        while True:
            await asyncio.sleep(0.01)

    def status(self):
        return {"well": True}


class Asked:
    """Until it is asked to end; it can be cancelled, too."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def run(self):
        await self.asked.wait()

    async def stop(self):
        self.asked.set()

    async def status(self):
        return ["well"]


class Starts:
    """Works in a thread of its own."""

    def start(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.over.wait, name="works")
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join()


class All(Asked):
    """Is started, run and stopped."""

    async def start(self):
        self.started = True

    async def run(self):
        assert self.started
        await super().run()


def suite_of(cls, **attributes):
    """A suite of services that are *cls*, in virtual time."""

    class Suite(ServiceConformance):
        async def open(self):
            return cls()

        def run(self, main):
            run_virtual(main)

    for name, value in attributes.items():
        setattr(Suite, name, value)
    return Suite()


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("cls", [Runs, Asked, Starts, All], ids=lambda cls: cls.__name__)
def test_services_that_keep_them(cls, promise):
    """Every kind of service, every promise."""
    getattr(suite_of(cls), promise)()


class Nothing:
    async def stop(self):
        pass

    async def start(self):
        pass

    start = None


class RunsInNoLoop:
    def run(self):
        pass


class Finishes:
    async def run(self):
        await asyncio.sleep(0.02)


class FailsAtOnce:
    async def run(self):
        raise OSError("no")


class NeverStarts(Starts):
    async def start(self):
        await asyncio.sleep(100)


class NeverStops(Runs):
    async def stop(self):
        await asyncio.sleep(100)


class IgnoresStop(Runs):
    def stop(self):
        pass


class IgnoresCancellation:
    async def run(self):
        until = asyncio.get_running_loop().time() + 50
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue


class RaisesWhenCancelled(Asked):
    async def run(self):
        try:
            await super().run()
        except asyncio.CancelledError:
            raise OSError("cannot save") from None


class Once(Runs):
    begun = 0

    async def run(self):
        type(self).begun += 1
        if self.begun > 1:
            raise OSError("the port is taken")
        await super().run()


class Alone(Runs):
    there = 0

    async def run(self):
        if self.there:
            raise OSError("the port is taken")
        type(self).there += 1
        try:
            await super().run()
        finally:
            type(self).there -= 1


class Odd(Runs):
    def status(self):
        return {"well": self}


class Slow(Runs):
    async def status(self):
        await asyncio.sleep(100)


class Untidy(Starts):
    def start(self):
        pass

    def stop(self):
        thread = threading.Thread(target=threading.Event().wait, args=(0.3,), name="forgotten")
        thread.start()


class Litters(Starts):
    async def start(self):
        self.task = asyncio.ensure_future(asyncio.sleep(0.2))
        self.task.set_name("forgotten")

    async def stop(self):
        pass


BROKEN = [
    (Nothing, "test_it_is_one", "it has neither run() nor start() and stop()"),
    (RunsInNoLoop, "test_it_is_one", "its run() is not async"),
    (Finishes, "test_it_works_until_it_is_asked_to_end", "its run() has ended by itself"),
    (FailsAtOnce, "test_it_is_ended_at_once", "no"),
    (NeverStarts, "test_it_is_ended_at_once", "its start() takes longer than 5 s"),
    (NeverStops, "test_it_is_ended_at_once", "its stop() takes longer than 5 s"),
    (IgnoresStop, "test_it_is_ended_at_once", "its run() goes on, 5 s after stop()"),
    (
        IgnoresCancellation,
        "test_it_works_until_it_is_asked_to_end",
        "its run() goes on, 5 s after cancelling it",
    ),
    (IgnoresCancellation, "test_run_can_be_cancelled", "its run() goes on, 5 s after it was cancelled"),
    (RaisesWhenCancelled, "test_run_can_be_cancelled", "cannot save"),
    (Once, "test_it_can_be_started_again", "the port is taken"),
    (Alone, "test_another_one_works_beside_it", "the port is taken"),
    (Odd, "test_its_status_is_plain", "Object of type Odd is not JSON serializable"),
    (Slow, "test_its_status_is_plain", "its status() takes longer than 5 s"),
    (Untidy, "test_it_leaves_nothing", "it has left thread forgotten"),
    (Litters, "test_it_leaves_nothing", "it has left task forgotten"),
]


@pytest.mark.parametrize(("cls", "promise", "said"), BROKEN, ids=lambda each: getattr(each, "__name__", None))
def test_services_that_break_one(cls, promise, said):
    """Each is found by the promise that it breaks."""
    with pytest.raises(Exception, match=".") as found:
        getattr(suite_of(cls), promise)()

    assert said in str(found.value)


def test_one_that_cannot_overlap_need_not():
    """It says so, and passes."""
    suite_of(Alone, overlaps=False).test_another_one_works_beside_it()


def test_there_is_something_broken_for_each_promise():
    """None of them is a promise that cannot be broken."""
    assert {promise for _, promise, _ in BROKEN} == set(PROMISES)
