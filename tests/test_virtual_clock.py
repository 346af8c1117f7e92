"""Virtual time passes at once, waits for what is real, and sees that nothing is left behind."""

import asyncio
import contextlib
import gc
import signal
import socket
import subprocess
import threading
import time

import pytest

from oneiric.testing import LeftBehind, Stuck, VirtualClock, run_virtual


def in_thread(work, name="oneiric-test", *, idle=None):
    """A future of what *work* gives in a thread of its own, as the kernel calls a sync factory."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def body():
        result = work()
        with contextlib.suppress(RuntimeError):  # too late, the loop is closed
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(result))

    thread = threading.Thread(target=body, name=name, daemon=True)
    if idle is not None:
        thread.idle = idle
    thread.start()
    return future


def real_seconds(started):
    return time.monotonic() - started


# time ---------------------------------------------------------------------------------------------


def test_a_long_sleep_takes_no_time(run, clock):
    """An hour passes at once, and exactly."""
    started = time.monotonic()

    async def main():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert (run(main()), clock.time()) == (3600.0, 3600.0)
    assert real_seconds(started) < 5


def test_timers_fire_in_their_order(run, clock):
    """Time passes timer by timer, so what is due first happens first, at its own time."""
    seen = []

    async def at(seconds):
        await asyncio.sleep(seconds)
        seen.append((seconds, clock.time()))

    async def main():
        await asyncio.gather(at(30), at(0.25), at(5), at(86400 * 3))

    run(main)

    assert seen == [(0.25, 0.25), (5, 5.0), (30, 30.0), (86400 * 3, 86400.0 * 3)]


def test_a_timeout_fires_at_its_virtual_time(run, clock):
    """``asyncio.timeout`` keeps virtual time."""

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)

    run(main())

    assert clock.time() == 30.0


def test_no_time_passes_while_something_is_ready(run, clock):
    """A thousand turns of the loop are no time at all, whatever timers wait."""

    async def main():
        waiting = asyncio.create_task(asyncio.sleep(1))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])

    run(main())

    assert clock.time() == 0.0


def test_a_clock_can_be_advanced_by_hand(run, clock):
    """Timers that are due after ``advance`` run in the next turn of the loop."""

    async def main():
        sleeping = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        clock.advance(10)
        for _ in range(3):
            await asyncio.sleep(0)
        return sleeping.done(), clock.time()

    assert run(main()) == (True, 10.0)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_clock_never_goes_back(clock, seconds):
    """Time only grows."""
    with pytest.raises(ValueError, match="time only grows"):
        clock.advance(seconds)

    assert clock.time() == 0.0


def test_one_clock_serves_several_loops(clock):
    """A second run goes on where the first one stopped."""

    async def main():
        await asyncio.sleep(1.5)

    run_virtual(main, clock=clock)
    run_virtual(main, clock=clock)

    assert clock.time() == 3.0


def test_a_clock_starts_where_it_is_told():
    """A test may want a time that is not 0."""
    assert VirtualClock(1000.0).time() == 1000.0


# what is outside ------------------------------------------------------------------------------------


def test_a_thread_that_works_is_not_raced_by_a_timeout(run, clock):
    """A sync factory that takes 20 real milliseconds is done before 30 virtual seconds have passed."""

    async def main():
        async with asyncio.timeout(30):
            return await in_thread(lambda: time.sleep(0.02) or "built")

    assert (run(main()), clock.time()) == ("built", 0.0)


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux says whether a thread computes")
def test_a_thread_that_computes_is_waited_for_longer(run, clock):
    """A busy machine does not make a timeout fire: a thread that has work to do is not at rest."""

    def compute():
        until = time.thread_time() + 0.15
        while time.thread_time() < until:
            pass
        return "computed"

    async def main():
        async with asyncio.timeout(30):
            return await in_thread(compute)

    assert (run(main()), clock.time()) == ("computed", 0.0)


def test_a_hung_thread_does_not_stop_time(run, clock):
    """A timeout around a thread that never comes back fires, after a little real time."""
    started = time.monotonic()
    hung = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await in_thread(hung.wait)

    run(main())
    hung.set()

    assert clock.time() == 30.0
    assert 0.05 <= real_seconds(started) < 5


def test_a_hung_thread_costs_its_grace_once(run, clock):
    """With a thread hung for good, a thousand timers do not take a thousand graces."""
    started = time.monotonic()
    hung = threading.Event()

    async def main():
        pending = in_thread(hung.wait)
        for _ in range(1000):
            await asyncio.sleep(1)
        hung.set()
        await pending

    run(main())

    assert clock.time() == 1000.0
    assert real_seconds(started) < 5


def test_a_new_thread_is_waited_for_though_another_hangs(run, clock):
    """A grace that is used up for one thread is fresh for the next."""
    hung = threading.Event()

    async def main():
        pending = in_thread(hung.wait)
        await asyncio.sleep(1)
        async with asyncio.timeout(30):
            result = await in_thread(lambda: time.sleep(0.02) or "built")
        hung.set()
        await pending
        return result

    assert (run(main()), clock.time()) == ("built", 1.0)


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux says whether a thread computes")
def test_a_thread_that_is_woken_is_at_rest_no_more(run, clock):
    """A thread that hung until its timeout, and is then woken, is not raced by the next timeout."""
    hung = threading.Event()

    def work():
        hung.wait()
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
        return "late"

    async def main():
        pending = in_thread(work)
        await asyncio.wait([pending], timeout=30)
        hung.set()
        async with asyncio.timeout(2):
            return await pending

    assert (run(main()), clock.time()) == ("late", 30.0)


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux says whether a thread computes")
def test_a_thread_that_computes_without_end_does_not_stop_time(run, clock):
    """A timeout around it fires, and when it is then told to end, the next timeout does not race it."""
    told = threading.Event()

    def work():
        while not told.is_set():
            pass
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return "late"

    async def main():
        pending = in_thread(work)
        await asyncio.wait([pending], timeout=30)
        told.set()
        async with asyncio.timeout(2):
            return await pending

    assert (run(main(), grace=0.025), clock.time()) == ("late", 30.0)


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux says whether a thread computes")
def test_a_thread_that_pauses_is_not_at_rest(run, clock):
    """One that works with short waits in between, as for a disk, is waited for."""

    def work():
        for _ in range(8):
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
            time.sleep(0.002)
        return "built"

    async def main():
        async with asyncio.timeout(30):
            return await in_thread(work)

    assert (run(main()), clock.time()) == ("built", 0.0)


def test_an_idle_thread_is_not_waited_for(run, clock):
    """A worker that says it is idle takes no grace; the run below would take 20 s with one."""
    over = threading.Event()
    started = time.monotonic()

    async def main():
        worker = in_thread(over.wait, name="worker", idle=True)
        await asyncio.sleep(30)
        next(each for each in threading.enumerate() if each.name == "worker").idle = False
        over.set()
        return await worker

    assert run(main(), grace=20.0) is True
    assert clock.time() == 30.0
    assert real_seconds(started) < 10


def test_a_call_in_an_executor_is_waited_for(run, clock):
    """``asyncio.to_thread`` is not raced by a timeout, also in a thread of the pool that is used again."""

    async def main():
        results = []
        for number in range(3):
            async with asyncio.timeout(30):
                results.append(await asyncio.to_thread(lambda number=number: time.sleep(0.01) or number))
            await asyncio.sleep(1)
        return results

    assert (run(main()), clock.time()) == ([0, 1, 2], 3.0)


def test_sockets_are_waited_for(run, clock):
    """A server in the same loop, and its client, talk without time passing."""

    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()

    async def main():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line

    assert (run(main()), clock.time()) == (b"HELLO\n", 0.0)


def test_a_pipe_is_waited_for(run, clock):
    """What another process says within the grace is not raced by a timeout."""

    async def main():
        loop = asyncio.get_running_loop()
        said = loop.create_future()
        with subprocess.Popen(["sh", "-c", "sleep 0.05; echo hello"], stdout=subprocess.PIPE) as process:
            loop.add_reader(process.stdout, lambda: said.done() or said.set_result(process.stdout.readline()))
            async with asyncio.timeout(30):
                line = await said
            loop.remove_reader(process.stdout)
        return line

    assert (run(main(), grace=10.0), clock.time()) == (b"hello\n", 0.0)


def test_a_socket_that_is_silent_does_not_stop_time(run, clock):
    """A timeout around a peer that says nothing fires."""

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await loop.sock_recv(ours, 1)

    run(main())

    assert clock.time() == 30.0


def test_a_thread_from_before_the_run_may_wake_it(run, clock):
    """What the test itself started before ``run`` is waited for as well."""
    ready, loops = threading.Event(), []

    def call():
        ready.wait()
        time.sleep(0.02)
        loop, future = loops[0]
        loop.call_soon_threadsafe(future.set_result, "called")

    thread = threading.Thread(target=call)
    thread.start()

    async def main():
        loops.append((asyncio.get_running_loop(), asyncio.get_running_loop().create_future()))
        ready.set()
        async with asyncio.timeout(30):
            return await loops[0][1]

    assert (run(main()), clock.time()) == ("called", 0.0)
    thread.join()


# the end ------------------------------------------------------------------------------------------


def test_a_function_or_a_coroutine(run):
    """Both ``run(main)`` and ``run(main())`` give what it returned."""

    async def main():
        return 42

    assert (run(main), run(main())) == (42, 42)


def test_an_error_passes(run):
    """What the coroutine raised is raised, the same object."""
    error = KeyError("mine")

    async def main():
        raise error

    with pytest.raises(KeyError) as caught:
        run(main())

    assert caught.value is error
    assert not hasattr(error, "__notes__")


def test_a_task_that_is_left_is_named(run):
    """A task that still runs when all is done fails the test, with its name and its place; it is ended."""
    ended = []

    async def lingering():
        try:
            await asyncio.sleep(1)
        finally:
            ended.append(True)

    async def main():
        main.kept = asyncio.create_task(lingering(), name="straggler")
        await asyncio.sleep(0)

    with pytest.raises(LeftBehind, match=r"tasks were left:\n  straggler: .*test_virtual_clock\.py:\d+$"):
        run(main)
    assert ended == [True]


def test_an_error_nobody_asked_for_is_told(run):
    """A task that failed unseen fails the test, even if only a cycle of references holds it."""

    async def failing():
        raise ValueError("unseen")

    async def main():
        task = asyncio.create_task(failing())
        task.add_done_callback(lambda _, holds=task: None)
        holder = [task]
        holder.append(holder)
        await asyncio.sleep(1)

    with pytest.raises(LeftBehind, match=r"nobody looked at these errors:\n.*ValueError\('unseen'\)"):
        run(main())


def test_an_error_in_a_callback_is_told(run):
    """What goes to the loop's exception handler fails the test."""

    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    with pytest.raises(LeftBehind, match="ZeroDivisionError"):
        run(main())


def test_what_is_left_by_a_failure_is_in_its_notes(run):
    """The failure itself is what is raised; what it left is said beside it."""

    async def main():
        main.kept = asyncio.create_task(asyncio.sleep(1), name="straggler")
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        run(main)
    assert caught.value.__notes__[0].startswith("tasks were left:\n  straggler: ")


def test_a_run_that_nothing_can_wake_is_stuck_at_once(run):
    """Waiting for what cannot come is found without the watchdog, and the place is shown."""
    started = time.monotonic()

    async def main():
        await asyncio.Event().wait()

    with pytest.raises(
        Stuck, match=r"nothing outside could wake the loop(?s:.)*await asyncio\.Event\(\)\.wait\(\)"
    ):
        run(main())
    assert real_seconds(started) < 5


def test_stuck_is_found_after_a_pool_was_used(run):
    """The idle threads of an executor do not hide that nothing can come."""
    started = time.monotonic()

    async def main():
        await asyncio.to_thread(lambda: None)
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="nothing outside could wake the loop"):
        run(main())
    assert real_seconds(started) < 5


def test_a_run_without_end_is_stopped(run):
    """A loop that only turns is ended by the watchdog, in real time, with the tasks shown."""

    async def main():
        while True:
            await asyncio.sleep(1)

    with pytest.raises(
        Stuck, match=r"not done after 0\.2 real seconds, [\d.e+]+ virtual ones(?s:.)*asyncio\.sleep\(1\)"
    ):
        run(main(), timeout=0.2)


def test_a_blocked_loop_is_interrupted(run):
    """A call that blocks the loop is ended by the watchdog, and the traceback shows which."""
    blocking = threading.Lock()
    blocking.acquire()

    async def main():
        blocking.acquire()

    with pytest.raises(Stuck, match=r"something has blocked the loop for 0\.1 real seconds") as caught:
        run(main(), timeout=0.1)
    assert caught.value.__cause__.__traceback__ is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_task_that_refuses_to_end_does_not_hold_the_test(run):
    """One that swallows its cancellation is named, and left."""

    async def refusing():
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass

    async def main():
        main.kept = asyncio.create_task(refusing(), name="mule")
        await asyncio.sleep(0)

    with pytest.raises(LeftBehind, match="mule"):
        run(main)
    main.kept._log_destroy_pending = False  # it is destroyed with its loop closed: asyncio would say so
    del main.kept
    gc.collect()


@pytest.mark.parametrize("blocks", [False, True])
def test_a_task_that_never_rests_does_not_hold_the_test(run, monkeypatch, blocks):
    """One that turns, or blocks, when it is told to end, is named and left, after a little real time."""
    monkeypatch.setattr("oneiric.testing.virtual._CLEAN_UP", 0.1)
    turning = True

    async def refusing():
        while turning:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                if blocks:
                    time.sleep(30)

    async def main():
        main.kept = asyncio.create_task(refusing(), name="mule")
        await asyncio.sleep(0)

    with pytest.raises(LeftBehind, match="mule"):
        run(main)
    turning = False
    main.kept._log_destroy_pending = False  # as above
    del main.kept
    gc.collect()


def test_no_thread_outlives_a_run():
    """Neither the watchdog nor a pool is left."""
    before = set(threading.enumerate())

    async def main():
        await asyncio.to_thread(lambda: None)

    run_virtual(main)

    assert set(threading.enumerate()) == before
