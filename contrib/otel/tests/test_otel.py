"""The kit against a collector on this machine, and what Prometheus would read."""

import asyncio
import gzip
import http.server
import importlib.util
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from oneiric_hookspecs import Candidate, Key, specs
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

import oneiric_otel
from oneiric import assemble
from oneiric.plugins._metrics import METRICS
from oneiric.testing import KitConformance

A = Key.of("adapter", "a")
HERE = Path(__file__).parents[1]


class TestOtel(KitConformance):
    """A kit as it should be."""

    plugin = oneiric_otel.Plugin


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """No provider is set, as at the start of a process; the API lets nobody set one twice."""
    import opentelemetry.metrics._internal as inner

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(inner, "_METER_PROVIDER", None)
    monkeypatch.setattr(inner, "_METER_PROVIDER_SET_ONCE", Once())


class Collector:
    """Receives OTLP over HTTP, and remembers it; or takes it, and never answers."""

    def __init__(self, *, hangs=False):
        self.spans, self.metrics, self.headers, self.services = [], {}, [], set()
        self.let_go = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hangs:
                    collector.let_go.wait(30)
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path, body):
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services |= {
                    each.value.string_value
                    for each in resource.resource.attributes
                    if each.key == "service.name"
                }
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics |= {metric.name: metric for metric in scope.metrics}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def runtime_of(settings, name="shop", **more):
    """A runtime of settings for the kit, as it is installed."""
    plugins = {"only": ["otel"], "settings": {"otel": settings}}
    return assemble({"app": {"name": name}, "plugins": plugins, **more})


async def make():
    """An instance."""
    return object()


async def play(runtime):
    """Two operations, an action and an event."""
    runtime.register(Candidate(A, "two", make), Candidate(A, "one", make))
    await runtime.swap(*A, "one")
    await runtime.swap(*A, "two")
    await runtime.call("action", "compression.hash", {"text": "hunter2"})
    await runtime.domain("event").emit("a.b", {"customer": "hunter2"})


def routes(runtime):
    """What is served, by path."""
    return {route.path: route for route in runtime.hooks[specs.oneiric_routes]()}


def run(settings, act=play, **more):
    """Act in a runtime; what *act* gives."""

    async def main():
        async with runtime_of(settings, **more) as runtime:
            return await act(runtime)

    return asyncio.run(main())


def test_spans_and_metrics_arrive(tmp_path):
    """With the name of the application and the secret; all is sent when the runtime has closed."""
    (tmp_path / "token").write_text("hunter3")
    (tmp_path / "token").chmod(0o600)
    with Collector() as collector:
        settings = {
            "endpoint": collector.url + "/",
            "headers": {"authorization": {"$secret": "collector"}, "x-api-key": {"$secret": "collector"}},
            "prometheus": False,
        }
        run(settings, secrets={"collector": f"file:{tmp_path}/token"})

    assert [span.name for span in collector.spans] == ["oneiric.swap", "oneiric.swap", "oneiric.activate"]
    assert collector.services == {"shop"}
    assert {"oneiric_lifecycle_swap_duration_ms", "oneiric_action_invocations_total"} <= set(
        collector.metrics
    )
    assert set(collector.metrics) <= set(METRICS)
    assert {headers["authorization"] for headers in collector.headers} == {"hunter3"}
    assert {headers["x-api-key"] for headers in collector.headers} == {"hunter3"}
    assert "hunter2" not in f"{collector.spans}{collector.metrics}"


def test_metrics_are_sent_again_and_again():
    """At the interval, while the runtime runs."""
    with Collector() as collector:

        async def act(runtime):
            await play(runtime)
            async with asyncio.timeout(20):
                while not collector.metrics:  # noqa: ASYNC110 - another thread fills it
                    await asyncio.sleep(0.01)
            return set(collector.metrics)

        sent = run({"endpoint": collector.url, "interval": 0.05, "prometheus": False}, act)

    assert "oneiric_lifecycle_swap_duration_ms" in sent


def test_sampling_decides_for_traces_alone():
    """None of them is sent where the share is 0; metrics are whole."""
    with Collector() as collector:
        run({"endpoint": collector.url, "sampling": 0.0, "prometheus": False})

    assert (collector.spans, "oneiric_lifecycle_swap_duration_ms" in collector.metrics) == ([], True)


def test_prometheus_reads_the_same_names():
    """Without a word of the exporter's in them, and with buckets that tell a swap from another."""

    async def act(runtime):
        await play(runtime)
        route = routes(runtime)["/metrics"]
        return route.content_type, (await asyncio.to_thread(route.get)).decode()

    kind, text = run({}, act)

    assert kind.startswith("text/plain; version=0.0.4")
    families = dict(re.findall(r"^# TYPE (oneiric_\w+) (\w+)$", text, re.MULTILINE))
    assert families["oneiric_lifecycle_swap_duration_ms"] == "histogram"
    assert set(families) <= set(METRICS)
    assert re.search(r'^oneiric_lifecycle_swap_duration_ms_bucket{.*le="0.25".*} ', text, re.MULTILINE)
    assert re.search(
        r'^oneiric_action_invocations_total{.*key="compression.hash".*outcome="succeeded".*} 1.0$',
        text,
        re.MULTILINE,
    )
    assert "hunter2" not in text


def test_no_route_where_nobody_wants_one():
    """Nor anything set up, without an endpoint."""

    async def act(runtime):
        return routes(runtime), type(metrics.get_meter_provider()).__module__

    assert run({"prometheus": False}, act) == ({}, "opentelemetry.metrics._internal")


def test_what_the_application_has_set_stays(caplog):
    """Its providers are used by the framework, and not ended by this kit; the route says why it is empty."""
    tracers, meters = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    ended = []
    tracers.shutdown = meters.shutdown = lambda *_, **__: ended.append(True)
    caplog.set_level("INFO")

    async def act(runtime):
        return routes(runtime)["/metrics"].get().decode()

    with Collector() as collector:
        told = run({"endpoint": collector.url}, act)

    assert (trace.get_tracer_provider(), metrics.get_meter_provider(), ended) == (tracers, meters, [])
    assert told.startswith("# OpenTelemetry was not set up by this plugin")
    assert [each.message for each in caplog.records if "of its own" in each.message] == [
        f"the application has a provider of {what} of its own, which is left as it is"
        for what in ("traces", "metrics")
    ]


@pytest.mark.once
def test_a_process_ends_though_the_endpoint_hangs(tmp_path):
    """No thread of the SDK's keeps it; what is not sent in time is lost, and that is said.

    In a process of its own, since those threads go on trying for a while.
    """
    code = """
import asyncio, sys
from oneiric import assemble
from oneiric_hookspecs import Candidate, Key
async def make(): return object()
async def main():
    otel = {"endpoint": sys.argv[1], "close_timeout": 0.3, "timeout": 60.0}
    async with assemble({"plugins": {"only": ["otel"], "settings": {"otel": otel}}}) as runtime:
        runtime.register(Candidate(Key.of("adapter", "a"), "one", make))
        await runtime.swap("adapter", "a", "one")
asyncio.run(main())
print("ended")
"""
    with Collector(hangs=True) as collector:
        ended = subprocess.run(
            [sys.executable, "-c", code, collector.url],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=30,
            check=False,
        )

    assert (ended.stdout, ended.returncode) == ("ended\n", 0)
    assert "were not sent within 0.3 s" in ended.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "collector:4318"},
        {"endpoint": "http://ada:secret@collector:4318"},
        {"endpoint": "http://collector?x=1"},
        {"interval": 0},
        {"timeout": -1.0},
        {"sampling": 1.5},
        {"sampling": True},
        {"service": "x"},
    ],
    ids=str,
)
def test_settings_that_are_wrong_are_said(settings):
    """At the start, with their path; the kit has failed, and all else works."""
    runtime = runtime_of(settings)
    [record] = [record for record in runtime.hooks.plugins if record.name == "otel"]
    runtime.hooks.close()

    assert record.state == "failed"
    assert record.reason.startswith(f"plugins.settings.otel.{next(iter(settings))}: ")


def test_looking_imports_nothing(tmp_path):
    """A command that lists what there is has no SDK to wait for."""
    code = (
        "import sys; from oneiric.cli import main; main(['list'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert (ended.stdout.splitlines()[-1], ended.stderr) == ("[]", "")


# --- the dashboard ---------------------------------------------------------------------------------------------------


def queries():
    """All that the dashboard asks."""
    dashboard = json.loads((HERE / "oneiric_otel" / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_the_dashboard_is_what_its_script_writes():
    """So nobody mends one and not the other."""
    spec = importlib.util.spec_from_file_location("dashboard", HERE / "tests" / "dashboard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert (HERE / "oneiric_otel" / "dashboard.json").read_text() == module.text()


def test_the_dashboard_asks_for_what_there_is():
    """Each metric exists, of the kind that is asked, by attributes it has; and every metric is shown."""
    asked = set()
    for query in queries():
        [name] = {re.sub("_(bucket|sum|count)$", "", each) for each in re.findall(r"oneiric_\w+", query)}
        kind, attributes, _ = METRICS[name]
        asked.add(name)
        labels = {
            each for group in re.findall(r"by \(([^)]*)\)", query) for each in group.split(", ") if each
        }
        labels |= set(re.findall(r"(\w+)=", query))
        assert labels - {"le"} <= set(attributes), query
        assert (kind == "histogram") is bool(re.search(r"_(bucket|sum|count)[\[{]", query)), query

    assert asked == set(METRICS)
