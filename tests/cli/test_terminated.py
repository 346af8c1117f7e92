"""SIGTERM ends any command: quietly, and what is open is closed."""

import os
import signal
import subprocess

import pytest

KIT = """\
import asyncio
import signal
import time

import click

@click.group()
def command():
    "Words that take long."

@command.command()
@click.pass_obj
def sleep(context):
    "Sleep."
    print("there", flush=True)
    time.sleep(60)

@command.command()
@click.pass_obj
def hold(context):
    "Hold a runtime."

    async def hold():
        async with context.host() as host, host.use("service", "tap"):
            print("there", flush=True)
            await asyncio.sleep(60)

    asyncio.run(hold())

@command.command()
@click.pass_obj
def mine(context):
    "Handle it oneself."

    async def until():
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        print("there", flush=True)
        await told.wait()

    asyncio.run(until())
    print("drained")
"""
TAP = """\
class Tap:
    async def start(self):
        pass

    async def stop(self):
        print("closed", flush=True)

async def create_tap():
    return Tap()
"""


@pytest.fixture
def kit(folder):
    """Words that do not end by themselves."""
    folder.write("site/long_kit.py", KIT)
    folder.distribution("oneiric-long", oneiric_commands={"long": "long_kit:command"})
    folder.plugin("tap", 'Candidate(Key.of("service", "tap"), "brass", create_tap)', before=TAP)
    return folder


def terminated(process):
    """Terminate it once it says that it is there."""
    with process:
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_sync_command(kit, options):
    """It exits with 143, and says nothing."""
    assert terminated(kit.start("long", "sleep", *options)) == (143, "", "")


def test_a_runtime_is_closed(kit):
    """What was open is closed before the end."""
    assert terminated(kit.start("-p", "tap", "long", "hold")) == (143, "closed\n", "")


def test_where_interrupts_are_ignored(kit):
    """As in what a shell runs in the background."""
    shell = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *kit.command("-p", "tap", "long", "hold")]
    process = subprocess.Popen(
        shell, cwd=kit.path, env=kit.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    assert terminated(process) == (143, "closed\n", "")


def test_a_command_that_handles_it(kit):
    """Whoever drains on SIGTERM does so."""
    assert terminated(kit.start("long", "mine")) == (0, "drained\n", "")


def test_a_plugin_that_does_not_come_back(folder):
    """SIGTERM ends an import, which is guarded against all else."""
    folder.write("stuck.py", "import time\nprint('there', flush=True)\ntime.sleep(60)\n")
    process = folder.start("-p", "stuck", "list")
    with process:
        assert process.stderr.readline() == "there\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (143, "", "")


def test_in_somebodys_process(folder):
    """Whoever embeds the command line keeps his handler, and one that was not set is not left behind."""
    folder.run("list")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    seen = []
    kept = signal.signal(signal.SIGTERM, lambda *_: seen.append("mine"))
    folder.write("kill.py", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    try:
        ended = folder.run("-p", "kill", "list", "--json")
        after = signal.getsignal(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, kept)

    assert (ended.code, seen) == (0, ["mine", "mine"])
    assert callable(after)
