"""Hold the rules against a kit in a process of its own, so that what it does there touches nobody, a crash too."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from .catalogue import RULES
from .finding import Target
from .outcome import Broken, Outcome


@attrs.frozen
class Findings:
    """What came of one kit.

    Args:
        kit: Its name.
        distribution: What installed it; None where nothing did.
        outcomes: Of every rule; one that was not reached is missing.
    """

    kit: str
    distribution: str | None
    outcomes: tuple[Outcome, ...]

    def count(self) -> dict[str, int]:
        """How many rules there are, and how many are kept, broken, and skipped for every candidate."""
        by_rule: dict[str, set[str]] = {rule.name: set() for rule in RULES}
        for each in self.outcomes:
            by_rule[each.rule].add(each.outcome)
        broken = sum("broken" in found for found in by_rule.values())
        kept = sum("kept" in found and "broken" not in found for found in by_rule.values())
        return {"rules": len(RULES), "kept": kept, "broken": broken, "skipped": len(RULES) - kept - broken}


def check(target: Target, beside: Path, settings: Mapping[str, Any], timeout: float) -> Findings:
    """Hold every rule against *target*.

    Args:
        target: The kit.
        beside: The folder in which modules are found that are not installed.
        settings: As in a settings file.
        timeout: Seconds for all of it.
    """
    with tempfile.TemporaryDirectory(prefix="oneiric-check-") as folder:
        report = Path(folder, "report.jsonl")
        report.touch()
        ask = {
            "module": target.module,
            "attribute": target.attribute,
            "path": target.install(Path(folder, "metadata")),
            "behind": [] if target.path else [str(beside)],
            "settings": dict(settings),
            "report": str(report),
        }
        command = [sys.executable, "-P", "-m", __name__.rpartition(".")[0], json.dumps(ask, default=str)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            ended = f"it did not end within {timeout:g} s"
        else:
            ended = _ended(done)
        return _read(target, report, ended)


def _ended(done: subprocess.CompletedProcess[str]) -> str:
    """How the process ended, unless all was well."""
    if not done.returncode:
        return ""
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    said = done.stderr.strip().splitlines()
    return f"it ended the process, with {how}" + (f": {said[-1][:200]}" if said else "")


def _read(target: Target, report: Path, ended: str) -> Findings:
    name, distribution, begun, whole = target.name, None, {"begun": RULES[0].name}, False
    outcomes: list[Outcome] = []
    for line in report.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if "kit" in said:
            name, distribution = said["kit"]["kit"], said["kit"]["distribution"]
        elif "begun" in said:
            begun = said
        elif "outcome" in said:
            broken = tuple(Broken(**each) for each in said["outcome"].pop("broken"))
            outcomes.append(Outcome(**said["outcome"], broken=broken))
        else:
            whole = True
    if not whole or ended:
        rule = next(each for each in RULES if each.name == begun["begun"])
        what = Broken(ended or "it ended the process, as if all were done", target.module)
        outcomes.append(Outcome(rule.name, rule.promise, begun.get("subject", ""), "broken", (what,)))
    return Findings(name, distribution, tuple(outcomes))
