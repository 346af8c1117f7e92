"""The SDK of OpenTelemetry: what collects, what is sent where, and how all of it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

if TYPE_CHECKING:
    from . import Settings

#: Bounds in milliseconds: a step of an operation takes microseconds, a database that starts takes a minute.
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)


class Sending:
    """The providers of this process, made and set.

    Args:
        settings: As of the plugin.
        name: What the process is called where the settings do not say.

    Attributes:
        taken: What the application had a provider for; those are left as they are.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._resource = Resource.create({"service.name": settings.service_name or name})
        self._headers = {key: str(value.reveal()) for key, value in settings.headers.items()}
        self._ends: list[TracerProvider | MeterProvider] = []
        taken: list[Literal["traces", "metrics"]] = []
        if _is_set(trace.get_tracer_provider(), trace):
            taken.append("traces")
        elif settings.endpoint is not None:
            tracers = self._tracers(settings.endpoint)
            trace.set_tracer_provider(tracers)
            self._ends.append(tracers)
        if _is_set(metrics.get_meter_provider(), metrics):
            taken.append("metrics")
        else:
            meters = MeterProvider(
                self._readers(),
                self._resource,
                shutdown_on_exit=False,  # close() does that, and does not wait for ever
                views=[
                    View(
                        instrument_name="oneiric_*_ms",
                        aggregation=ExplicitBucketHistogramAggregation(BUCKETS),
                    )
                ],
            )
            metrics.set_meter_provider(meters)
            self._ends.append(meters)
        self.taken = tuple(taken)

    def _tracers(self, endpoint: str) -> TracerProvider:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(
            _below(endpoint, "traces"), headers=self._headers, timeout=self._settings.timeout
        )
        tracers = TracerProvider(
            ParentBasedTraceIdRatio(self._settings.sampling), self._resource, shutdown_on_exit=False
        )
        tracers.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=min(5.0, self._settings.interval) * 1000)
        )
        return tracers

    def _readers(self) -> list[MetricReader]:
        found: list[MetricReader] = []
        settings = self._settings
        if settings.endpoint is not None:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            exporter = OTLPMetricExporter(
                _below(settings.endpoint, "metrics"), headers=self._headers, timeout=settings.timeout
            )
            found.append(
                PeriodicExportingMetricReader(exporter, settings.interval * 1000, settings.timeout * 1000)
            )
        if settings.prometheus:
            from opentelemetry.exporter.prometheus import PrometheusMetricReader

            found.append(PrometheusMetricReader())
        return found

    def exposition(self) -> bytes:
        """All metrics of the process, as Prometheus reads them."""
        from prometheus_client import REGISTRY, generate_latest

        return generate_latest(REGISTRY)

    def close(self, seconds: float) -> bool:
        """Send what is left; whether that was done in time.  What goes on after that keeps no process alive."""
        ends = [
            threading.Thread(target=each.shutdown, name="end OpenTelemetry", daemon=True)
            for each in self._ends
        ]
        for thread in ends:
            thread.start()
        from time import monotonic

        until = monotonic() + seconds
        for thread in ends:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in ends)


def _is_set(provider: object, api: object) -> bool:
    """Whether somebody has set it; the API's own only stand in for one."""
    return not type(provider).__module__.startswith(api.__name__)  # type: ignore[attr-defined]


def _below(endpoint: str, what: str) -> str:
    return f"{endpoint.rstrip('/')}/v1/{what}"
