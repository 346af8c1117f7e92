"""What is known of a stream: for people, for scripts, and for the file ``remote_status.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import attrs
from oneiric_hookspecs import SyncReport

from .disk import Disk
from .pacing import Circuit

#: ``empty``: nothing was accepted yet.  ``active``: a release is in force.  ``stale``: it has expired.
Condition = Literal["empty", "active", "stale"]


@attrs.frozen
class StreamStatus:
    """What is known of one stream on this machine, and of its syncs in this process.

    Args:
        stream: Its name.
        url: Its address, without what could be a secret.
        verifier: Who decides what is believed.
        condition: How it is.
        epoch: Of the release in force; None for none.
        version: The same.
        floor: The highest (epoch, version) that was verified, below which nothing is accepted; None for none.
        issued: When the release in force was signed, in seconds since 1970; None for none.
        expires: Until when it may be believed, the same.
        applied_at: When it was first applied here, the same.
        domains: How many of its entries are registered, by domain.
        circuit: Whether it is asked.
        failures: In a row.
        next_attempt: When it is due, in seconds since 1970; 0 for at once.
        last_ok: When a sync last went well in this process, the same; None for never.
        last: The last sync of this process; None for none.
        refused: What was refused last, and not yet replaced: code, line, detail; None for nothing.
        attempts: Syncs of this process.
        successes: Those that went well.
        failed: Those that did not, by code.
        budget_ms: ``latency_budget``; None for none.
        over_budget: How many syncs took longer.
        running: Whether this process syncs it again and again.
    """

    stream: str
    url: str
    verifier: str
    condition: Condition
    epoch: int | None = None
    version: int | None = None
    floor: tuple[int, int] | None = None
    issued: int | None = None
    expires: int | None = None
    applied_at: float | None = None
    domains: Mapping[str, int] = attrs.field(factory=dict)
    circuit: Circuit = "closed"
    failures: int = 0
    next_attempt: float = 0.0
    last_ok: float | None = None
    last: SyncReport | None = None
    refused: Mapping[str, Any] | None = None
    attempts: int = 0
    successes: int = 0
    failed: Mapping[str, int] = attrs.field(factory=dict)
    budget_ms: int | None = None
    over_budget: int = 0
    running: bool = False


def report_json(report: SyncReport) -> dict[str, Any]:
    """*report* in the form of ``oneiric/remote-sync/1``."""
    return {
        "stream": report.stream,
        "outcome": report.outcome,
        "code": report.code,
        "line": report.line,
        "detail": report.detail,
        "epoch": report.epoch,
        "version": report.version,
        "added": [entry_json(each) for each in report.added],
        "changed": [entry_json(each) for each in report.changed],
        "removed": [entry_json(each) for each in report.removed],
        "skipped": [{**entry_json(each), "why": why} for each, why in report.skipped],
        "stale": report.stale,
        "signers": list(report.signers),
        "domains": dict(report.domains),
        "bytes": report.sent,
        "digest_checks": report.digests,
        "duration_ms": round(report.duration_ms, 3),
    }


def entry_json(identity: tuple[str, str, str, str]) -> dict[str, str]:
    """An identity, spelled out."""
    return dict(zip(("domain", "key", "provider", "version"), identity, strict=True))


def status_json(status: StreamStatus) -> dict[str, Any]:
    """*status* as plain data."""
    plain = attrs.asdict(status, recurse=False)
    plain["floor"] = None if status.floor is None else list(status.floor)
    plain["domains"], plain["failed"] = dict(status.domains), dict(status.failed)
    plain["refused"] = None if status.refused is None else dict(status.refused)
    plain["last"] = None if status.last is None else report_json(status.last)
    return plain


def shown_url(url: str) -> str:
    """*url* without user, password, query and fragment."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def write_status_file(folder: Path, statuses: Iterable[StreamStatus], now: float) -> None:
    """Write ``remote_status.json``, in the place of the one before.

    Args:
        folder: The state directory of the application.
        statuses: Of its streams.
        now: Seconds since 1970; who reads the file knows by this and the process's id how old it is.
    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    told = {
        "schema": "oneiric/remote-status-file/1",
        "pid": os.getpid(),
        "written": now,
        "streams": [status_json(each) for each in statuses],
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    Disk().write(folder / "remote_status.json", json.dumps(told, indent=1).encode() + b"\n")
