"""The sample stream of the documentation: built, signed and published by its own tools, followed, and every entry used."""

import asyncio
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from oneiric import assemble
from oneiric.cli import main

SAMPLE = Path(__file__).parents[2] / "docs" / "samples" / "stream"
ENTRIES = tomllib.loads((SAMPLE / "entries.toml").read_text())["entries"]


@pytest.fixture
def sample(tmp_path, monkeypatch) -> Path:
    """A copy of the sample, published, with its kit where installed distributions are found."""
    folder = shutil.copytree(SAMPLE, tmp_path / "stream")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for key in (folder / "keys").glob("*.key"):
        key.chmod(0o600)
    kit = tomllib.loads((folder / "kit" / "pyproject.toml").read_text())["project"]
    about = folder / "kit" / f"sample_stream_kit-{kit['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {kit['name']}\nVersion: {kit['version']}\n"
    )
    [(group, factories)] = kit["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in factories.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder / "kit"))
    monkeypatch.delitem(sys.modules, "sample_stream_kit", raising=False)
    for words in ("build entries.toml --out .", "sign . --key keys/release.key", "publish . public"):
        result = CliRunner().invoke(main, ["manifest", *words.split()], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
    yield folder
    sys.modules.pop("sample_stream_kit", None)


def test_it_has_an_entry_of_every_domain_and_three_actions():
    """Every domain that is built in."""
    domains = [each["domain"] for each in ENTRIES]

    assert set(domains) == {"adapter", "service", "task", "event", "workflow", "action"}
    assert domains.count("action") == 3


def test_every_entry_works(sample):
    """Followed by its settings file, each entry is activated, and does what it is for, with what the entry says."""

    async def use():
        async with assemble("oneiric.toml", environment=False) as runtime:
            [report] = await runtime.remote.sync()
            assert (report.outcome, report.code, report.detail) == ("applied", None, "")
            used = {}
            async with runtime.use("adapter", "prices") as prices:
                used["prices"] = await prices.of("tea")
            async with runtime.use("service", "clock") as clock:
                await asyncio.sleep(0)
                used["clock"] = clock.status()["ticks"] >= 0
            used["score"] = await runtime.call("task", "score", "well well done")
            [told] = await runtime.domain("event").emit("order.paid", {"amount": 12})
            used["note"] = (
                told.outcome,
                told.result,
                await runtime.domain("event").emit("order.paid", {"amount": 2}),
            )
            used["scoring"] = await runtime.call("workflow", "scoring", "fine fine fine")
            for action in ("text.slug", "text.count", "text.wrap"):
                used[action] = await runtime.call("action", action, {"text": "The Quick Brown Fox"})
            spec = runtime.resolve("task", "score").data
            used["limits"] = (spec.timeout, spec.retry.attempts)
            return [(each[0], each[1]) for each in report.added], used

    added, used = asyncio.run(use())
    assert sorted(added) == sorted((each["domain"], each["key"]) for each in ENTRIES)
    assert used == {
        "prices": "3 CHF",
        "clock": True,
        "score": 2,
        "note": ("handled", 1, []),
        "scoring": used["scoring"],
        "text.slug": {"text": "the_quick_brown_fox"},
        "text.count": {"words": 4, "characters": 19},
        "text.wrap": {"lines": ["The Quick", "Brown Fox"]},
        "limits": (5.0, 2),
    }
    assert used["scoring"]["second"] == 1


def test_what_it_says_of_itself_is_shown(sample):
    """Owner, licence, documentation and labels: by ``explain --json``."""
    CliRunner().invoke(main, ["remote-sync"], catch_exceptions=False)

    shown = (
        CliRunner().invoke(main, ["explain", "adapter", "prices", "--json"], catch_exceptions=False).stdout
    )

    for fact in ("shop@example.org", "BSD-3-Clause", "https://example.org/prices", '"team": "shop"'):
        assert fact in shown
