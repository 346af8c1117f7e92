"""``oneiric service``, as an operator types it."""

import signal
import sys

import pytest

SHOP = """
    import asyncio

    import attrs
    from oneiric_hookspecs import Candidate, Key, hookimpl

    @attrs.frozen
    class Settings:
        every: float = 1.0

    class Clock:
        def __init__(self, settings):
            self.settings, self.ticks = settings, 0

        async def run(self):
            while True:
                self.ticks += 1
                await asyncio.sleep(self.settings.every)

        def status(self):
            return {"ticks": self.ticks}

    class Line:
        async def run(self):
            await asyncio.sleep(0.01)
            raise ConnectionError("the line is dead")

    class Server:
        def start(self):
            raise OSError("the port is taken")

        def stop(self):
            pass

    @hookimpl
    def oneiric_candidates():
        yield Candidate(Key.of("service", "clock"), "sun", Clock, settings_class=Settings, summary="ticks")
        yield Candidate(Key.of("service", "gone"), "moon", Clock, settings_class=Settings, platforms=["cp/m"])
        if BROKEN:
            yield Candidate(Key.of("service", "line"), "copper", Line, summary="breaks")
            yield Candidate(Key.of("service", "server"), "tcp", Server, summary="does not start")
"""
TOML = '[app]\nplugins = ["shop"]\nstate_dir = "state"\n\n[services.settings.clock.sun]\nevery = 0.05\n'


@pytest.fixture
def shop(folder):
    """A project with a service that works, and one that nobody fills here."""
    folder.write("shop.py", "BROKEN = False\n" + SHOP.replace("\n    ", "\n"))
    folder.write("oneiric.toml", TOML)
    return folder


@pytest.fixture
def broken(shop):
    """With one that fails, and one that does not start, besides."""
    shop.write("shop.py", "BROKEN = True\n" + SHOP.replace("\n    ", "\n"))
    return shop


def test_services_are_listed(broken):
    """With who fills them; one that nobody fills is there, too."""
    ended = broken.run("service", "list")
    listed = broken.run("service", "list", "--json")

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "SERVICE  PROVIDER  SUMMARY",
            "clock    sun       ticks",
            "gone               (nobody fills it)",
            "line     copper    breaks",
            "server   tcp       does not start",
        ],
    )
    assert (listed.json["schema"], listed.json["services"][1]) == (
        "oneiric/service-list/1",
        {"service": "gone", "provider": None, "summary": "(nobody fills it)"},
    )


def test_without_starting_them_it_says_who_would_run(broken):
    """And that none does: this process is no application.  Nothing is started for it."""
    ended = broken.run("service", "status")
    told = broken.run("service", "status", "clock", "--json")

    assert (ended.code, [line.split()[:3] for line in ended.out.splitlines()[1:]]) == (
        0,
        [
            ["clock", "sun", "not"],
            ["gone", "not", "bound"],
            ["line", "copper", "not"],
            ["server", "tcp", "not"],
        ],
    )
    assert ended.err == (
        "a command runs none of them by itself: this is who would; --start starts them for a moment\n"
    )
    assert told.json == {
        "schema": "oneiric/service-status/1",
        "started": False,
        "services": [
            {
                "service": "clock",
                "provider": "sun",
                "state": "not_bound",
                "for_seconds": None,
                "error": "",
                "report": None,
            }
        ],
        "warnings": [],
    }
    assert told.err == ""


def test_one_is_started_for_a_moment(shop):
    """With the settings of the file, as its own status shows."""
    ended = shop.run("service", "status", "clock", "--start", "--for", "0.2", "--json")

    (row,) = ended.json["services"]
    assert (ended.code, ended.json["started"], row["provider"], row["state"]) == (0, True, "sun", "running")
    assert (row["for_seconds"] >= 0.2, row["report"]["ticks"] >= 2, row["error"]) == (True, True, "")


def test_those_that_fail_are_found(broken):
    """Each with its reason, whatever becomes of the others; the exit code says that one is unhealthy."""
    ended = broken.run("service", "status", "--start", "--for", "0.1", COLUMNS="200")

    assert (ended.code, ended.err, ended.out.splitlines()[2:]) == (
        6,
        "",
        [
            "gone               failed   no candidate fills service:gone; left out: moon: eligibility: "
            f"runs on cp/m, and this is {sys.platform}",
            "line     copper    failed   its run() failed: ConnectionError: the line is dead",
            "server   tcp       failed   it did not come up: OSError: the port is taken",
        ],
    )
    assert ended.out.splitlines()[1].split()[:3] == ["clock", "sun", "running"]


@pytest.mark.parametrize("columns", ["80", "100"])
def test_a_table_fits(broken, columns):
    """Whatever a service says."""
    ended = broken.run("service", "status", "--start", "--for", "0", COLUMNS=columns)

    assert max(len(line) for line in ended.out.splitlines()) <= int(columns)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["status", "clokc"], 3, "error: no candidate fills service:clokc\n  did you mean service:clock?\n"),
        (
            ["status", "--for", "soon"],
            2,
            "error: invalid value for '--for': 'soon' is not a valid float range\n"
            "  see oneiric service status --help\n",
        ),
        (
            ["status", "--for", "-1"],
            2,
            "error: invalid value for '--for': -1.0 is not in the range 0<=x<=3600\n"
            "  see oneiric service status --help\n",
        ),
    ],
    ids=["name", "no number", "too small"],
)
def test_what_is_mistyped_is_told(shop, words, code, error):
    """With what comes nearest."""
    ended = shop.run("service", *words)

    assert (ended.code, ended.out, ended.err) == (code, "", error)


def test_an_interrupt_ends_what_was_started(shop):
    """Ctrl-C while they run: they are stopped, and nothing is said but that."""
    shop.write(
        "shop.py",
        (shop.path / "shop.py")
        .read_text()
        .replace(
            "            self.ticks += 1\n",
            "            self.ticks += 1\n            print('tick', flush=True)\n",
        ),
    )
    running = shop.start("service", "status", "clock", "--start", "--for", "60")
    with running:
        assert running.stdout.readline() == "tick\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)

    assert (running.returncode, err) == (130, "interrupted\n")
    assert set(out.split()) <= {"tick"}
