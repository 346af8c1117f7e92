"""Envelopes as CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec, json-format), and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from oneiric_hookspecs import Envelope, PluginError

_OURS = {
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "data",
    "correlationid",
    "causationid",
}


def to_cloudevent(envelope: Envelope) -> dict[str, Any]:
    """*envelope* with the names of the specification; headers are extension attributes."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.topic,
        "time": envelope.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "correlationid": envelope.correlation,
        **({"causationid": envelope.causation} if envelope.causation is not None else {}),
        **envelope.headers,
    }
    if envelope.payload is not None:
        event["data"] = envelope.payload
    return event


def from_cloudevent(event: Mapping[str, Any]) -> Envelope:
    """The envelope of a CloudEvent in structured JSON mode.

    Raises:
        PluginError: It is none, or of a kind that is not understood here.
    """
    if event.get("specversion") != "1.0":
        raise PluginError(f"a CloudEvent has specversion 1.0, found {event.get('specversion')!r}")
    for name in ("id", "source", "type"):
        if not isinstance(event.get(name), str):
            raise PluginError(f"a CloudEvent has the text {name}, found {event.get(name)!r}")
    if "data_base64" in event:
        raise PluginError("a payload in base64 is not understood")
    more: dict[str, Any] = {}
    if "time" in event:
        try:
            more["time"] = dt.datetime.fromisoformat(event["time"])
        except (TypeError, ValueError):
            raise PluginError(f"the time of a CloudEvent is RFC 3339, found {event['time']!r}") from None
    return Envelope(
        event["type"],
        event.get("data"),
        source=event["source"],
        id=event["id"],
        headers={name: value for name, value in event.items() if name not in _OURS and name != "subject"},
        correlation=event.get("correlationid"),
        causation=event.get("causationid"),
        **more,
    )
