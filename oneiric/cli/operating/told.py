"""What ``oneiric status`` says to people."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import a_few

from oneiric.cli.output import width

from .desk import NOBODY
from .moments import took
from .sparks import healths, swaps

if TYPE_CHECKING:
    from oneiric.cli.context import Context

#: Seconds without a sign of life that are worth a word.
SILENT = 10.0
_MODES = {"hold": "held", "pause": "paused", "drain": "draining"}


def human(context: Context, found: Mapping[str, Any], now: float) -> str:
    """All of it in lines, in the columns there are."""
    living = [node for node in found["nodes"] if node["living"]]
    lines = [_node(node, now) for node in living]
    if not living:
        lines = [f"{NOBODY}; it is kept going by: oneiric orchestrate"]
        lines += [f"pinned, from the next start on: {a_few(_pins(found))}"] if found["pins"] else []
        lines += ["", "known last, and maybe not so any more:"] if found["parts"] else []
    if found["parts"]:
        lines += [*([""] if living else []), _table(context, found, now)]
    elif living:
        lines.append("nothing is in use")
    several = len(living) > 1
    more = [*_sentences(found)] if living else []
    more += [f"{_label(node['node'], several)}{line}" for node in living for line in _about(node)]
    folded = [part for line in more for part in wrap(line, width(), subsequent_indent="  ")]
    return "\n".join([*lines, *(["", *folded] if folded else [])])


def ago(seconds: float) -> str:
    """A duration in its biggest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _label(node: str, several: bool) -> str:
    return f"{_tail(node)}: " if several else ""


def _tail(node: str) -> str:
    """A name that fits into a column; its end, which tells processes of one machine apart."""
    return node if len(node) <= 16 else "…" + node[-15:]


def _pins(found: Mapping[str, Any]) -> list[str]:
    return [f"{key} to {provider}" for key, provider in found["pins"].items()]


def _seconds(text: str | None, now: float) -> float | None:
    """How long ago a stamp was."""
    return None if text is None else now - calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _node(node: Mapping[str, Any], now: float) -> str:
    up = _seconds(node["started"], now)
    said = [f"{node['node']}: process {node['pid']} on {node['host']}"]
    said += [f"up {ago(up)}"] if up is not None else []
    said += ["ending"] if node["closing"] else []
    said += [f"no sign of life for {ago(node['age_seconds'])}"] if node["age_seconds"] >= SILENT else []
    summary = node["summary"]
    ready = None if summary is None else summary["health"].get("ready")
    if ready is None:
        said.append("has not said yet how it is")
    elif ready["status"] != "ok":
        word = "degraded" if ready["status"] == "degraded" else "not ready"
        said.append(": ".join([word, *ready["reasons"][:1]]))
    return "\n".join(wrap(", ".join(said), width(), subsequent_indent="  "))


# --- parts -----------------------------------------------------------------------------------------------------------


def _table(context: Context, found: Mapping[str, Any], now: float) -> str:
    several, wide = len(found["nodes"]) > 1, width() >= 100
    head = [
        "NODE",
        "DOMAIN",
        "KEY",
        "STATE",
        "PROVIDER",
        "SINCE",
        "HEALTH",
        "WAS",
        "P95",
        "SWAPS",
        "PINNED",
        "SEEN",
    ]
    rows = []
    for row in _parts(found):
        measured = row["measured"] or {}
        since, seen = _seconds(row["since"], now), _seconds(row["at"], now)
        rows.append(
            [
                _tail(row["node"]) if several else "",
                row["domain"],
                row["key"],
                _state(row),
                row["provider"] or "",
                ago(since) if since is not None and found["running"] else "",
                row["health"] or "",
                # What is of the past gives way where there is no room.
                healths(measured.get("health_changes", ()), 12) if wide else "",
                _p95(measured) if wide else "",
                swaps(measured.get("recent", ()), 12 if wide else 6),
                row["pin"] or "",
                "" if found["running"] or seen is None else f"{ago(seen)} ago",
            ]
        )
    return context.table(head, rows)


def _parts(found: Mapping[str, Any]) -> list[Any]:
    return sorted(found["parts"], key=lambda each: (each["domain"], each["key"], each["node"]))


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """What there is to say of parts, each sentence once, with the processes that say it where not all of them do."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in _parts(found):
        for sentence in _says(row):
            said.setdefault((f"{row['domain']}:{row['key']}", sentence), []).append(_tail(row["node"]))
    for (key, sentence), nodes in said.items():
        where = f" ({a_few(nodes)})" if len(nodes) < len(found["nodes"]) else ""
        about = "" if sentence.startswith(f"{key} ") else f"{key}: "
        yield f"{about}{sentence}{where}"


def _state(row: Mapping[str, Any]) -> str:
    if row["mode"] is None:
        return str(row["phase"])
    if row["mode"] == "drain" and row["provider"] is None:
        return "drained"
    return _MODES.get(row["mode"], str(row["mode"]))


def _p95(measured: Mapping[str, Any]) -> str:
    total = measured.get("latency", {}).get("total")
    return "" if total is None or total["p95"] is None else took(total["p95"])


def _says(row: Mapping[str, Any]) -> list[str]:
    """What people should know about a part, the same thing once."""
    ill = row["health"] not in (None, "ok")
    refused = row["outcome"] in ("failed", "rolled_back") or (
        row["outcome"] == "held" and row["mode"] is not None
    )
    told = [row["pending"], row["error"], row["reason"] if ill else "", row["told"] if refused else ""]
    found: list[str] = []
    for each in told:
        sentence = str(each).removeprefix(f"{row['domain']}:{row['key']}: ")
        if sentence and not any(sentence in other for other in found):
            found.append(sentence)
    return found


# --- domains, and the process ----------------------------------------------------------------------------------------

_COUNTS = ("failed", "unwell", "pending", "held", "paused", "draining", "drained", "noted")


def _about(node: Mapping[str, Any]) -> Iterator[str]:
    """What there is to say of a process beside its parts."""
    summary = node["summary"]
    if summary is None:
        return
    for domain, block in summary["domains"].items():
        yield f"{domain}: {_domain(block)}"
    for stream in summary["remote"]:
        yield f"stream {stream['stream']}: {_stream(stream)}"
    plugins, settings = summary["plugins"], summary["settings"]
    for name, reason in plugins["failed"].items():
        yield f"plugin {name} failed: {reason}"
    last = {fault["plugin"]: fault for fault in plugins["recent"]}
    for name, count in plugins["by_plugin"].items():
        fault = last.get(name)
        yield f"plugin {name}: {_many(count, 'fault')}" + (
            "" if fault is None else f", the last in {fault['hook']}: {fault['error']}"
        )
    if settings is not None and settings["error"]:
        yield f"settings: not taken: {settings['error']}"
    for loop in summary["loops"]:
        if loop["failures"]:
            yield f"{loop['name']}: failed {_many(loop['failures'], 'time')}: {loop['error']}"
    for each in summary["attempts"]:
        if each["breaker"] != "closed":
            yield f"{each['name']}: its breaker is {each['breaker']}, {_many(each['refused'], 'call')} refused"
    if summary["threads"]:
        yield f"calls that have not come back: {a_few(summary['threads'])}"
    if summary["events_lost"]:
        yield f"{_many(summary['events_lost'], 'event')} not in the history: the store was away for too long"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _domain(block: Mapping[str, Any]) -> str:
    counts, measured = block["counts"], block["measured"]
    said = [f"{counts['bound']} of {_many(counts['parts'], 'part')} bound"]
    said += [f"{counts[name]} {name}" for name in _COUNTS if counts.get(name)]
    if counts["swaps"]:
        said.append(_many(counts["swaps"], "swap"))
    if counts["rollbacks"]:
        said.append(f"{counts['rollbacks']} rolled back")
    if measured is not None:
        said += _measured(measured)
    return ", ".join(said)


def _measured(measured: Mapping[str, Any]) -> list[str]:
    said = []
    total, gap = measured["latency"].get("total"), measured["latency"].get("gap")
    if total is not None:
        said.append(f"p50 {took(total['p50'])}, p95 {took(total['p95'])}, p99 {took(total['p99'])}")
    if gap is not None and gap["max"]:
        said.append(f"gap p95 {took(gap['p95'])}")
    rate = measured["success_rate"]
    if rate is not None and rate < 1:
        said.append(f"{rate:.1%} came about")
    return said


def _stream(stream: Mapping[str, Any]) -> str:
    at = "" if stream["version"] is None else f" {stream['epoch']}.{stream['version']}"
    said = [f"{stream['condition']}{at}, {_many(sum(stream['domains'].values()), 'part')}"]
    last, budget = stream["last"], stream["budget_ms"]
    if last is not None:
        within = "" if budget is None else f" of {took(budget)}"
        said.append(f"last sync {last['outcome']} in {took(last['duration_ms'])}{within}")
        said += [f"{last['code']}: {last['detail']}"] if last["code"] else []
    if stream["over_budget"]:
        said.append(f"{_many(stream['over_budget'], 'time')} over its budget")
    if stream["circuit"] != "closed":
        said.append(f"circuit {stream['circuit']} after {_many(stream['failures'], 'failure')}")
    return ", ".join(said)
