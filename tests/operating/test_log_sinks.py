"""Where records go, and what becomes of them where that fails: nothing of it is ever noticed by who logs."""

import asyncio
import io
import json
import logging
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from oneiric_hookspecs import Secret

from oneiric.logs import JsonLines, configured
from oneiric.logs.posting import HttpSink
from oneiric.logs.sinks import FileSink, StreamSink
from oneiric.settings import loading

log = logging.getLogger("shop")


def section(**sinks):
    """``[logging]`` with such sinks, read as from a file."""
    tables = {"secrets": {"token": "env:TOKEN"}, "logging": {"sinks": sinks}}
    return loading.load(tables, environ={}).logging


class Intake:
    """Takes batches, and answers as it is told: one code after the other, the last for ever."""

    def __init__(self, *codes):
        self.codes, self.requests, self.heads = list(codes) or [200], [], []
        self.elsewhere = ""
        self.came = threading.Condition()
        self.hold = threading.Event()
        self.hold.set()
        intake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                intake.hold.wait(20)
                with intake.came:
                    code = intake.codes.pop(0) if len(intake.codes) > 1 else intake.codes[0]
                    intake.requests.append((code, [json.loads(line) for line in body.splitlines()]))
                    intake.heads.append(dict(self.headers))
                    intake.came.notify_all()
                self.send_response(code)
                self.send_header("content-length", "0")
                if intake.elsewhere:
                    self.send_header("location", intake.elsewhere)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def until(self, done, seconds=15):
        """Wait until ``done(messages)``."""
        with self.came:
            assert self.came.wait_for(lambda: done(self.messages()), seconds), self.messages()
            return self.messages()

    def messages(self):
        """What it has taken, in order."""
        return [line["message"] for code, lines in self.requests if code < 300 for line in lines]


@pytest.fixture
def intake():
    made = []

    def make(*codes):
        made.append(Intake(*codes))
        return made[-1]

    yield make
    for each in made:
        each.hold.set()
        each.server.shutdown()
        each.server.server_close()


def far(url, **more):
    return {"to": "http", "url": url, "interval": 0.02, **more}


# --- http -------------------------------------------------------------------------------------------------------


def test_records_come_in_batches(intake) -> None:
    """All of them, once and in order, as JSON lines; none is larger than it may be."""
    place = intake()

    with configured(section(far=far(place.url, batch=7))):
        for number in range(50):
            log.info("line %d", number)

    assert place.messages() == [f"line {number}" for number in range(50)]
    assert max(len(lines) for _, lines in place.requests) <= 7
    assert (
        place.heads[0]["content-type" if "content-type" in place.heads[0] else "Content-Type"]
        == "application/x-ndjson"
    )


def test_who_logs_never_waits(intake) -> None:
    """A server that hangs costs a record no more than being put in a queue; what is too much is the oldest."""
    place = intake()
    place.hold.clear()

    with configured(section(far=far(place.url, batch=10, queue=100))):
        began = time.monotonic()
        for number in range(2000):
            log.info("%d", number)
        seconds = time.monotonic() - began
        place.hold.set()
        messages = place.until(lambda said: said[-1:] == ["1999"] or "1999" in said)

    messages = place.messages()
    numbers = [int(each) for each in messages if each.isdigit()]
    notes = [each for each in messages if not each.isdigit()]
    lost = sum(int(each.split()[0]) for each in notes)
    assert seconds < 20
    assert numbers[-100:] == list(range(1900, 2000))
    assert numbers == sorted(numbers)
    assert lost == 2000 - len(numbers)
    assert notes[0].endswith(" records before this one were lost on their way")


@pytest.mark.parametrize("code", [500, 429, 401])
def test_a_batch_that_is_not_taken_is_sent_again(intake, code) -> None:
    """Nothing is lost while there is room."""
    place = intake(code, code, 200)

    with configured(section(far=far(place.url))):
        log.info("one")
        place.until(lambda said: said == ["one"])
        log.info("two")

    assert place.messages() == ["one", "two"]
    assert [each[0] for each in place.requests][:3] == [code, code, 200]


@pytest.mark.parametrize("code", [400, 404, 413, 301, 307])
def test_a_batch_that_is_refused_is_lost_and_counted(intake, code, capsys) -> None:
    """It would be refused for ever; the next one says so."""
    place = intake(code, 200)

    with configured(section(far=far(place.url))):
        log.info("one")
        with place.came:
            assert place.came.wait_for(lambda: place.requests, 10)
        log.info("two")

    assert place.messages() == ["two", "1 records before this one were lost on their way"]
    assert capsys.readouterr().err == f"oneiric: logging.sinks.far: it answered {code} (1 record lost)\n"


def test_nobody_is_followed_elsewhere(intake) -> None:
    """What was logged, and the secrets of headers, are for the address that was written."""
    place, other = intake(307), intake()
    place.elsewhere = other.url

    with configured(section(far=far(place.url))):
        log.info("one")

    assert (len(place.requests), other.requests) == (1, [])


def test_a_server_that_is_not_there_is_told_once(capsys) -> None:
    """On stderr, not by logging: the application goes on, and the end is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()

    with configured(section(far=far(f"http://127.0.0.1:{port}/"))):
        for number in range(30):
            log.info("%d", number)

    assert capsys.readouterr().err == (
        "oneiric: logging.sinks.far: it cannot be reached: ConnectError (30 records lost)\n"
    )
    assert time.monotonic() - began < 20


def test_the_end_waits_so_long_and_no_longer(capsys) -> None:
    """A server that accepts and says nothing does not keep the process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = HttpSink("far", f"http://127.0.0.1:{silent.getsockname()[1]}/", interval=0.01, timeout=60)
        sink.setFormatter(JsonLines())
        sink.handle(logging.LogRecord("shop", 20, "", 1, "one", (), None))
        began = time.monotonic()
        sink.close(0.3)
        seconds = time.monotonic() - began

    assert 0.2 < seconds < 20
    assert "the end did not wait for what was still to be sent" in capsys.readouterr().err


def test_the_last_records_are_sent(intake) -> None:
    """What was logged just before the end, though its batch is not full and its time has not come."""
    place = intake()

    with configured(section(far=far(place.url, interval=60.0))):
        log.info("last words")

    assert place.messages() == ["last words"]


def test_headers_hold_secrets_and_are_fetched_again(intake) -> None:
    """By their names, from who keeps them; a rotated one is sent with the next batch."""
    place = intake()

    class Keeper:
        value = "one"

        async def get(self, name):
            return Secret(f"{name}-{self.value}")

    async def main():
        keeper = Keeper()
        with configured(section(far=far(place.url, headers={"X-Token": "token"})), secrets=keeper):
            log.info("a")
            await asyncio.to_thread(place.until, lambda said: said == ["a"])
            keeper.value = "two"
            log.info("b")
            await asyncio.to_thread(place.until, lambda said: said == ["a", "b"])
            log.info("c")  # sent at the end, when the loop is waited for

    asyncio.run(main())

    assert [head["X-Token"] for head in place.heads] == ["token-one", "token-two", "token-two"]


def test_a_secret_that_cannot_be_had_is_waited_for(intake, capsys) -> None:
    """Nothing is sent without it; what waits is sent when it is there."""
    place = intake()

    class Keeper:
        asked = 0

        async def get(self, name):
            self.asked += 1
            if self.asked < 3:
                raise RuntimeError("hunter2")
            return Secret("x")

    async def main():
        with configured(section(far=far(place.url, headers={"X-Token": "token"})), secrets=Keeper()):
            log.info("a")
            await asyncio.to_thread(place.until, lambda said: said == ["a"])

    asyncio.run(main())

    assert [head["X-Token"] for head in place.heads] == ["x"]
    assert "hunter2" not in capsys.readouterr().err


def test_sending_does_not_feed_itself(intake, capsys) -> None:
    """What httpx logs for a batch is no record of the next: with everything at debug, two sinks fall silent."""
    places = intake(), intake()
    tables = {"one": far(places[0].url), "two": far(places[1].url), "err": {"to": "stderr"}}

    with configured(section(**tables), level="debug"):
        log.info("once")
        for place in places:
            place.until(lambda said: "once" in said)

    assert [place.messages() for place in places] == [["once"], ["once"]]
    assert capsys.readouterr().err.count("\n") == 1


def test_reconfigured_it_loses_nothing(intake, tmp_path) -> None:
    """A sink that stays goes on; of one that goes, what waits is sent, and nobody waits for it."""
    one, two = intake(), intake()

    with configured(section(far=far(one.url, interval=30.0))) as logs:
        first = {each for each in logging.getLogger().handlers if isinstance(each, HttpSink)}
        log.info("a")
        logs.reconfigure(
            section(far=far(one.url, interval=30.0), other={"to": "file", "path": str(tmp_path / "f")})
        )
        log.info("b")
        kept = {each for each in logging.getLogger().handlers if isinstance(each, HttpSink)}
        began = time.monotonic()
        logs.reconfigure(section(far=far(two.url)))
        seconds = time.monotonic() - began
        log.info("c")
        one.until(lambda said: said == ["a", "b"])

    assert (two.messages(), seconds < 20, kept == first) == (["c"], True, True)


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_is_rotated(tmp_path) -> None:
    """At its size, with so many old ones; nothing is lost between them."""
    path = tmp_path / "shop.log"
    sink = {"to": "file", "path": str(path), "max_bytes": 2000, "backups": 20, "format": "json"}

    with configured(section(all=sink)):
        for number in range(60):
            log.info("line %d", number)

    files = sorted(tmp_path.iterdir(), key=lambda each: -int(each.suffix[1:]) if each.suffix != ".log" else 0)
    lines = [json.loads(line)["message"] for each in files for line in each.read_text().splitlines()]
    assert lines == [f"line {number}" for number in range(60)]
    assert max(each.stat().st_size for each in files) <= 2000
    assert len(files) > 3


def test_paths_are_relative_to_the_settings(tmp_path, monkeypatch) -> None:
    """Not to wherever the process was started."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    with configured(section(all={"to": "file", "path": "logs/shop.log"}), folder=tmp_path):
        log.info("said")

    assert (tmp_path / "logs" / "shop.log").read_text().endswith("shop: said\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk_is_told_once(capsys) -> None:
    """On stderr; whoever logs goes on, and the end is quiet."""
    with configured(section(full={"to": "file", "path": "/dev/full"})):
        for number in range(100):
            log.info("%d", number)
        root = logging.getLogger()
        [sink] = [each for each in root.handlers if isinstance(each, FileSink)]

    assert sink.trouble.lost == 100
    assert capsys.readouterr().err == "oneiric: logging.sinks.full: No space left on device (1 record lost)\n"


def test_a_file_that_was_moved_away_is_begun_anew_on_reload(tmp_path) -> None:
    """As those expect who rotate files themselves, and then send SIGHUP."""
    path, settings = tmp_path / "shop.log", section(all={"to": "file", "path": str(tmp_path / "shop.log")})

    with configured(settings) as logs:
        log.info("one")
        path.rename(tmp_path / "old.log")
        logs.reconfigure(settings)
        log.info("two")

    assert ["one" in (tmp_path / "old.log").read_text(), "two" in path.read_text()] == [True, True]
    assert "two" not in (tmp_path / "old.log").read_text()


# --- streams ----------------------------------------------------------------------------------------------------


class Broken(io.StringIO):
    """A stream that nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [Broken(), None, 3], ids=["pipe", "none", "odd"])
def test_a_stream_that_is_gone_harms_nobody(stream, monkeypatch, capsys) -> None:
    """Of stdout it is told on stderr; where that is gone too, nowhere."""
    monkeypatch.setattr(sys, "stdout", stream)
    sink = StreamSink("out", "stdout")
    made = logging.LogRecord("shop", 20, "", 1, "one", (), None)

    sink.handle(made)
    monkeypatch.setattr(sys, "stderr", stream)
    other = StreamSink("err", "stderr")
    other.handle(made)

    assert (sink.trouble.lost, other.trouble.lost) == (1, 1)


def test_a_stream_of_few_letters_gets_numbers(monkeypatch) -> None:
    """A terminal that knows only ASCII shows the rest as escapes."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    sink = StreamSink("out", "stdout")

    sink.handle(logging.LogRecord("shop", 20, "", 1, "é", (), None))

    assert buffer.getvalue() == b"\\xe9\n"


def test_each_sink_has_its_level_and_format(tmp_path, capsys) -> None:
    """Lines for people on stderr, everything in JSON in a file."""
    tables = {
        "err": {"to": "stderr", "level": "error"},
        "all": {"to": "file", "path": str(tmp_path / "all.log"), "format": "json"},
    }

    with configured(section(**tables)):
        log.info("info")
        log.error("error")

    assert capsys.readouterr().err.endswith("ERROR   shop: error\n")
    lines = (tmp_path / "all.log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["info", "error"]


def test_threads_share_the_sinks(intake, tmp_path) -> None:
    """Every record of every thread comes once, and whole."""
    place = intake()
    tables = {"far": far(place.url), "all": {"to": "file", "path": str(tmp_path / "a"), "format": "json"}}

    with configured(section(**tables)):
        threads = [
            threading.Thread(target=lambda n=n: [log.info("%d-%d", n, i) for i in range(100)])
            for n in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    wanted = sorted(f"{n}-{i}" for n in range(8) for i in range(100))
    assert sorted(place.messages()) == wanted
    assert sorted(json.loads(line)["message"] for line in (tmp_path / "a").read_text().splitlines()) == wanted
