"""Kit ``otel``: what the framework tells OpenTelemetry is sent by OTLP, and read by Prometheus.

It sets up the SDK when a runtime starts, unless the application has; what is told, the built-in plugin ``telemetry``
decides.  ``sending`` is all that imports the SDK.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Host, PluginContext, Route, Secret, hookimpl

if TYPE_CHECKING:
    from .sending import Sending

__all__ = ["Plugin", "Settings"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?", re.ASCII)
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _endpoint(_: object, __: Any, value: str | None) -> None:
    if value is not None and _ENDPOINT.fullmatch(value) is None:
        raise ValueError("expected http://HOST:PORT or https://HOST, without user, query and fragment")


def _seconds(_: object, __: Any, value: float) -> None:
    if value.__class__ not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"expected a finite number of seconds above 0, found {value!r}")


def _share(_: object, __: Any, value: float) -> None:
    if value.__class__ not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, found {value!r}")


@attrs.frozen(kw_only=True)
class Settings:
    """``[plugins.settings.otel]``.

    Args:
        service_name: What the process is called there; None takes ``[app] name``.
        endpoint: Where spans and metrics are sent, by OTLP over HTTP with protobuf: ``http://collector:4318``, to which
            ``/v1/traces`` and ``/v1/metrics`` are added; None sends nothing.
        headers: Sent along, such as a token: ``{ authorization = { "$secret" = "collector" } }``.
        interval: Seconds between two exports of metrics; spans are sent every five seconds, or sooner.
        timeout: Seconds that one export may take.
        close_timeout: Seconds that the last exports may take when the runtime closes; what is not sent then is lost.
        sampling: The share of traces that are sent, from 0 to 1; whoever has begun a trace has decided for all of it.
        prometheus: Whether ``oneiric orchestrate --http`` serves ``/metrics``.
    """

    service_name: str | None = None
    endpoint: str | None = attrs.field(default=None, validator=_endpoint)
    headers: Mapping[str, Secret] = _NOTHING
    interval: float = attrs.field(default=60.0, validator=_seconds)
    timeout: float = attrs.field(default=10.0, validator=_seconds)
    close_timeout: float = attrs.field(default=3.0, validator=_seconds)
    sampling: float = attrs.field(default=1.0, validator=_share)
    prometheus: bool = True


class Plugin:
    """Sets up the SDK, and ends it."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        self._settings: Settings = context.settings
        self._log, self._sending = context.log, None  # type: Any, Sending | None

    @hookimpl
    async def oneiric_started(self, host: Host) -> None:
        """Set it up, in a thread: importing the SDK takes a while.  A single command is over before anybody looks."""
        if host.brief or not (self._settings.endpoint or self._settings.prometheus):
            return
        self._sending = await host.in_thread(lambda: self._begin(host), name="set up OpenTelemetry")

    def _begin(self, host: Host) -> Sending:
        from .sending import Sending

        sending = Sending(self._settings, host.section("app").name)
        for what in sending.taken:
            self._log.info("the application has a provider of %s of its own, which is left as it is", what)
        return sending

    @hookimpl
    def oneiric_routes(self) -> Iterable[Route]:
        """What Prometheus reads."""
        if self._settings.prometheus:
            yield Route("/metrics", _CONTENT_TYPE, self._exposition, "metrics, for Prometheus")

    def _exposition(self) -> bytes:
        if self._sending is None or "metrics" in self._sending.taken:
            return b"# OpenTelemetry was not set up by this plugin: there is nothing of it to read here\n"
        return self._sending.exposition()

    def close(self) -> None:
        """Send what is left, for as long as the settings allow."""
        sending, self._sending = self._sending, None
        if sending is not None and not sending.close(self._settings.close_timeout):
            self._log.warning(
                "the last spans and metrics were not sent within %g s, and are lost",
                self._settings.close_timeout,
            )
