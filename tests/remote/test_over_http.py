"""A stream over http, from a server on loopback that does whatever it is told: each sync ends, with its code."""

import gc
import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from stream_publisher import DAY, entry

A = entry("adapter", "thing", "a", "stream_kit:Part")
B = entry("adapter", "other", "b", "stream_kit:plain")
#: What a server may do with a request, by name; each is given the handler, and the bytes that it was asked for.
TRICKS = {}


def trick(function):
    TRICKS[function.__name__.replace("_", "-")] = function
    return function


def answer(handler, status=200, data=b"", **headers):
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@trick
def error(handler, data):
    answer(handler, 500, b"sorry")


@trick
def too_many(handler, data):
    answer(handler, 429, Retry_After="99999999")


@trick
def not_modified_for_ever(handler, data):
    answer(handler, 304)


@trick
def elsewhere(handler, data):
    answer(handler, 302, Location="https://example.org/head.json")


@trick
def to_a_file(handler, data):
    answer(handler, 302, Location="file:///etc/passwd")


@trick
def a_portal(handler, data):
    answer(handler, 200, b"<html>log in</html>")


@trick
def cut_off(handler, data):
    data = data or bytes(500)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True


@trick
def endless(handler, data):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 65_536)


@trick
def drip(handler, data):
    data = data or bytes(500)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    for byte in data:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


@trick
def packed(handler, data):
    answer(handler, 200, gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")


@trick
def silent(handler, data):
    time.sleep(1)
    handler.close_connection = True


class Server:
    """Serves a folder, and plays the trick of the hour on what begins with ``on``.

    Attributes:
        trick: What is done instead of serving; None serves.
        on: The beginning of the paths that it is done to.
        asked: The paths that were asked for.
    """

    def __init__(self, folder) -> None:
        self.folder, self.trick, self.on, self.asked = folder, None, "", []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.lstrip("/")
                outer.asked.append((path, self.headers.get("Authorization")))
                file = outer.folder / path
                data = file.read_bytes() if file.is_file() else b""
                try:
                    if outer.trick is not None and path.startswith(outer.on):
                        TRICKS[outer.trick](self, data)
                    elif not file.is_file():
                        answer(self, 404)
                    elif self.headers.get("If-None-Match") == f'"{hash(data)}"':
                        answer(self, 304, ETag=f'"{hash(data)}"')
                    else:
                        answer(self, 200, data, ETag=f'"{hash(data)}"')
                except OSError:
                    self.close_connection = True  # the reader has had enough

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.block_on_close = False
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(project):
    """The project's stream, over http; its deadlines pass fifteen times as fast."""
    server = Server(project.publisher.folder)
    project.settings(url=server.url)
    yield server
    server.close()


def hasty(project):
    """A runtime for whose stream a second is fifteen."""
    runtime = project.runtime()
    runtime.remote.stream("prod").monotonic = lambda: time.monotonic() * 15
    return runtime


@pytest.mark.parametrize("on", ["head.json", "manifests/", "keyrings/"])
@pytest.mark.parametrize(
    ("trick", "codes"),
    [
        ("error", {"http-status"}),
        ("too-many", {"http-status"}),
        ("elsewhere", {"redirect"}),
        ("to-a-file", {"redirect"}),
        ("a-portal", {"malformed", "size", "digest", "keyring-rejected"}),
        ("cut-off", {"unreachable", "size"}),
        ("endless", {"too-large", "size"}),
        ("drip", {"deadline"}),
        ("packed", {"encoding"}),
        ("silent", {"deadline", "unreachable"}),
    ],
)
def test_each_trick_ends_with_its_code(project, server, trick, codes, on):
    """T20 to T24, T27: on the head, the body and the keyrings; what was in force stays, and the next good one comes."""
    project.publisher.publish(A)
    runtime = hasty(project)
    assert project.synced(runtime).outcome == "applied"
    project.publisher.publish(A, B)
    server.trick, server.on = trick, on

    began = time.monotonic()
    report = project.synced(runtime)
    took = time.monotonic() - began

    assert (report.outcome in {"rejected", "unreachable"}, report.code in codes, report.version) == (
        True,
        True,
        1,
    ), report
    assert took < 20
    assert runtime.resolve("adapter", "thing").provider == "a"
    server.trick = None
    assert (project.synced(runtime).outcome, runtime.resolve("adapter", "other").provider) == ("applied", "b")


@pytest.mark.parametrize(
    ("on", "code"), [("head.json", "expired"), ("manifests/", "http-status"), ("keyrings/", "http-status")]
)
def test_t8_an_answer_that_nothing_changed_prolongs_nothing(project, server, on, code):
    """Of the head it is believed until what is in force expires; of what is not known, it is no answer."""
    project.publisher.publish(A)
    runtime = hasty(project)
    project.synced(runtime)
    project.publisher.publish(A, B)
    server.trick, server.on = "not-modified-for-ever", on
    if on == "head.json":
        assert project.synced(runtime).outcome == "unchanged"
        project.now += 8 * DAY

    report = project.synced(runtime)

    assert (report.code in {code, "plugin-error"}, report.version) == (True, 1), report


def test_t27_what_the_server_asks_for_is_told(project, server):
    """In seconds; how long that may be is the loop's to say."""
    server.trick = "too-many"

    assert project.synced(hasty(project)).retry_after == 99_999_999


def test_t26_a_credential_goes_along(project, server, monkeypatch):
    """By its name in the settings, as a bearer token, with every request to the stream's own origin."""
    monkeypatch.setenv("TOKEN", "open-sesame")
    project.settings('auth = "token"', url=server.url, head='[secrets]\ntoken = "env:TOKEN"')
    project.publisher.publish(A)

    assert project.synced().outcome == "applied"
    assert {credential for _, credential in server.asked} == {"Bearer open-sesame"}


def test_s14_what_was_accepted_costs_a_question(project, server):
    """Its head is known by its tag, to the next process too: not a byte comes while nothing changes."""
    project.publisher.publish(A, B)
    runtime = project.runtime()
    first = project.synced(runtime)

    again = [project.synced(each) for each in (runtime, project.runtime())]

    assert (first.outcome, first.sent > 0) == ("applied", True)
    assert [(each.outcome, each.sent) for each in again] == [("unchanged", 0)] * 2


def test_s15_what_was_refused_costs_a_question(project, server):
    """Its head is known by its tag, to the next process too: not a byte comes, and the refusal is told again."""
    project.publisher.publish(A, {**B, "priority": 1000})
    runtime = project.runtime()
    first = project.synced(runtime)
    asked = len(server.asked)

    again = [project.synced(each) for each in (runtime, runtime, project.runtime())]

    assert first.sent > 0
    assert {(each.code, each.line, each.detail, each.sent) for each in again} == {
        ("scope", first.line, first.detail, 0)
    }
    assert [path for path, _ in server.asked[asked:]] == ["head.json"] * 3


def test_a_thousand_unchanged_polls(project, server):
    """Nothing is registered, nothing is written, nothing grows: one request each, and no more."""
    project.publisher.publish(A, B)
    runtime = project.runtime()
    project.synced(runtime)
    for _ in range(50):
        project.synced(runtime)
    state = {path: path.stat().st_mtime_ns for path in (project.folder / "state").rglob("*")}
    revision, asked = runtime.revision, len(server.asked)
    gc.collect()
    before = len(gc.get_objects())

    outcomes = {project.synced(runtime).outcome for _ in range(1000)}

    gc.collect()
    assert (outcomes, runtime.revision) == ({"unchanged"}, revision)
    assert {path for path, _ in server.asked[asked:]} == {"head.json"}
    assert len(server.asked) - asked == 1000
    assert {path: path.stat().st_mtime_ns for path in (project.folder / "state").rglob("*")} == state
    # Those of the server's own bookkeeping are in the list, too.
    assert len(gc.get_objects()) - before < 2_500
