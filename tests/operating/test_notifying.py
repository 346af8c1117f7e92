"""What a service manager hears, at a real socket."""

import asyncio
import logging
import os
import re
import socket
import tempfile
import time

import pytest

from oneiric.orchestrator.notifying import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request):
    """A service manager: its socket, and the environment that it gives."""
    # The path of a socket has little room.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        name = f"{folder}/notify" if request.param == "path" else f"\0oneiric-test-{os.getpid()}"
        channel.bind(name)
        channel.setblocking(False)
        yield _Manager(channel, {"NOTIFY_SOCKET": name.replace("\0", "@")})


class _Manager:
    def __init__(self, channel, environ):
        self.channel, self.environ = channel, environ

    def heard(self):
        """What it was told since it was asked last."""
        found = []
        while True:
            try:
                found.append(self.channel.recv(4096).decode())
            except BlockingIOError:
                return found


def test_what_is_said(run, manager):
    """Each in its own datagram; a status is one line, whatever is in it."""

    async def main():
        async with Notifier(manager.environ) as notifier:
            notifier.ready("node a\nREADY=0")
            notifier.status("taking  settings")
            notifier.reloading()
            notifier.ready()
            notifier.stopping()
            return notifier.told

    before = time.monotonic_ns() // 1000
    assert run(main)
    *first, reloading, ready, stopping = manager.heard()
    assert first == ["READY=1\nSTATUS=node a READY=0", "STATUS=taking settings"]
    at = int(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", reloading)[1])
    assert before <= at <= time.monotonic_ns() // 1000
    assert [ready, stopping] == ["READY=1", "STOPPING=1"]


def test_taking_settings_is_told_from_its_begin_to_its_end(run, manager):
    """Also where it fails: the manager waits for the end."""

    async def main():
        async with Notifier(manager.environ) as notifier:

            async def works():
                notifier.status("at it")

            async def fails():
                raise KeyError

            await notifier.around(works)()
            with pytest.raises(KeyError):
                await notifier.around(fails)()

    run(main)
    assert [each.partition("\n")[0] for each in manager.heard()] == [
        "RELOADING=1",
        "STATUS=at it",
        "READY=1",
        "RELOADING=1",
        "READY=1",
    ]


@pytest.mark.parametrize("whose", [None, "mine"])
def test_a_loop_that_turns_says_so(run, manager, whose):
    """At half of the time that the manager waits; at once, and to the end of the block."""
    environ = manager.environ | {"WATCHDOG_USEC": "10000000"}
    environ |= {"WATCHDOG_PID": str(os.getpid())} if whose else {}

    async def main():
        async with Notifier(environ):
            await asyncio.sleep(0)
            first = manager.heard()
            await asyncio.sleep(20.5)
            later = manager.heard()
        await asyncio.sleep(60)
        return first, later, manager.heard()

    assert run(main) == (["WATCHDOG=1"], ["WATCHDOG=1"] * 4, [])


def test_a_loop_that_does_not_turn_says_nothing(manager):
    """What blocks it keeps the sign of life from being sent: that is what the manager waits for."""

    async def main():
        async with Notifier(manager.environ | {"WATCHDOG_USEC": "20000"}):
            await asyncio.sleep(0.05)
            before = manager.heard()
            time.sleep(0.1)  # the fault
            return len(before) > 1, manager.heard()

    assert asyncio.run(main()) == (True, [])


@pytest.mark.parametrize(
    "more",
    [
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": ""},
        {},
    ],
)
def test_nobody_waits_for_a_sign_of_life(run, manager, more):
    """It is another process that is waited for, or there is no time, or it is none."""

    async def main():
        async with Notifier(manager.environ | more):
            await asyncio.sleep(100)

    run(main)
    assert manager.heard() == []


@pytest.mark.parametrize("said", ["", "vsock:2:1234", "relative/path", None])
def test_nobody_is_told(run, said, caplog, monkeypatch):
    """Without a service manager nothing is sent, and nothing is wrong; also of the process's own environment."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)

    async def main():
        environ = None if said is None else {"NOTIFY_SOCKET": said, "WATCHDOG_USEC": "1000"}
        async with Notifier(environ) as notifier:
            for say in (notifier.ready, notifier.reloading, notifier.stopping):
                say()
            await asyncio.sleep(10)
            return notifier.told

    assert (run(main), caplog.records) == (False, [])


@pytest.mark.parametrize("said", ["/nowhere/at/all", "/" + "x" * 300, "@" + "x" * 300])
def test_a_manager_that_is_gone_does_no_harm(run, said, caplog):
    """It is said once."""

    async def main():
        async with Notifier({"NOTIFY_SOCKET": said, "WATCHDOG_USEC": "1000000"}) as notifier:
            notifier.ready()
            await asyncio.sleep(10)
            notifier.stopping()

    run(main)
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    assert caplog.records[0].getMessage().startswith("the service manager cannot be told anything: ")


def test_a_manager_that_does_not_listen_holds_nothing_up(run, manager, caplog):
    """When its socket takes no more, what is said is lost, and the loop goes on."""

    async def main():
        async with Notifier(manager.environ) as notifier:
            for _ in range(5000):
                notifier.status("x" * 200)

    run(main)
    assert len(caplog.records) == 1
    assert len(manager.heard()) < 5000
