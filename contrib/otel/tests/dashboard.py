"""Write ``oneiric_otel/dashboard.json``; a test holds the file against this."""

import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "oneiric_otel" / "dashboard.json"
DURATION = "oneiric_lifecycle_swap_duration_ms"


def p(share: float, metric: str, by: str, where: str = "") -> str:
    """A percentile over five minutes."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{where}[5m])))"


def rate(metric: str, by: str, where: str = "") -> str:
    """So many a second, over five minutes."""
    return f"sum by ({by}) (rate({metric}{where}[5m]))"


TOTAL = '{phase="total"}'
#: Rows of panels: title, unit, and queries with what each line is called.
PANELS = {
    "Operations": [
        (
            "Operations by outcome",
            "ops",
            {rate(f"{DURATION}_count", "domain, outcome", TOTAL): "{{domain}} {{outcome}}"},
        ),
        ("How long they take, 95 of 100", "ms", {p(0.95, DURATION, "domain", TOTAL): "{{domain}}"}),
        (
            "Where the time goes, mean by phase",
            "ms",
            {
                f"sum by (phase) (rate({DURATION}_sum[5m])) / sum by (phase) (rate({DURATION}_count[5m]))": "{{phase}}"
            },
        ),
        (
            "How long nobody was served, 95 of 100",
            "ms",
            {p(0.95, "oneiric_lifecycle_swap_gap_ms", "domain"): "{{domain}}"},
        ),
    ],
    "Health and operators": [
        (
            "Health: 0 ok, 1 degraded, 2 unknown, 3 failed",
            "none",
            {"max by (domain, key) (oneiric_health_status)": "{{domain}}:{{key}}"},
        ),
        (
            "What operators imposed",
            "none",
            {
                f"sum(increase(oneiric_activity_{mode}_total[5m]))": mode
                for mode in ("hold", "pause", "drain", "resume")
            },
        ),
        ("Faults of plugins", "ops", {rate("oneiric_plugin_faults_total", "plugin"): "{{plugin}}"}),
    ],
    "Streams": [
        (
            "Syncs by outcome",
            "ops",
            {rate("oneiric_remote_sync_total", "stream, outcome, code"): "{{stream}} {{outcome}} {{code}}"},
        ),
        (
            "How long they take, 95 of 100",
            "ms",
            {p(0.95, "oneiric_remote_sync_duration_ms", "stream"): "{{stream}}"},
        ),
        ("Bytes", "Bps", {rate("oneiric_remote_bytes_total", "stream"): "{{stream}}"}),
        (
            "Entries",
            "none",
            {"sum by (stream, change) (increase(oneiric_remote_entries_total[5m]))": "{{stream}} {{change}}"},
        ),
        ("Digests checked", "ops", {rate("oneiric_remote_digest_checks_total", "stream"): "{{stream}}"}),
    ],
    "Actions, events, workflows": [
        ("Actions", "ops", {rate("oneiric_action_invocations_total", "key, outcome"): "{{key}} {{outcome}}"}),
        ("Actions, 95 of 100", "ms", {p(0.95, "oneiric_action_duration_ms", "key"): "{{key}}"}),
        (
            "Events",
            "ops",
            {
                rate("oneiric_event_emitted_total", ""): "emitted",
                rate("oneiric_event_deliveries_total", "key, outcome"): "{{key}} {{outcome}}",
            },
        ),
        (
            "Events, 95 of 100",
            "ms",
            {"histogram_quantile(0.95, sum by (le) (rate(oneiric_event_duration_ms_bucket[5m])))": "all"},
        ),
        ("Workflows", "ops", {rate("oneiric_workflow_runs_total", "key, outcome"): "{{key}} {{outcome}}"}),
        ("Workflows, 95 of 100", "ms", {p(0.95, "oneiric_workflow_duration_ms", "key"): "{{key}}"}),
        (
            "Nodes of workflows",
            "ops",
            {rate("oneiric_workflow_nodes_total", "key, outcome"): "{{key}} {{outcome}}"},
        ),
    ],
}


def dashboard() -> dict[str, object]:
    """As Grafana imports it; the data source is chosen there."""
    source = {"type": "prometheus", "uid": "${source}"}
    panels, y, number = [], 0, 0
    for row, below in PANELS.items():
        number += 1
        panels.append(
            {
                "id": number,
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
            }
        )
        y += 1
        for place, (title, unit, queries) in enumerate(below):
            number += 1
            panels.append(
                {
                    "id": number,
                    "type": "timeseries",
                    "title": title,
                    "datasource": source,
                    "gridPos": {"h": 8, "w": 8, "x": place % 3 * 8, "y": y + place // 3 * 8},
                    "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                    "targets": [
                        {"refId": "ABCDEFGH"[at], "datasource": source, "expr": query, "legendFormat": legend}
                        for at, (query, legend) in enumerate(queries.items())
                    ],
                }
            )
        y += -(-len(below) // 3) * 8
    return {
        "title": "Oneiric",
        "uid": "oneiric",
        "schemaVersion": 39,
        "tags": ["oneiric"],
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
