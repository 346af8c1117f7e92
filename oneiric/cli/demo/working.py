"""The second chapter: a service, a task, an event, a workflow whose process is killed, and actions."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from .project import SECRET, done
from .stage import Stage
from .victim import Victim

_ORDER = "order-17"


async def play(stage: Stage, folder: Path) -> dict[str, Any]:
    """All scenes, on a runtime that has started.

    Args:
        stage: Where.
        folder: The project's.
    Returns:
        The figures.
    """
    figures: dict[str, Any] = {}
    # Another process takes a while to come up, and works on an order meanwhile.
    async with Victim(folder, key=_ORDER) as victim:
        with stage.scene("A service works by itself for as long as it is bound"):
            await _service(stage, figures)
        with stage.scene("A task fails, is tried again, and is done once, however often it is asked for"):
            await _task(stage, folder, figures)
        with stage.scene("An event with two handlers: what one of them raises is nothing to the other"):
            await _event(stage, figures)
        with stage.scene(
            "A workflow in a process of its own, which is killed in the middle; and resumed here"
        ):
            await _workflow(stage, folder, victim, figures)
    with stage.scene("Actions, set up by the settings file"):
        await _actions(stage, figures)
    return figures


async def _service(stage: Stage, figures: dict[str, Any]) -> None:
    services: Any = stage.runtime.domain("service")
    async with stage.runtime.use("service", "stock") as stock:
        await stage.until(lambda: stock.rounds >= 3, "the service did not go round three times")
    status = (await services.status("stock"))["stock"]
    figures["service"] = {"state": status.state, "rounds": status.report["rounds"]}
    stage.promise(status.state == "running", f"the service is {status.state}, not running")
    stage.tell.say(
        f"{status.state:<12} service:stock by {status.provider}: {status.report['rounds']} rounds so far"
    )


async def _task(stage: Stage, folder: Path, figures: dict[str, Any]) -> None:
    tasks: Any = stage.runtime.domain("task")
    runs = [await tasks.run("invoice", {"order": 17}, key=_ORDER) for _ in range(2)]
    printed, busy = done(folder).count("invoice"), done(folder).count("printer busy")
    kept = await tasks.runs("invoice")
    figures["task"] = {
        "asked": len(runs),
        "runs": len(kept),
        "attempts": runs[0]["attempts"],
        "failed_attempts": busy,
        "done": printed,
    }
    stage.promise(runs[0] == runs[1], "two runs with one key gave different results")
    stage.promise(
        (printed, len(kept)) == (1, 1),
        f"a task with one key was done {printed} times, in {len(kept)} runs",
    )
    attempts = runs[0]["attempts"]
    stage.promise((attempts, busy) == (2, 1), f"the task took {attempts} attempts, and {busy} of them failed")
    stage.tell.say(
        f"tried        task:invoice, {attempts} times; {busy} of them failed, as the printer was busy"
    )
    stage.tell.say(f"asked        {len(runs)} times under one key: {len(kept)} run; printed {printed} time")


async def _event(stage: Stage, figures: dict[str, Any]) -> None:
    events: Any = stage.runtime.domain("event")
    deliveries = await events.emit("order.paid", {"order": 17, "email": "ada@example.org"})
    outcomes = {each.handler: each.outcome for each in deliveries}
    figures["event"] = outcomes
    stage.promise(
        outcomes == {"thanks": "handled", "points": "failed"}, f"the handlers of an event came to {outcomes}"
    )
    for each in sorted(deliveries, key=lambda delivery: delivery.outcome != "handled"):
        kept = "; kept as a dead letter" if each.kept else ""
        stage.tell.say(f"{each.outcome:<12} {each.handler}: {each.result or each.error}{kept}")


async def _workflow(stage: Stage, folder: Path, victim: Victim, figures: dict[str, Any]) -> None:
    workflows: Any = stage.runtime.domain("workflow")
    await victim.killed_at("pack")
    (run,) = await workflows.runs("order")
    ended = sorted(step.name for step in await workflows.steps(run.id) if step.state == "succeeded")
    stage.promise(run.state == "lost", f"a run whose process was killed is {run.state}, not lost")
    stage.tell.say(
        f"killed       process {victim.pid} with SIGKILL, in the middle of pack; {' and '.join(ended)} had ended"
    )
    stage.tell.say(f"{run.state:<12} run {run.id}, as its process is gone")
    resumed = await workflows.resume(run.id)
    result = await resumed.wait()
    ran = done(folder)
    times = {node: ran.count(node) for node in ("reserve", "charge", "pack", "ship")}
    figures["workflow"] = {
        "ended_before": ended,
        "state_when_killed": run.state,
        "times_run": times,
        "result": result,
    }
    expected = {"reserve": 1, "charge": 1, "pack": 2, "ship": 1}
    stage.promise(times == expected, f"the nodes were run {times} times, not {expected}")
    said = ", ".join(f"{node} {count}" for node, count in times.items())
    stage.tell.say(
        f"resumed      {result['ship']!r}; times that each node was run, both processes together: {said}"
    )


async def _actions(stage: Stage, figures: dict[str, Any]) -> None:
    message = "order 17"
    signed = await stage.runtime.call("action", "security.signature", {"text": message})
    checked = await stage.runtime.call(
        "action",
        "security.signature",
        {"operation": "verify", "text": message, "signature": signed["signature"]},
    )
    hashed = await stage.runtime.call("action", "compression.hash", {"text": message})
    figures["actions"] = {
        "signature": signed["algorithm"],
        "valid": checked["valid"],
        "hash": hashed["algorithm"],
    }
    # Reckoned without Oneiric: what the file says is what was done.
    right = hmac.new(SECRET.encode(), message.encode(), "sha512").hexdigest()
    stage.promise(
        signed["signature"] == right and bool(checked["valid"]),
        "security.signature did not sign as its settings say",
    )
    stage.promise(
        hashed["digest"] == hashlib.sha3_256(message.encode()).hexdigest(),
        "compression.hash did not hash as its settings say",
    )
    stage.tell.say(f"signed       by {signed['algorithm']}: {signed['signature'][:32]}..., and verified")
    stage.tell.say(f"hashed       by {hashed['algorithm']}: {hashed['digest'][:32]}...")
