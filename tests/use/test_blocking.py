"""The runtime for scripts and threads."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from oneiric_hookspecs import (
    Closed,
    Empty,
    FactoryError,
    RolledBack,
    RuntimeClosing,
    SelectionUnsatisfied,
    WrongThread,
)

from oneiric import assemble

STORE, LEDGER = ("adapter", "store"), ("adapter", "ledger")


def script(text, *, timeout=60.0, interrupt_at=None):
    """Run *text* with this interpreter; exit status, output, errors and how long it took.

    Where a line of its output is *interrupt_at*, it gets the signal of a Ctrl-C.
    """
    code = "import asyncio, sys, threading, time\nfrom oneiric import assemble\n"
    code += "from oneiric_hookspecs import Candidate, Key, OneiricError\nKEY = Key('adapter', 'store')\n"
    code += textwrap.dedent(text)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-u", "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
    )
    out = ""
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        if interrupt_at is not None:
            for line in process.stdout:
                out += line
                if line.strip() == interrupt_at:
                    process.send_signal(signal.SIGINT)
                    break
        rest, errors = process.communicate()
    finally:
        watchdog.cancel()
    return process.returncode, (out + rest).split("\n")[:-1], errors, time.monotonic() - began


def test_a_script_does_everything(shop):
    """In a script, every method waits where the other would be awaited."""
    b = shop.candidate("store", "b")
    runtime = shop.runtime(shop.candidate("store", "a", priority=1), b, shop.candidate("ledger", "x"))
    with runtime.blocking as blocking:
        seen = []
        with blocking.use(*STORE) as thing:
            seen.append(thing.use())
        seen.append(blocking.swap(*STORE, "b").outcome)
        with blocking.lease(*STORE) as leased, blocking.handle(*STORE)() as handled:
            seen.append((leased.use(), leased is handled))
        with blocking.transaction() as changes:
            changes.swap(*STORE, "a")
            changes.swap(*LEDGER)
        seen.append([report.outcome for report in changes.reports])
        seen.append(blocking.rollback(*STORE).new)
        blocking.unpin(*STORE)
        seen.append(blocking.swap(*STORE).new)
        seen.append(blocking.apply({"adapters": {"selections": {"store": "b"}}})[0].new)
        seen.append(blocking.health(*STORE).status)
        blocking.pin(*STORE, "a")
        seen.append(blocking.swap(*LEDGER, reload=True).new)
        record = blocking.plug(type("Extra", (), {})())
        seen.append((record.name, blocking.unplug("Extra").name))
        going = threading.Event()

        async def work():
            going.set()
            await asyncio.sleep(1000)

        blocking.spawn(work(), name="work")
        going.wait()
        seen.append(blocking.status().tasks)
        seen.append(blocking.run(asyncio.sleep(0, "ran")))
    assert seen == [
        "a",
        "swapped",
        ("b", True),
        ["swapped", "activated"],
        "b",
        "a",
        "b",
        "ok",
        "x",
        ("Extra", "Extra"),
        ("work",),
        "ran",
    ]
    assert blocking.closed.clean
    assert shop.faults() == []


def test_every_error_is_raised_where_it_was_asked_for(shop):
    """Two threads that wait for one operation that fails get an exception each, with the traceback of their own."""
    waiting = threading.Event()

    async def fail(_):
        while not waiting.is_set():
            await asyncio.sleep(0.001)
        raise OSError("no route")

    with shop.runtime(shop.candidate("store", "a", before=fail)).blocking as blocking:
        errors = []

        def swap():
            try:
                blocking.swap(*STORE)
            except FactoryError as error:
                errors.append(error)

        threads = [threading.Thread(target=swap) for _ in range(3)]
        for thread in threads:
            thread.start()
        while blocking.status().of(*STORE) is None:
            time.sleep(0.001)
        waiting.set()
        for thread in threads:
            thread.join()
        with pytest.raises(SelectionUnsatisfied):
            blocking.swap(*STORE, "nobody")
        with pytest.raises(Empty), blocking.lease(*STORE):
            pass
    assert len({id(error) for error in errors}) == 3
    assert {str(error.__cause__) for error in errors} == {"no route"}
    assert ["swap" in [frame.name for frame in _frames(error)] for error in errors] == [True] * 3


def _frames(error):
    import traceback

    return traceback.extract_tb(error.__traceback__)


def test_an_exception_in_the_block_closes_the_runtime(shop):
    """It is passed on as it is, and everything was closed first."""
    with (
        pytest.raises(ValueError, match="^mine$"),
        shop.runtime(shop.candidate("store", "a")).blocking as blocking,
    ):
        with blocking.use(*STORE):
            raise ValueError("mine")
    assert blocking.closed.clean
    assert shop.faults() == []


def test_a_runtime_that_cannot_start_is_said_by_the_with(shop):
    """It lives once; and a second ``with`` does the first no harm."""
    runtime = shop.runtime(shop.candidate("store", "a"))
    with runtime.blocking as blocking:
        with blocking.use(*STORE):
            pass
        with (
            pytest.raises(RuntimeClosing, match="the runtime is running\n  a runtime lives once"),
            runtime.blocking,
        ):
            pass
        with blocking.use(*STORE) as thing:
            assert thing.use() == "a"
    with pytest.raises(RuntimeClosing, match="the runtime is closed"), runtime.blocking:
        pass
    assert blocking.closed.clean
    assert shop.faults() == []


def test_after_the_block_everything_is_refused(shop):
    """Who kept it is told that it is over, and a coroutine that was given is not left behind."""
    with shop.runtime(shop.candidate("store", "a")).blocking as blocking:
        with blocking.use(*STORE):
            pass
        handle = blocking.handle(*STORE)
    told = []
    for call in (
        lambda: blocking.swap(*STORE),
        lambda: blocking.health(*STORE),
        lambda: blocking.apply({}),
        lambda: blocking.rollback(*STORE),
        lambda: blocking.spawn(asyncio.sleep(1), name="late"),
        lambda: blocking.run(asyncio.sleep(1)),
        lambda: blocking.transaction().__enter__(),
    ):
        with pytest.raises(RuntimeClosing) as error:
            call()
        told.append(str(error.value))
    assert {text.partition(": ")[2] for text in told} == {"the runtime is closed, not running"}
    for way in (handle, lambda: blocking.lease(*STORE), lambda: blocking.use(*STORE)):
        with pytest.raises(Closed), way():
            pass
    assert blocking.status().state == "closed"
    assert shop.faults() == []


def test_before_the_block_everything_is_refused(shop):
    """The way in is named."""
    blocking = shop.runtime(shop.candidate("store", "a")).blocking
    for call in (lambda: blocking.swap(*STORE), lambda: blocking.spawn(asyncio.sleep(1), name="early")):
        with pytest.raises(RuntimeClosing, match="the runtime is new, not running"):
            call()


def test_closing_inside_the_block_is_fine(shop):
    """The report is the same at the end of the block."""
    with shop.runtime(shop.candidate("store", "a")).blocking as blocking:
        with blocking.use(*STORE):
            pass
        report = blocking.close()
    assert blocking.closed is report
    assert report.clean
    assert shop.faults() == []


def test_whoever_waits_when_the_block_ends_is_told(shop):
    """A thread that waits for an operation, or for a coroutine of its own, does not wait for ever."""
    begun = threading.Semaphore(0)

    async def never(_=None):
        begun.release()
        await asyncio.Event().wait()

    told = []
    with shop.runtime(shop.candidate("store", "a", before=never)).blocking as blocking:

        def wait(call):
            try:
                call()
            except BaseException as error:
                told.append(type(error))

        calls = (lambda: blocking.swap(*STORE), lambda: blocking.run(never()))
        threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        begun.acquire()
        begun.acquire()
    for thread in threads:
        thread.join(30)
    assert told == [RuntimeClosing, RuntimeClosing]


def test_two_runtimes_in_one_process(shop):
    """Each has a loop of its own, and knows nothing of the other."""
    with (
        shop.runtime(shop.candidate("store", "a")).blocking as one,
        shop.runtime(shop.candidate("store", "b")).blocking as other,
        other.use(*STORE) as second,
    ):
        with one.use(*STORE) as first:
            assert (first.use(), second.use()) == ("a", "b")
        report = one.close()
        assert one.close() is report
        assert (first.closed, second.use()) == (1, "b")
        assert other.swap(*STORE, reload=True).outcome == "swapped"
    assert shop.faults() == []


def test_a_thread_of_an_application_whose_loop_has_the_runtime(shop):
    """Without ``with``: a worker waits for what happens on the application's loop."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a"), shop.candidate("store", "b")) as runtime:

            def work():
                blocking = runtime.blocking
                with blocking.use(*STORE) as thing:
                    first = thing.use()
                report = blocking.swap(*STORE, "a")
                end = blocking.run(report.retired())
                with pytest.raises(SelectionUnsatisfied):
                    blocking.swap(*STORE, "c")
                return first, report.new, end.ending, blocking.health(*STORE).status

            return await asyncio.to_thread(work)

    assert asyncio.run(main()) == ("b", "a", "closed", "ok")
    assert shop.faults() == []


def test_on_the_loop_itself_it_would_wait_for_itself(shop):
    """So it refuses at once, whatever is asked and whether anything is bound."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a")) as runtime:
            async with runtime.use(*STORE):
                pass
            blocking, told = runtime.blocking, []
            for call in (
                lambda: blocking.swap(*STORE),
                lambda: blocking.use(*STORE).__enter__(),
                lambda: blocking.spawn(asyncio.sleep(1), name="s"),
                lambda: blocking.transaction().__enter__(),
                blocking.close,
                lambda: blocking.apply({}),
                lambda: blocking.pin(*STORE),
            ):
                with pytest.raises(
                    WrongThread, match="wait for itself\n  await the runtime's method instead"
                ):
                    call()
                told.append(1)
            with blocking.lease(*STORE) as thing:
                return len(told), thing.use()

    assert asyncio.run(main()) == (7, "a")
    assert shop.faults() == []


def test_use_waits_at_the_gate_of_a_swap_that_cannot_overlap(shop):
    """A thread that comes while nothing is bound gets the new one, however often that happens."""

    async def main():
        keys = {"adapter:store": {"mode": "exclusive"}}
        async with shop.runtime(
            shop.candidate("store", "a"), settings={"lifecycle": {"keys": keys}}
        ) as runtime:
            await runtime.swap(*STORE)
            over, told = threading.Event(), []

            def work():
                try:
                    while not over.is_set():
                        with runtime.blocking.use(*STORE) as thing:
                            if thing.closed:
                                told.append("closed")
                except Exception as error:
                    told.append(error)

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(30):
                await runtime.swap(*STORE, reload=True)
            over.set()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            return told

    assert asyncio.run(main()) == []
    assert shop.faults() == []


def test_a_failed_transaction_is_raised_at_the_end_of_the_block(shop):
    """And an exception in its block changes nothing."""
    bad = shop.candidate("ledger", "bad")

    with shop.runtime(shop.candidate("store", "a"), bad, shop.candidate("ledger", "x")).blocking as blocking:
        with pytest.raises(ValueError), blocking.transaction() as changes:
            changes.swap(*STORE)
            raise ValueError
        with pytest.raises(SelectionUnsatisfied), blocking.transaction() as changes:
            changes.swap(*STORE)
            changes.swap(*LEDGER, "nobody")
        assert changes.reports == []
        assert [slot.bound for slot in blocking.status().slots] == [None, None]
    assert shop.made == []


def test_uses_that_fail_count(shop):
    """A body that raises in a thread counts against what it used, as anywhere."""
    settings = {"lifecycle": {"probation": 100.0, "probe_interval": 50.0}}
    with shop.runtime(
        shop.candidate("store", "a"), shop.candidate("store", "b"), settings=settings
    ).blocking as blocking:
        blocking.swap(*STORE, "a")
        blocking.swap(*STORE, "b")
        for _ in range(5):
            with pytest.raises(ValueError), blocking.use(*STORE):
                raise ValueError
        while blocking.status().of(*STORE).rollbacks == 0:
            time.sleep(0.001)
        with blocking.use(*STORE) as thing:
            assert thing.use() == "a"
    assert shop.faults() == []


def test_an_interrupt_of_a_waiting_script_ends_what_it_waited_for():
    """Ctrl-C while a swap is waited for: the swap is given up, the block closes what there is, and it is over."""
    code, out, errors, took = script(
        """
        closed = []
        class Thing:
            async def aclose(self): closed.append(self)
        async def quick(): return Thing()
        async def never():
            print("waiting")
            try:
                await asyncio.Event().wait()
            finally:
                print("given up")
        runtime = assemble({}, environment=False)
        runtime.register(Candidate(KEY, "quick", quick), Candidate(KEY, "never", never))
        try:
            with runtime.blocking as blocking:
                blocking.swap(*KEY, "quick")
                blocking.swap(*KEY, "never")
        except KeyboardInterrupt:
            print("interrupted", len(closed), blocking.closed.clean)
        """,
        interrupt_at="waiting",
    )
    assert (code, out, errors) == (0, ["waiting", "given up", "interrupted 1 True"], "")
    assert took < 30


def test_a_script_that_never_leaves_the_block_ends_all_the_same():
    """The loop's thread keeps no process alive."""
    code, out, errors, took = script(
        """
        runtime = assemble({}, environment=False)
        runtime.register(Candidate.ready(KEY, "value", 42))
        blocking = runtime.blocking.__enter__()
        with blocking.use(*KEY) as value:
            print(value)
        """
    )
    assert (code, out, errors) == (0, ["42"], "")
    assert took < 30


def test_a_script_that_exits_in_the_block_closes_it():
    """``sys.exit`` is an exception like any other."""
    code, out, errors, _ = script(
        """
        class Thing:
            def close(self): print("closed")
        runtime = assemble({}, environment=False)
        runtime.register(Candidate(KEY, "thing", Thing))
        with runtime.blocking as blocking, blocking.use(*KEY):
            sys.exit(7)
        """
    )
    assert (code, out, errors) == (7, ["closed"], "")


def test_a_file_of_settings_and_a_script_of_six_lines(tmp_path):
    """What the documentation of the class shows works as it is written there."""
    (tmp_path / "oneiric.toml").write_text('[adapters.selections]\ncache = "memory"\n')
    with assemble(tmp_path / "oneiric.toml", environment=False).blocking as runtime:
        runtime.swap("adapter", "cache", "disk")
        with runtime.use("adapter", "cache") as cache:
            runtime.run(cache.set("greeting", b"hello"))
            assert runtime.run(cache.get("greeting")) == b"hello"
    assert runtime.closed.clean


def test_a_bad_swap_is_rolled_back_for_a_script_too(shop):
    """The errors of the one are the errors of the other."""
    with shop.runtime(
        shop.candidate("store", "a"), shop.candidate("store", "b", health=iter_of(True, False))
    ).blocking as blocking:
        blocking.swap(*STORE, "a")
        with pytest.raises(RolledBack) as told:
            blocking.swap(*STORE, "b")
        assert told.value.serving == "a"
    assert shop.faults() == []


def iter_of(*answers):
    """A health check that gives these answers, one after another."""
    left = list(answers)
    return lambda _: left.pop(0)
