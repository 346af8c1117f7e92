"""What is served over HTTP, with real sockets: by clients that behave, and by those that do not."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Health, HealthSummary, Key, OneiricError, Route

from oneiric.hooks.records import Answer
from oneiric.serving import AddressTaken, BadAddress, address, is_loopback, listening

CACHE, MAIL = Key.of("adapter", "cache"), Key.of("service", "mail")
ILL = HealthSummary(
    "failed", {CACHE: Health("failed", "no route to host")}, ("adapter:cache: no route to host",)
)


@attrs.define
class Fake:
    """A process, as far as it is asked."""

    is_live: HealthSummary = attrs.field(factory=lambda: HealthSummary("ok"))
    is_ready: HealthSummary = attrs.field(factory=lambda: HealthSummary("ok", {MAIL: Health("ok")}))
    facts: dict = attrs.field(factory=lambda: {"node": "a"})

    def live(self):
        return self.is_live

    def ready(self):
        return self.is_ready

    def summary(self, group):
        if group == "all":
            return self.is_ready
        raise KeyError(group)

    def status(self):
        return self.facts


def masked(text):
    return text.replace("hunter2-hunter2", "***")


def route(path, get, plugin="shop", kind="text/plain"):
    return Answer(plugin, Route(path, kind, get))


def served(work, fake=None, routes=(), host="127.0.0.1", **more):
    """Run ``work(at, client)`` beside the server, on a loop of its own; warnings of asyncio are errors."""

    async def main():
        async with listening(host, 0, fake or Fake(), routes, masked=masked, **more) as at:
            async with httpx.AsyncClient(base_url=f"http://{at}", timeout=10) as client:
                return await work(at, client)

    return asyncio.run(main())


async def raw(at, data, *, end=False):
    """Send *data* as it is, and read until the other side closes."""
    reader, writer = await asyncio.open_connection(at.host, at.port)
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if end:
                writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def get(path, **more):
    async def work(at, client):
        return await client.get(path)

    return served(work, **more)


# --- health and status ------------------------------------------------------------------------------------------


def test_ready_says_what_is_known_of_each_part() -> None:
    """200 where all is well, in the format for health, and nobody on the way keeps it."""
    answer = get("/health/ready")

    assert (answer.status_code, answer.json()) == (
        200,
        {
            "schema": "oneiric/health/1",
            "status": "pass",
            "health": "ok",
            "group": "ready",
            "reasons": [],
            "members": {"service:mail": {"health": "ok", "reason": "", "kind": "readiness"}},
        },
    )
    assert dict(answer.headers) == {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "connection": "close",
        "content-type": "application/health+json",
        "content-length": str(len(answer.content)),
    }


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [("ok", 200, "pass"), ("degraded", 200, "warn"), ("unknown", 503, "fail"), ("failed", 503, "fail")],
)
def test_the_status_decides_the_code(status, code, word) -> None:
    """A probe looks at nothing but the code: what is not known to be well is not ready."""
    answer = get("/health/ready", fake=Fake(is_ready=HealthSummary(status)))

    assert (answer.status_code, answer.json()["status"]) == (code, word)


def test_what_is_ill_says_why() -> None:
    """Reasons, and the members, in the body of the 503."""
    answer = get("/health/ready", fake=Fake(is_ready=ILL))

    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["adapter:cache: no route to host"]
    assert answer.json()["members"] == {
        "adapter:cache": {"health": "failed", "reason": "no route to host", "kind": "readiness"}
    }


@pytest.mark.parametrize(
    ("live", "code"), [("ok", 200), ("degraded", 200), ("unknown", 200), ("failed", 503)]
)
def test_live_is_not_about_others(live, code) -> None:
    """A process is ended for what is wrong with it, and never for a part that is down, or not known yet."""
    assert get("/health/live", fake=Fake(is_live=HealthSummary(live), is_ready=ILL)).status_code == code


def test_groups_have_addresses() -> None:
    """One of the settings is asked by its name; one that is not there is a 404."""

    async def work(at, client):
        return [
            (await client.get(f"/health/{name}")).status_code for name in ("all", "al", "..%2fstatus", "")
        ]

    assert served(work) == [200, 404, 404, 404]


def test_a_group_that_is_refused_says_why() -> None:
    """The sentence of the error, and its hint."""

    class Refusing(Fake):
        def summary(self, group):
            raise OneiricError(f"there is no group {group!r}", hint="there are: all, live, ready")

    answer = get("/health/web", fake=Refusing())

    assert answer.status_code == 404
    assert answer.json() == {
        "schema": "oneiric/error/1",
        "message": "there is no group 'web'",
        "hint": "there are: all, live, ready",
    }


def test_status_is_masked_and_plain() -> None:
    """No secret leaves, and what JSON has no word for does not break it."""
    facts = {
        "node": "a",
        "nested": [{"url": "x:hunter2-hunter2@y"}],
        "nan": float("nan"),
        "key": CACHE,
        7: {1},
    }

    answer = get("/status", fake=Fake(facts=facts))

    assert answer.json() == {
        "schema": "oneiric/status/1",
        "node": "a",
        "nested": [{"url": "x:***@y"}],
        "nan": None,
        "key": "adapter:cache",
        "7": [1],
    }


def test_a_status_that_cannot_be_made_is_a_500(caplog) -> None:
    """Without its traceback, which is in the log."""

    class Broken(Fake):
        def status(self):
            raise RuntimeError("hunter2-hunter2")

    answer = get("/status", fake=Broken())

    assert (answer.status_code, answer.json()["message"]) == (500, "a bug: RuntimeError")
    assert "hunter2" not in answer.text
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


# --- routes -----------------------------------------------------------------------------------------------------


async def _version():
    return b"\xff\x00"


def test_routes_of_plugins_are_asked() -> None:
    """Sync in a thread, async on the loop; text as UTF-8, bytes as they are; a HEAD has no body."""
    seen = []

    def metrics():
        seen.append(threading.current_thread() is threading.main_thread())
        return "é 1\nhunter2-hunter2\n"

    async def work(at, client):
        one, two, head = (
            await client.get("/metrics"),
            await client.get("/a/b-c.bin"),
            await client.head("/metrics"),
        )
        return [
            (each.status_code, each.headers["content-type"], each.headers["content-length"], each.content)
            for each in (one, two, head)
        ]

    routes = [route("/metrics", metrics), route("/a/b-c.bin", _version, kind="application/octet-stream")]

    assert served(work, routes=routes) == [
        (200, "text/plain; charset=utf-8", "9", "é 1\n***\n".encode()),
        (200, "application/octet-stream", "2", b"\xff\x00"),
        (200, "text/plain; charset=utf-8", "9", b""),
    ]
    assert seen == [False, False]


def test_two_routes_of_one_path_are_neither() -> None:
    """Both plugins are named."""
    answer = get("/metrics", routes=[route("/metrics", str, "otel"), route("/metrics", str, "prometheus")])

    assert answer.status_code == 500
    assert answer.json()["message"] == "the plugins otel and prometheus both declare /metrics"


@pytest.mark.parametrize("path", ["/status", "/health/ready", "/health/ready/x"])
def test_a_route_does_not_take_ours(path, caplog) -> None:
    """A plugin cannot say that the process is well."""
    answer = get(path, fake=Fake(is_ready=ILL), routes=[route(path, lambda: "all is well")])

    assert "all is well" not in answer.text
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING][:1] == [
        f"plugin shop: the route {path} is not served: its path is taken"
    ]


class _Odd:
    def __str__(self):
        raise ValueError


def _fails():
    raise ValueError("hunter2-hunter2")


def _stops():
    raise StopIteration


def _exits():
    raise SystemExit(3)


@pytest.mark.parametrize("get_", [_fails, _stops, _exits, lambda: None, lambda: _Odd()])
def test_a_route_that_fails_is_a_500(get_, caplog) -> None:
    """Whatever it raises or gives: named by its plugin, without traceback; the next request is answered."""

    async def work(at, client):
        return await client.get("/x"), await client.get("/health/live")

    answer, after = served(work, routes=[route("/x", get_)])

    assert (answer.status_code, after.status_code) == (500, 200)
    assert answer.json()["message"].startswith("/x of the plugin shop failed: ")
    assert "Traceback" not in answer.text
    assert "hunter2" not in answer.text


def test_a_route_that_hangs_is_given_up() -> None:
    """Sync or async, or one that will not be cancelled; others are answered meanwhile, and threads do not pile up."""
    hangs, let_go = threading.Event(), asyncio.Event()

    async def for_ever():
        await asyncio.Event().wait()

    async def stubborn():
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        return ""

    async def work(at, client):
        async with asyncio.TaskGroup() as tasks:
            several = [
                tasks.create_task(client.get(path))
                for path in ("/sync", "/async", "/stubborn", *["/sync"] * 6)
            ]
            live = await client.get("/health/live")
        hung = sum(each.name == "oneiric-route" for each in threading.enumerate())
        let_go.set()
        hangs.set()
        return live.status_code, {each.result().status_code for each in several}, hung

    routes = [route("/sync", hangs.wait), route("/async", for_ever), route("/stubborn", stubborn)]

    assert served(work, routes=routes, seconds=0.3) == (200, {504}, 4)


# --- what is not there ------------------------------------------------------------------------------------------


def test_what_is_not_there_is_told() -> None:
    """With what is near, what there is, and where to read about it."""

    async def work(at, client):
        paths = ("/health/redy", "/metrics", "/", "/hunter2-hunter2")
        return [
            ((await client.get(path)).json()["message"], (await client.get(path)).json()["hint"])
            for path in paths
        ]

    see = "(see docs/how-to/serve-health.md)"
    there = "there are: /health/live, /health/ready, /health/all, /status"

    assert served(work) == [
        ("there is nothing at /health/redy", f"did you mean /health/ready? {see}"),
        ("there is nothing at /metrics", f"a plugin brings it: pip install oneiric-otel {see}"),
        ("there is nothing at /", f"{there} {see}"),
        ("there is nothing at /***", f"{there} {see}"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"])
def test_there_is_nothing_but_to_read(method) -> None:
    """Any other method is a 405, at every path."""

    async def work(at, client):
        return await raw(at, f"{method} /status HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    answer = served(work)

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET, HEAD\r\n" in answer


# --- who may ask ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LOCALHOST:9", 200),
        ("a.localhost.", 200),
        ("127.0.0.1:80", 200),
        ("127.9.9.9", 200),
        ("[::1]:80", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:80@localhost", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("localhost, evil.example", 421),
        ("", 421),
    ],
)
def test_a_page_cannot_ask_by_another_name(host, code) -> None:
    """A name that somebody lets point here is no name of this machine."""

    async def work(at, client):
        return await raw(at, f"GET /status HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert int(served(work).split()[1]) == code


def test_where_all_may_ask_any_name_will_do(caplog) -> None:
    """A probe of a cluster asks for the address of the pod; that all may is said."""

    async def work(at, client):
        return await raw(at, b"GET /health/live HTTP/1.1\r\nHost: shop.example\r\n\r\n")

    async def main():
        async with listening("0.0.0.0", 0, Fake()) as at:
            return at, await raw(
                attrs.evolve(at, host="127.0.0.1"), b"GET /status HTTP/1.1\r\nHost: b\r\n\r\n"
            )

    at, answer = asyncio.run(main())

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        f"0.0.0.0:{at.port} is reached from other machines: whoever does reads health, status and routes"
    ]


def test_old_clients_are_answered() -> None:
    """HTTP/1.0 knows no Host."""

    async def work(at, client):
        return await raw(at, b"GET /health/live HTTP/1.0\r\n\r\n")

    assert served(work).startswith(b"HTTP/1.1 200 ")


# --- those who do not behave --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET /status HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 100_000,
        b"GET /" + b"a" * 100_000,
        b"GET /status HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\r\n" * 1000,
        b"\x00" * 1000,
    ],
    ids=["tls", "header", "target", "hostless", "hosts", "target-bytes", "lengths", "coding", "lines", "nul"],
)
def test_what_is_no_request_is_refused(data) -> None:
    """Nothing of it is answered, the connection is closed, and the next one is served."""

    async def work(at, client):
        return await raw(at, data, end=True), (await client.get("/health/live")).status_code

    answer, after = served(work, asking=1.0)

    assert answer.split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"")
    assert b"node" not in answer
    assert after == 200


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=10, deadline=None)
def test_no_bytes_stop_it(pieces) -> None:
    """Whatever is sent, in whatever pieces: the next request is answered."""

    async def work(at, client):
        await raw(at, b"".join(pieces), end=True)
        return (await client.get("/health/live")).status_code

    assert served(work, asking=0.2) == 200


def test_a_request_that_drips_is_cut_off() -> None:
    """A head that does not come in time, or no head at all, does not keep a connection."""

    async def dripping(at):
        reader, writer = await asyncio.open_connection(at.host, at.port)
        with contextlib.suppress(ConnectionError):
            for each in b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 1000:
                writer.write(bytes([each]))
                await writer.drain()
                try:
                    await asyncio.wait_for(reader.read(1), 0.02)
                    break
                except TimeoutError:
                    pass
        cut = asyncio.get_running_loop().time()
        writer.close()
        return cut

    async def work(at, client):
        began = asyncio.get_running_loop().time()
        silent = await raw(at, b"")
        return silent, await dripping(at) - began

    silent, seconds = served(work, asking=0.3)

    assert silent == b""
    assert seconds < 5


def test_one_connection_serves_one_request() -> None:
    """What is sent behind it is not looked at."""
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def work(at, client):
        return await raw(at, request * 50)

    assert served(work).count(b"HTTP/1.1") == 1


def test_who_only_sits_there_makes_room() -> None:
    """Hundreds of silent connections do not keep a probe out."""

    async def work(at, client):
        idle = [await asyncio.open_connection(at.host, at.port) for _ in range(40)]
        codes = {(await client.get("/health/live")).status_code for _ in range(5)}
        for _, writer in idle:
            writer.close()
        return codes

    assert served(work, most=8) == {200}


def test_too_many_at_a_time_are_told() -> None:
    """Where all that there may be are being answered, the next one gets a 503."""
    let_go = asyncio.Event()

    async def slow():
        await let_go.wait()
        return "done"

    async def work(at, client):
        busy = [asyncio.create_task(client.get("/slow")) for _ in range(3)]
        begun = 0
        while begun < 3:
            await asyncio.sleep(0.01)
            begun = sum(task.get_name() == "oneiric-route" for task in asyncio.all_tasks())
        refused = await raw(at, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let_go.set()
        return refused.split(b"\r\n")[0], [(await each).text for each in busy]

    answer = served(work, routes=[route("/slow", slow)], most=3)

    assert answer == (b"HTTP/1.1 503 Service Unavailable", ["done"] * 3)


def test_many_at_once_are_answered() -> None:
    """A hundred clients."""

    async def work(at, client):
        return await asyncio.gather(
            *(raw(at, b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(100))
        )

    assert {answer.split(b"\r\n")[0] for answer in served(work)} == {b"HTTP/1.1 200 OK"}


# --- beginning and end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("get_", ["async", "sync"])
def test_the_end_waits_so_long_and_no_longer(get_) -> None:
    """A request that hangs is told so, and the port is free."""
    hangs = threading.Event()

    async def slow():
        await asyncio.Event().wait()

    async def main():
        loop = asyncio.get_running_loop()
        async with listening(
            "127.0.0.1", 0, Fake(), [route("/slow", slow if get_ == "async" else hangs.wait)], grace=0.2
        ) as at:
            asked = asyncio.create_task(raw(at, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            while not any(task.get_name() == "oneiric-route" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
            began = loop.time()
        seconds = loop.time() - began
        hangs.set()
        with socket.create_server((at.host, at.port)):
            return (await asked).split(b"\r\n")[0], seconds < 3

    assert asyncio.run(main()) == (b"HTTP/1.1 504 Gateway Timeout", True)


def test_the_end_does_not_wait_for_who_does_not_read() -> None:
    """A client that takes nothing of a large answer is left."""

    async def main():
        loop = asyncio.get_running_loop()
        big = route("/big", lambda: "x" * 50_000_000)
        async with listening("127.0.0.1", 0, Fake(), [big], grace=0.2) as at:
            reader, writer = await asyncio.open_connection(at.host, at.port, limit=1)
            writer.write(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.read(1)
            began = loop.time()
        writer.transport.abort()
        return loop.time() - began

    assert asyncio.run(main()) < 3


def test_cancelled_it_is_closed() -> None:
    """Whoever runs it may be cancelled; nothing is left."""

    async def main():
        at = asyncio.get_running_loop().create_future()

        async def work():
            async with listening("127.0.0.1", 0, Fake()) as there:
                at.set_result(there)
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        there = await at
        task.cancel()
        await asyncio.wait({task})
        with socket.create_server((there.host, there.port)):
            return task.cancelled(), [
                each for each in asyncio.all_tasks() if each is not asyncio.current_task()
            ]

    assert asyncio.run(main()) == (True, [])


def test_signals_and_logging_stay_as_they_are() -> None:
    """They belong to whoever runs the process."""

    def state():
        loggers = [
            logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")
        ]
        return (
            [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
            [(each.level, list(each.handlers), list(each.filters), each.propagate) for each in loggers],
        )

    async def main():
        before = state()
        async with listening("127.0.0.1", 0, Fake()) as at:
            await raw(at, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            during = state()
        return before == during, before == state()

    assert asyncio.run(main()) == (True, True)


def test_bad_requests_do_not_fill_the_log(caplog) -> None:
    """Whoever can connect could fill a disk; there is one line a minute, and none for what is answered."""
    caplog.set_level(logging.INFO)

    async def work(at, client):
        for _ in range(20):
            await raw(at, b"\x00\r\n\r\n")
            await client.get("/health/live")

    served(work)

    names = [record.name for record in caplog.records]
    assert names.count("oneiric.serving.connections") <= 1
    assert {name for name in names if not name.startswith("httpx")} <= {
        "oneiric.serving.connections",
        "uvicorn.error",
    }


def test_a_port_that_is_taken_is_told() -> None:
    """In one line, and with the exit code of what is refused."""

    async def main(port):
        async with listening("127.0.0.1", port, Fake()):
            pass

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressTaken) as caught:
            asyncio.run(main(port))

    assert (str(caught.value), caught.value.exit_code) == (
        f"somebody listens at 127.0.0.1:{port} already\n  take another port, or 0 for a free one",
        4,
    )


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("203.0.113.7", "this process cannot listen at 203.0.113.7:0: it is no address of this machine"),
        ("no.such.host.invalid", "there is no host 'no.such.host.invalid' to listen at"),
    ],
)
def test_a_host_that_is_not_ours_is_told(host, message) -> None:
    """In one line."""

    async def main():
        async with listening(host, 0, Fake()):
            pass

    with pytest.raises(OneiricError) as caught:
        asyncio.run(main())

    assert str(caught.value) == message


def test_without_uvicorn_it_says_what_to_install(tmp_path) -> None:
    """One line to copy."""
    (tmp_path / "uvicorn.py").write_text(
        "raise ModuleNotFoundError('No module named uvicorn', name='uvicorn')"
    )
    script = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from oneiric.serving import listening, NoServer\n"
        "async def main():\n"
        "    async with listening('127.0.0.1', 0, None): pass\n"
        "try: asyncio.run(main())\n"
        "except NoServer as error: print(error, error.exit_code)\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == (
        'serving HTTP needs uvicorn\n  pip install "oneiric[serve]" 3\n',
        "",
    )


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9000", ("::1", 9000)),
        ("[::]:65535", ("::", 65535)),
        ("shop_1.example.org:80", ("shop_1.example.org", 80)),
    ],
)
def test_an_address_is_read(text, expected) -> None:
    """Host and port, of names and of both kinds of addresses."""
    assert address(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("9000", "it names no host"),
        (":9000", "it names no host"),
        ("", "it names no host"),
        ("localhost", "it names no host"),
        ("localhost:", "its port is none"),
        ("localhost:70000", "its port is none"),
        ("localhost:-1", "its port is none"),
        ("localhost:８０", "its port is none"),
        ("http://localhost:80", "its host is none"),
        ("::1:9000", "it needs brackets"),
        ("[::1]", "its port is none"),
        ("[127.0.0.1]:80", "its host is none"),
        ("127.1:80", "its host is none"),
        ("300.1.1.1:80", "its host is none"),
        ("a b:80", "its host is none"),
        ("x" * 300 + ":80", "its host is none"),
        ("a\n:80", "its host is none"),
    ],
)
def test_what_is_no_address_says_why(text, says) -> None:
    """With the form to write it in; nothing of it is guessed."""
    with pytest.raises(BadAddress) as caught:
        address(text)

    first, hint = str(caught.value).splitlines()
    assert first.endswith(f" is no address to listen at: {says}")
    assert hint.startswith("  write ")
    assert caught.value.exit_code == 2


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_addresses(text) -> None:
    """It is one, or it is refused."""
    try:
        host, port = address(text)
    except BadAddress as error:
        assert len(str(error)) < 300
    else:
        assert host
        assert 0 <= port <= 65535
    assert is_loopback(text) in (True, False)


def test_it_listens_on_both_kinds_of_addresses() -> None:
    """The address that is given can be asked."""

    async def work(at, client):
        return str(at).rpartition(":")[0], (await client.get("/health/live")).status_code

    hosts = ["127.0.0.1", "localhost"] + (["::1"] if socket.has_dualstack_ipv6() else [])

    assert {host for host, code in (served(work, host=host) for host in hosts) if code == 200} <= {
        "127.0.0.1",
        "[::1]",
    }


# --- through the front door ---------------------------------------------------------------------------------------


def _spawn(folder, *words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "oneiric", *words],
        cwd=folder,
        env=env | {"ONEIRIC_STATE_DIR": str(folder / "state"), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.once
def test_the_command_serves_and_logs(tmp_path) -> None:
    """From a settings file and an option to answers and a log, until SIGTERM."""
    (tmp_path / "shop.py").write_text(
        "import logging\n"
        "from oneiric_hookspecs import Route, hookimpl\n"
        "def version():\n"
        "    logging.getLogger('shop').info('asked')\n"
        "    return '1.0'\n"
        "@hookimpl\n"
        "def oneiric_routes():\n"
        "    yield Route('/version', 'text/plain', version)\n"
    )
    (tmp_path / "oneiric.toml").write_text(
        '[app]\nplugins = ["shop"]\n[logging.sinks.all]\nto = "file"\npath = "all.log"\nformat = "json"\n'
    )
    process = _spawn(tmp_path, "orchestrate", "--http", "127.0.0.1:0")
    try:
        for line in process.stderr:
            if line.startswith("serving "):
                break
        at = line.split()[1]
        answers = [
            httpx.get(f"{at}{path}", timeout=20)
            for path in ("/health/live", "/version", "/status", "/metrics")
        ]
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=60)

    assert [each.status_code for each in answers] == [200, 200, 200, 404]
    assert answers[1].text == "1.0"
    assert (process.returncode, out) == (0, "")
    logged = [json.loads(line) for line in (tmp_path / "all.log").read_text().splitlines()]
    assert [each["message"] for each in logged if each["logger"] == "shop"] == ["asked"]


@pytest.mark.once
def test_the_command_refuses_in_one_line(tmp_path) -> None:
    """An address that is none, and one that is taken: with the exit codes of either, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        several = [_spawn(tmp_path, "orchestrate", "--http", at) for at in ("nonsense", f"127.0.0.1:{port}")]
        ended = [(each.communicate(timeout=60), each.returncode) for each in several]

    assert [code for _, code in ended] == [2, 4]
    assert [err.split("error: ")[1].splitlines()[0] for (_, err), _ in ended] == [
        "'nonsense' is no address to listen at: it names no host",
        f"somebody listens at 127.0.0.1:{port} already",
    ]
    assert all("Traceback" not in err for (_, err), _ in ended)
