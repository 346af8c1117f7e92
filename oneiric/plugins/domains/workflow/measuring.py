"""What is told of runs to those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from sys import modules
from time import perf_counter

from oneiric_hookspecs import JSON, Host

from oneiric.plugins._metrics import API, meters


async def measured(
    host: Host, name: str, run: Awaitable[JSON], nodes: Callable[[], Mapping[str, int]]
) -> JSON:
    """Wait for *run*, and say how it went.

    Args:
        host: The runtime.
        name: The workflow's.
        run: One run of it, as far as this process runs it.
        nodes: What came of its nodes by then.
    """
    if API not in modules or (told := meters(host).listening()) is None:
        return await run
    began, outcome = perf_counter(), "failed"
    try:
        result = await run
        outcome = "succeeded"
    except asyncio.CancelledError:
        outcome = "cancelled"  # on request, or because it took too long: which of them the executor knows
        raise
    finally:
        key = meters(host).key("workflow", name)
        told.count("oneiric_workflow_runs_total", key=key, outcome=outcome)
        milliseconds = (perf_counter() - began) * 1000
        told.measure("oneiric_workflow_duration_ms", milliseconds, key=key, outcome=outcome)
        for state, count in nodes().items():
            if count:
                told.count("oneiric_workflow_nodes_total", count, key=key, outcome=state)
    return result
