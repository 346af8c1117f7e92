"""Probing on schedule: who is asked when, never twice at once, and whatever a check does."""

import asyncio
import threading
import time

import pytest
from oneiric_hookspecs import Candidate, Key, hookimpl

from oneiric.testing.supervised import DB, Living, Part, given


class Nasty(BaseException):
    """What no handler of exceptions expects."""


async def after(seconds):
    await asyncio.sleep(seconds)


class Clocked(Part):
    """Knows when it was asked."""

    def __init__(self):
        super().__init__()
        self.at = []

    async def health(self):
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        return await super().health()


@pytest.mark.parametrize(
    ("drawn", "times"),
    [(0.0, [0, 9, 18, 27]), (0.5, [5, 15, 25]), (1.0, [10, 21])],
    ids=["least", "middle", "most"],
)
def test_first_at_some_phase_then_within_a_tenth(run, supervised, drawn, times):
    """First at any time within the interval, then every ten seconds, a tenth more or less."""

    async def main():
        part = Clocked()
        async with supervised("", given(DB, part), draw=lambda: drawn) as it:
            await it.use(DB)
            began, known = asyncio.get_running_loop().time(), len(part.at)
            await after(30)
            return [at - began for at in part.at[known:]]

    assert run(main) == times


def test_the_interval_of_a_key_and_other_settings(run, supervised):
    """``probe_interval`` of the key counts, and another one as soon as the settings are others."""

    async def main():
        part = Clocked()
        text = '[lifecycle.keys."adapter:db"]\nprobe_interval = 2.0\n'
        async with supervised(text, given(DB, part)) as it:
            await it.use(DB)
            known = len(part.at)
            await after(10.5)
            often = len(part.at) - known
            await it.runtime.apply({"lifecycle": {"probe_interval": 20.0}})
            await after(100)
            return often, len(part.at) - known - often

    # 1, 3, 5, 7, 9; then 11 is due already, and 31, 51, 71, 91.
    assert run(main) == (5, 5)


def test_a_thousand_parts(run, supervised):
    """All are asked in every interval, spread; none twice at once, and no more than ``max_probes`` together."""
    at_once = most = 0
    counts = {}

    class Slow:
        def __init__(self, number):
            self.number = number
            self.busy = False

        async def health(self):
            nonlocal at_once, most
            assert not self.busy
            self.busy, at_once = True, at_once + 1
            most = max(most, at_once)
            await asyncio.sleep(0.3)
            counts[self.number] = counts.get(self.number, 0) + 1
            self.busy, at_once = False, at_once - 1

    keys = [Key.of("adapter", f"p{number}") for number in range(1000)]
    drawn = iter(range(10**9))

    async def main():
        nonlocal most
        candidates = [given(key, Slow(number)) for number, key in enumerate(keys)]
        text = '[lifecycle]\nmax_probes = 40\nmax_activations = 1000\n[orchestrate]\nstart = ["*"]\n'
        async with supervised(text, *candidates, draw=lambda: next(drawn) * 0.618 % 1) as it:
            await after(25)  # they have come up, which asks them too
            counts.clear()
            most = 0
            await after(30)
            return min(counts.values()), max(counts.values()), most, it.supervision.summary().status

    least, greatest, together, status = run(main)
    assert (least >= 2, greatest <= 4, together <= 40, status) == (True, True, True, "ok")


def test_never_two_of_one_at_once(run, supervised):
    """Whoever asks out of turn joins the round that is under way."""
    at_once = most = 0

    async def slowly(_):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.5)
        at_once -= 1

    async def main():
        async with supervised(
            "[lifecycle]\nprobe_interval = 0.1\n", given(DB, object(), health=slowly)
        ) as it:
            await it.use(DB)
            await asyncio.gather(*(it.supervision.probe(DB) for _ in range(20)), after(5))
            return most

    assert run(main) == 1


def test_asked_now(run, supervised):
    """``probe`` asks what is bound, all of it or what is named, and gives the answers; they count like any others."""

    async def main():
        part, other = Part(health=[True, True, False]), Part()
        web = Key.of("adapter", "web")
        async with supervised("[health]\nfailure = 1\n", given(DB, part), given(web, other)) as it:
            await it.use(DB)
            before = await it.supervision.probe(web)
            found = await it.supervision.probe()
            return (
                before[web].reason,
                {str(key): each.status for key, each in found.items()},
                it.of(DB).health.status,
            )

    assert run(main) == ("nothing is bound", {"adapter:db": "failed"}, "failed")


def test_asking_for_what_is_not_there(run, supervised):
    """A key that nobody fills is said so."""

    async def main():
        async with supervised("", given(DB, Part())) as it:
            with pytest.raises(Exception, match="no candidate fills adapter:bd") as caught:
                await it.supervision.probe(Key.of("adapter", "bd"))
            return type(caught.value).__name__

    assert run(main) == "NoCandidate"


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (KeyError("x"), "failed", "KeyError: 'x'"),
        (Nasty("x"), "failed", "Nasty: x"),
        (asyncio.CancelledError(), "failed", "its check cancelled itself"),
        ("fine", "unknown", "its check answers 'fine', which says nothing about health"),
        ({"status": "ok", "x": object()}, "ok", ""),
    ],
    ids=["raises", "raises-worse", "cancels-itself", "babbles", "says-more"],
)
def test_whatever_a_check_does(run, supervised, answer, status, reason):
    """It counts as an answer, and the rounds go on: a good answer afterwards is heard."""

    async def main():
        part = Part(health=[True, True, answer, True])
        async with supervised("[health]\nfailure = 1\n", given(DB, part)) as it:
            await it.use(DB)
            await after(6)
            during = it.of(DB).health
            await after(10)
            return during.status, during.reason, it.of(DB).health.status

    assert run(main) == (status, reason, "ok")


@pytest.mark.parametrize("error", [KeyError("x"), Nasty("x")], ids=["error", "worse"])
def test_whatever_a_prober_does(run, supervised, error):
    """A plugin that raises when it is to say what to ask ends no round but its own; the others are asked."""

    class Prober:
        on = False

        @hookimpl
        def oneiric_probe(self, generation, kind):
            if self.on and generation.key == DB:
                raise error

    async def main():
        prober, web = Prober(), Key.of("adapter", "web")
        parts = Part(), Part()
        async with supervised("", given(DB, parts[0]), given(web, parts[1]), plugins=[prober]) as it:
            for key in (DB, web):
                await it.use(key)
            prober.on = True
            asked = parts[1].asked
            await after(100)
            prober.on = False
            await after(20)
            return parts[1].asked - asked, it.of(DB).health.status, it.of(DB).stale

    assert run(main) == (12, "ok", False)


def test_one_that_hangs_is_failed_in_time(run, supervised):
    """No answer in ``[health] timeout`` is a bad answer; the rounds of others go on at their times."""

    class Hangs(Part):
        hangs = False

        async def health(self):
            while self.hangs:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    continue
            return True

    async def main():
        web = Key.of("adapter", "web")
        hung, other = Hangs(), Part()
        async with supervised(
            "[health]\ntimeout = 2.0\nfailure = 1\n", given(DB, hung), given(web, other)
        ) as it:
            await it.use(DB)
            await it.use(web)
            hung.hangs = True
            asked = other.asked
            await after(30)
            health = it.of(DB).health
            hung.hangs = False
            for task in asyncio.all_tasks():
                if task.get_name().startswith("probe <adapter:db"):
                    task.cancel()
            return health.status, health.reason, other.asked - asked

    assert run(main) == ("failed", "no answer in 2 s", 3)


def test_one_that_blocks_its_thread(run, supervised):
    """A synchronous check that does not come back is failed; its thread is not joined by a second one."""
    release = threading.Event()
    threads = []

    class Blocks:
        blocks = False

        def health(self):
            if self.blocks:
                threads.append(threading.current_thread())
                release.wait(20)
            return True

    async def main():
        part = Blocks()
        async with supervised("[health]\nfailure = 1\n", given(DB, part)) as it:
            await it.use(DB)
            part.blocks = True
            await after(50)
            told = it.of(DB).health, len(threads)
            member = it.supervision.summary("all").members[Key.of("runtime", "threads")]
            release.set()
            part.blocks = False
            while threads[0].is_alive():
                time.sleep(0.001)
            await after(20)
            return told[0].status, told[0].reason, told[1], member.status, it.of(DB).health.status

    assert run(main) == ("failed", "its last check has not come back", 1, "degraded", "ok")


def test_nothing_is_left(run, supervised):
    """After ``stop`` nobody is asked any more, and no task is left; what is under way is cancelled."""

    async def main():
        part = Part()
        candidate = given(DB, part, health=lambda _: asyncio.sleep(0.9))
        async with supervised("[lifecycle]\nprobe_interval = 1.0\n", candidate) as it:
            await it.use(DB)
            await after(0.7)
            under_way = [task.get_name() for task in asyncio.all_tasks()]
            await it.supervision.stop()
            await it.supervision.stop()
            left = [task.get_name() for task in asyncio.all_tasks()]
            return "ask adapter:db" in under_way, [
                name for name in left if "db" in name and "host" not in name
            ]

    assert run(main) == (True, [])


def test_closing_the_runtime_ends_it(run, supervised):
    """Whoever closes the runtime without a word has ended supervision, too; in time, and with nothing left."""

    async def main():
        async with supervised("", given(DB, Part())) as it:
            await it.use(DB)
            await after(7)
            began = asyncio.get_running_loop().time()
            report = await it.runtime.close()
            return report.clean, asyncio.get_running_loop().time() - began

    assert run(main) == (True, 0)


def test_a_probe_keeps_nothing_open(run, supervised):
    """A probe is no lease: what is swapped while it is asked is closed at once."""

    async def main():
        part, closed = Living(liveness=True), []
        candidate = given(
            DB, part, "old", health=lambda _: asyncio.sleep(0.9), close=lambda _: closed.append(1)
        )
        async with supervised("[lifecycle]\nprobe_interval = 1.0\n", candidate) as it:
            await it.use(DB)
            it.runtime.register(given(DB, Part(), "new"))
            await after(0.7)
            began = asyncio.get_running_loop().time()
            report = await it.runtime.swap(*DB, "new")
            await report.retired()
            return closed, asyncio.get_running_loop().time() - began < 0.1, it.of(DB).health.status

    assert run(main) == ([1], True, "ok")


def test_new_parts_are_found(run, supervised):
    """What comes to be bound while it runs is asked, and what goes is forgotten."""

    async def main():
        part = Clocked()
        async with supervised("") as it:
            await after(50)
            it.runtime.register(Candidate(DB, "it", lambda: part))
            await it.use(DB)
            known = len(part.at)
            await after(20)
            return len(part.at) - known

    assert run(main) == 2


def test_no_more_together_than_the_settings_say(run, supervised):
    """Although all are asked in one instant: the others wait for their turn, and each is asked."""
    at_once = most = 0

    class Slow:
        async def health(self):
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.1)
            at_once -= 1

    keys = [Key.of("adapter", f"p{number}") for number in range(9)]

    async def main():
        nonlocal most
        async with supervised(
            "[lifecycle]\nmax_probes = 3\nprobe_interval = 1000.0\n", *(given(key, Slow()) for key in keys)
        ) as it:
            for key in keys:
                await it.use(key)
            most = 0
            answers = await it.supervision.probe()
            return most, [each.status for each in answers.values()]

    assert run(main) == (3, ["ok"] * 9)
