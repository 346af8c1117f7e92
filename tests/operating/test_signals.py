"""Signals of a process that keeps going: the first is waited for, the second hurries, SIGHUP reads settings again."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from oneiric.orchestrator.signals import Signals

pytestmark = pytest.mark.once

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def handlers():
    return [signal.getsignal(each) for each in HANDLED]


async def send(number):
    """Send it to this process, and let the loop see it."""
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_is_waited_for(number):
    """``told`` says which it was; after the block everything is handled as before, by whoever did so."""

    def mine(number, frame):
        raise AssertionError

    async def main():
        before = handlers()
        with Signals() as signals:
            waiting = asyncio.create_task(signals.told())
            await asyncio.sleep(0)
            await send(number)
            told, inside = await waiting, handlers()
        return told, before == inside, before == handlers()

    usual = signal.signal(signal.SIGTERM, mine)
    try:
        assert asyncio.run(main()) == (number, False, True)
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_sighup_reads_settings_again():
    """Each time it comes; one that comes meanwhile is done after it; what fails is reported, and it goes on."""
    done = []

    async def reload():
        done.append("begun")
        await asyncio.sleep(0.1)
        done.append("ended")
        if len(done) == 2:
            raise RuntimeError("no")

    async def main():
        with Signals() as signals:
            signals.on_reload(reload)
            waiting = asyncio.create_task(signals.told())
            await asyncio.sleep(0)
            for _ in range(3):
                await send(signal.SIGHUP)
            await asyncio.sleep(0.4)
            await send(signal.SIGTERM)
            return await waiting

    assert asyncio.run(main()) == signal.SIGTERM
    assert done == ["begun", "ended"] * 2


def test_a_reload_holds_up_no_end(caplog):
    """SIGTERM while settings are read is heard at once, and that is given up; SIGHUP without one does nothing."""
    done = []

    async def reload():
        try:
            await asyncio.Event().wait()
        finally:
            done.append("ended")

    async def main():
        with Signals() as signals:
            waiting = asyncio.create_task(signals.told())
            await asyncio.sleep(0)
            await send(signal.SIGHUP)
            signals.on_reload(reload)
            await send(signal.SIGHUP)
            await send(signal.SIGTERM)
            return await waiting

    assert (asyncio.run(main()), done, caplog.records) == (signal.SIGTERM, ["ended"], [])


def test_what_came_before_it_was_waited_for_is_not_lost():
    """A SIGHUP while the process is still starting is done when it has."""
    done = asyncio.Event()

    async def reload():
        done.set()

    async def main():
        with Signals() as signals:
            await send(signal.SIGHUP)
            signals.on_reload(reload)
            waiting = asyncio.create_task(signals.told())
            async with asyncio.timeout(10):
                await done.wait()
            waiting.cancel()
            await asyncio.wait({waiting})

    asyncio.run(main())


def test_elsewhere_than_on_the_main_thread_nothing_is_handled():
    """And nothing is wrong."""
    before, seen = handlers(), []

    async def main():
        with Signals() as signals:
            waiting = asyncio.create_task(signals.told())
            await asyncio.sleep(0)
            seen.append((handlers() == before, waiting.done()))
            waiting.cancel()
            await asyncio.wait({waiting})

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert seen == [(True, False)]


SCRIPT = """
import asyncio, signal, sys
from oneiric.orchestrator.signals import Signals

async def main():
    try:
        with Signals() as signals:
            {start}
            print("up", flush=True)
            print("told", (await signals.told()).name, flush=True)
            try:
                try:
                    await asyncio.sleep(60)
                finally:
                    await asyncio.sleep(60)
            finally:
                await asyncio.sleep(60)
    finally:
        print("closed", flush=True)
{before}
asyncio.run(main())
"""


def started(start="pass", before="", **more):
    script = textwrap.dedent(SCRIPT).format(start=start, before=before)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGTERM, signal.SIGINT, -signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM, 143),
        (signal.SIGINT, signal.SIGINT, -signal.SIGINT),
    ],
)
def test_a_second_one_hurries(first, second, code):
    """What goes on is cancelled, and cleans up; the process ends as it would of that signal."""
    process = started()
    said = [process.stdout.readline()]
    process.send_signal(first)
    said.append(process.stdout.readline())
    process.send_signal(second)
    out, err = process.communicate(timeout=20)
    assert ("".join(said) + out).split() == ["up", "told", first.name, "closed"]
    assert process.returncode == code
    assert err == "" or err.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_what_is_starting_is_started_no_further(number, code):
    """One is enough while nobody waits for it yet."""
    process = started("print('starting', flush=True); await asyncio.sleep(60)")
    said = process.stdout.readline()
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert (said + out).split() == ["starting", "closed"]
    assert process.returncode == code


def test_what_is_ignored_stays_so():
    """A shell has what it runs in the background ignore Ctrl-C; SIGTERM ends it as always."""
    process = started(before="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "told SIGTERM\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("closed\n", 143)
