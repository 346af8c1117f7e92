"""What OpenTelemetry and the log are told of a sync."""

import logging

import pytest
from oneiric_hookspecs import StreamView, SyncReport

from oneiric import assemble
from oneiric.plugins._metrics import METRICS
from oneiric.plugins.telemetry.syncs import EVENT

VIEW = StreamView("prod", "https://example.org/secret-path/")
ENTRY = ("adapter", "cache", "redis", "1.0")
APPLIED = SyncReport(
    "prod",
    "applied",
    epoch=1,
    version=7,
    added=(ENTRY, ENTRY),
    changed=(ENTRY,),
    sent=900,
    digests=2,
    domains={"adapter": 3},
    duration_ms=12.5,
)
REJECTED = SyncReport(
    "prod",
    "rejected",
    code="signature",
    detail="https://example.org/?token=hunter2 is not signed",
    epoch=1,
    version=7,
    sent=100,
    duration_ms=2.0,
)


@pytest.fixture
def plugin():
    """The plugin of a runtime that nobody has started."""
    runtime = assemble({}, environment=False)
    yield next(record.plugin for record in runtime.hooks.plugins if record.name == "telemetry")
    runtime.hooks.close()


def test_a_sync_is_counted(sdk, plugin):
    """By stream, outcome, code and change; every instrument that is listed, and no other."""
    plugin.oneiric_synced(VIEW, APPLIED)
    plugin.oneiric_synced(VIEW, REJECTED)

    stream = ("stream", "prod")
    # Other runtimes of this process may not be gone yet, and tell of what went wrong in their plugins.
    metrics = {each: number for each, number in sdk.metrics().items() if "_plugin_" not in each[0]}
    assert metrics == {
        ("oneiric_remote_sync_total", (("code", ""), ("outcome", "applied"), stream)): 1,
        ("oneiric_remote_sync_total", (("code", "signature"), ("outcome", "rejected"), stream)): 1,
        ("oneiric_remote_sync_duration_ms", (("outcome", "applied"), stream)): 1,
        ("oneiric_remote_sync_duration_ms", (("outcome", "rejected"), stream)): 1,
        ("oneiric_remote_bytes_total", (stream,)): 1000,
        ("oneiric_remote_digest_checks_total", (stream,)): 2,
        ("oneiric_remote_entries_total", (("change", "added"), stream)): 2,
        ("oneiric_remote_entries_total", (("change", "changed"), stream)): 1,
    }
    assert {name for name, _ in metrics} == {name for name in METRICS if "_remote_" in name}


def test_a_sync_is_a_span(sdk, plugin):
    """As long as it took, and an error where it was one; its texts are in no attribute."""
    plugin.oneiric_synced(VIEW, REJECTED)

    [span] = sdk.spans()
    assert (span.name, span.end_time - span.start_time) == ("oneiric.remote.sync", 2_000_000)
    assert (span.status.is_ok, span.status.description) == (False, "signature")
    assert "hunter2" not in str(dict(span.attributes))
    assert span.attributes["oneiric.outcome"] == "rejected"


def test_an_attempt_is_one_event_of_the_log(plugin, caplog):
    """With the same figures; loud where it was refused, quiet where nothing changed."""
    caplog.set_level(logging.DEBUG, "oneiric.remote")
    for report in (APPLIED, REJECTED, SyncReport("prod", "unchanged", epoch=1, version=7)):
        plugin.oneiric_synced(VIEW, report)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "remote.telemetry: stream prod: applied at 1.7, 2 added, 1 changed, 0 removed in 12 ms"),
        ("WARNING", "remote.telemetry: stream prod: rejected (signature) at 1.7 in 2 ms"),
        ("DEBUG", "remote.telemetry: stream prod: unchanged at 1.7 in 0 ms"),
    ]
    assert [record.event for record in caplog.records] == [EVENT] * 3
    assert caplog.records[0].domains == {"adapter": 3}
