"""When the system has no more: threads, files, memory."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from oneiric_hookspecs import ActivationTimeout, FactoryError, HealthRejected, TooManyHung

STORE = ("adapter", "store")


def child(text, tmp_path):
    """Run *text* with this interpreter, warnings being errors; exit status, lines, errors, seconds."""
    file = tmp_path / "child.py"
    file.write_text(
        "import asyncio, os, resource, sys, threading, time\n"
        "from oneiric import assemble\n"
        "from oneiric_hookspecs import Candidate, Key, OneiricError\n" + textwrap.dedent(text)
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-u", "-W", "error", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=os.getcwd(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )
    return done.returncode, done.stdout.splitlines(), done.stderr, time.monotonic() - began


class NoThreads:
    """While it is on, the system gives no thread."""

    def __init__(self, monkeypatch):
        self.on = False
        self.refused = 0
        start = threading.Thread.start

        def refuse(thread):
            if self.on and thread.name.startswith("oneiric-"):
                self.refused += 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def no_threads(monkeypatch):
    return NoThreads(monkeypatch)


def test_no_thread_for_a_factory_is_an_error_of_that_swap(shop, run, no_threads):
    """The old one serves, nothing is left behind, and when there are threads again it works."""

    async def main():
        candidates = [shop.candidate("store", "a"), shop.candidate("store", "b", sync=True)]
        async with shop.runtime(*candidates) as runtime:
            await runtime.swap(*STORE, "a")
            no_threads.on = True
            with pytest.raises(FactoryError) as error:
                await runtime.swap(*STORE, "b")
            with runtime.lease(*STORE) as thing:
                served = thing.use()
            await asyncio.sleep(1)
            status = runtime.status()
            left = status.threads, status.of(*STORE).others
            no_threads.on = False
            report = await runtime.swap(*STORE, "b")
            return str(error.value).splitlines()[0], served, left, report.new

    assert run(main()) == (
        "adapter:store: b did not come up at step create: the system gives no thread for it: can't start new thread",
        "a",
        ((), ()),
        "b",
    )
    assert shop.faults() == []


def test_no_thread_for_an_import_is_no_reason_to_give_up_for_good(shop, run, no_threads):
    """It is not ``Permanent``: trying again helps."""

    async def main():
        from oneiric_hookspecs import Candidate, Key

        async with shop.runtime(Candidate(Key(*STORE), "a", "collections:OrderedDict")) as runtime:
            no_threads.on = True
            with pytest.raises(FactoryError, match="step load: the system gives no thread"):
                await runtime.swap(*STORE)
            no_threads.on = False
            return (await runtime.swap(*STORE)).outcome

    assert run(main()) == "activated"


def test_no_thread_for_a_probe_is_bad_health(shop, run, no_threads):
    """A check that cannot be made has not passed."""

    async def main():
        settings = {"lifecycle": {"startup_timeout": 2.0}}
        b = shop.candidate("store", "b", health=lambda thing: thing.well)
        async with shop.runtime(shop.candidate("store", "a", health=None), b, settings=settings) as runtime:
            no_threads.on = True
            with pytest.raises(HealthRejected, match="the system gives no thread"):
                await runtime.swap(*STORE, "b")
            no_threads.on = False
            return (await runtime.swap(*STORE, "b")).outcome

    assert run(main()) == "activated"
    assert shop.faults() == []


class ClosedInAThread:
    """Its close is synchronous."""

    def __init__(self, log):
        self.log = log

    def close(self):
        self.log.append("closed")


def test_what_must_be_closed_waits_for_a_thread(shop, run, no_threads):
    """A close is tried until there is a thread for it, within its time."""
    log = []

    async def main():
        from oneiric_hookspecs import Candidate, Key

        async def make():
            return ClosedInAThread(log)

        async with shop.runtime(Candidate(Key(*STORE), "a", make)) as runtime:
            await runtime.swap(*STORE)
            no_threads.on = True
            report = await runtime.swap(*STORE, reload=True)
            await asyncio.sleep(3)
            before = list(log)
            no_threads.on = False
            end = await report.retired()
            return before, end.ending, list(log)

    assert run(main()) == ([], "closed", ["closed"])
    assert log == ["closed", "closed"]


def test_what_cannot_be_closed_for_want_of_a_thread_is_said(shop, run, no_threads):
    """After the time for closing it is over, and the report says so."""
    log = []

    async def main():
        from oneiric_hookspecs import Candidate, Key

        async def make():
            return ClosedInAThread(log)

        async with shop.runtime(Candidate(Key(*STORE), "a", make)) as runtime:
            await runtime.swap(*STORE)
            no_threads.on = True
            report = await runtime.swap(*STORE, reload=True)
            end = await report.retired()
            no_threads.on = False
            return end.ending

    assert run(main()) == "close_failed"
    assert log == ["closed"]


def test_no_memory_in_a_factory_is_an_error_of_that_swap(shop, run):
    """It is told as it is, the old one serves, and the next try may work."""
    full = [True]

    def before(_):
        if full[0]:
            raise MemoryError

    async def main():
        b = shop.candidate("store", "b", before=before)
        c = shop.candidate("store", "c", before=before, sync=True)
        async with shop.runtime(shop.candidate("store", "a"), b, c) as runtime:
            await runtime.swap(*STORE, "a")
            told = []
            for provider in ("b", "c"):
                with pytest.raises(FactoryError) as error:
                    await runtime.swap(*STORE, provider)
                told.append(str(error.value).splitlines())
            full[0] = False
            return told, (await runtime.swap(*STORE, "c")).new

    told, new = run(main())
    assert told == [
        [f"adapter:store: {each} did not come up at step create: MemoryError", "  still serving: a"]
        for each in "bc"
    ]
    assert new == "c"
    assert shop.faults() == []


def test_after_eight_that_hang_it_fails_fast_until_they_come_back(shop, run):
    """Nobody starts more and more threads that never end; those made late are closed; async ones go on working."""
    leave = threading.Event()

    async def main():
        settings = {"lifecycle": {"create_timeout": 1.0}}
        hangs = [
            shop.candidate(f"h{number}", "hangs", before=lambda _: leave.wait(), sync=True)
            for number in range(9)
        ]
        well = shop.candidate("store", "sync", sync=True), shop.candidate("store", "async")
        closing = shop.candidate("other", "sync", sync=True)
        async with shop.runtime(*hangs, *well, closing, settings=settings) as runtime:
            await runtime.swap("adapter", "other")
            errors = []
            for number in range(9):
                try:
                    await runtime.swap("adapter", f"h{number}")
                except FactoryError as error:
                    raise AssertionError from error
                except (ActivationTimeout, TooManyHung) as error:
                    errors.append(type(error))
            with pytest.raises(TooManyHung, match="8 calls .* never came back\n.*\n  hung: adapter:h0#1, "):
                await runtime.swap(*STORE, "sync")
            outcome = (await runtime.swap(*STORE, "async")).outcome
            hung = len(runtime.status().threads)
            leave.set()
            while runtime.status().threads:
                await asyncio.sleep(0.01)
            again = (await runtime.swap(*STORE, "sync")).outcome
            await asyncio.sleep(1)
            return errors, outcome, hung, again

    errors, outcome, hung, again = run(main())
    assert errors == [ActivationTimeout] * 8 + [TooManyHung]
    assert (outcome, hung, again) == ("activated", 8, "swapped")
    assert len(shop.of("hangs")) == 8
    assert shop.faults() == []


def test_what_is_well_can_be_closed_while_others_hang(shop, run):
    """The limit is for what is new: a retired instance is closed, in a thread, however many hang."""
    leave, log = threading.Event(), []

    async def main():
        from oneiric_hookspecs import Candidate, Key

        async def make():
            return ClosedInAThread(log)

        settings = {"lifecycle": {"create_timeout": 1.0}}
        hangs = [
            shop.candidate(f"h{number}", "hangs", before=lambda _: leave.wait(), sync=True)
            for number in range(8)
        ]
        async with shop.runtime(*hangs, Candidate(Key(*STORE), "a", make), settings=settings) as runtime:
            await runtime.swap(*STORE)
            await asyncio.gather(
                *(runtime.swap("adapter", f"h{number}") for number in range(8)), return_exceptions=True
            )
            report = await runtime.swap(*STORE, reload=True)
            end = await report.retired()
            hung = len(runtime.status().threads)
            leave.set()
            return end.ending, hung

    assert run(main()) == ("closed", 8)
    assert shop.faults() == []


def test_threads_that_never_return_do_not_keep_the_process(tmp_path):
    """A factory, a probe and a close that hang: closing says what is left, and the interpreter ends."""
    code, out, errors, took = child(
        """
        never = threading.Event()
        class Probed:
            def health(self): never.wait()
        class Closed:
            def close(self): never.wait()
        def key(name): return Key("adapter", name)
        settings = {"lifecycle": {
            "create_timeout": 0.2, "startup_timeout": 0.2, "close_timeout": 0.2, "cancel_grace": 0.1,
            "shutdown_timeout": 3.0,
        }}
        async def main():
            runtime = assemble(settings, environment=False)
            runtime.register(
                Candidate(key("factory"), "p", never.wait),
                Candidate(key("probe"), "p", Probed),
                Candidate(key("close"), "p", Closed),
            )
            async with runtime:
                for name in ("factory", "probe", "close"):
                    try:
                        await runtime.swap("adapter", name)
                    except OneiricError as error:
                        print(type(error).__name__)
            report = await runtime.close()
            print(*sorted(each for each in report.left if each.startswith("thread")), sep=chr(10))
        asyncio.run(main())
        print("over")
        """,
        tmp_path,
    )
    assert (code, errors) == (0, "")
    assert out[:2] == ["ActivationTimeout", "HealthRejected"]
    assert out[2:-1] == [
        "thread adapter:factory#1",
        "thread close-adapter:close#1",
        "thread probe-adapter:probe#1",
    ]
    assert out[-1] == "over"
    assert took < 20


def test_no_file_descriptors(tmp_path):
    """A cache that cannot open its file is a clear error; memory serves on, and afterwards it works."""
    code, out, errors, _ = child(
        f"""
        FILE = {str(tmp_path / "cache.db")!r}
        async def main():
            settings = {{"adapters": {{"settings": {{"cache": {{"disk": {{"path": FILE}}}}}}}}}}
            async with assemble(settings, environment=False) as runtime:
                await runtime.swap("adapter", "cache", "memory")
                async with runtime.use("adapter", "cache") as cache:
                    await cache.set("name", b"value")
                _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
                taken = []
                resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
                try:
                    while True:
                        taken.append(os.open("/dev/null", os.O_RDONLY))
                except OSError as error:
                    print(error.strerror)
                for _ in range(3):
                    try:
                        await runtime.swap("adapter", "cache", "disk")
                    except OneiricError as error:
                        print(str(error).splitlines()[0].partition(": [")[0], "Too many open files" in str(error))
                    async with runtime.use("adapter", "cache") as cache:
                        print(await cache.get("name"))
                for each in taken:
                    os.close(each)
                report = await runtime.swap("adapter", "cache", "disk")
                print(report.new, (await report.retired()).ending)
                print(len(runtime.status().threads), len(runtime.status().of("adapter", "cache").others))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert (code, errors) == (0, "")
    refused = [
        "adapter:cache: disk did not come up at step create: OSError True",
        "b'value'",
    ]
    assert out == ["Too many open files", *refused * 3, "disk closed", "0 0"]


def test_no_memory_in_the_process(tmp_path):
    """A factory that asks for more than there is fails as any other; what serves goes on, and so does the process."""
    code, out, errors, _ = child(
        """
        def greedy(): return bytearray(1 << 40)
        async def greedy_too(): return bytearray(1 << 40)
        async def main():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
            async with assemble({}, environment=False) as runtime:
                runtime.register(
                    Candidate(Key("adapter", "cache"), "greedy", greedy),
                    Candidate(Key("adapter", "cache"), "greedy-too", greedy_too),
                )
                await runtime.swap("adapter", "cache", "memory")
                for provider in ("greedy", "greedy-too"):
                    try:
                        await runtime.swap("adapter", "cache", provider)
                    except OneiricError as error:
                        print(type(error).__name__, str(error).splitlines()[0])
                async with runtime.use("adapter", "cache") as cache:
                    await cache.set("name", b"value")
                    print(await cache.get("name"))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert (code, errors) == (0, "")
    assert out == [
        "FactoryError adapter:cache: greedy did not come up at step create: MemoryError",
        "FactoryError adapter:cache: greedy-too did not come up at step create: MemoryError",
        "b'value'",
    ]


def test_a_check_that_hangs_is_not_asked_again_until_it_comes_back(shop, run):
    """It holds one thread, however often its health is asked for; and others can be asked all the while."""
    leave, asked = threading.Event(), []

    def hang(_):
        asked.append(1)
        if len(asked) > 2:  # it came up, and was confirmed
            leave.wait()

    async def main():
        candidates = shop.candidate("store", "a", health=hang), shop.candidate("other", "b")
        async with shop.runtime(*candidates, settings={"lifecycle": {"confirm_timeout": 1.0}}) as runtime:
            await runtime.swap(*STORE)
            await runtime.swap("adapter", "other")
            told = [(await runtime.health(*STORE)).reason for _ in range(12)]
            other = (await runtime.health("adapter", "other")).status
            threads = runtime.status().threads
            leave.set()
            while runtime.status().threads:
                await asyncio.sleep(0.01)
            return told, other, threads, (await runtime.health(*STORE)).status

    assert run(main()) == (
        ["no answer in 1 s"] + ["its last check has not come back"] * 11,
        "ok",
        ("probe-adapter:store#1",),
        "ok",
    )
    assert shop.faults() == []
