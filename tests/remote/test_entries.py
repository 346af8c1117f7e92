"""What entries of a stream may name, and what becomes of them: from a publisher's folder to an instance."""

import asyncio
import importlib.metadata
import json
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest
from oneiric_hookspecs import Candidate, Changes, Key, StreamView, specs
from stream_publisher import entry

from oneiric.assembly import BUILTINS
from oneiric.remote.decoding import decode
from oneiric.remote.loading import Unloadable, load
from oneiric.settings.binding import merged

LISTED = '["stream_kit", "stream_gadgets"]'


def part(key="thing", provider="a", factory="stream_kit:Part", **more):
    return entry("adapter", key, provider, factory, **more)


def refusal(report):
    return report.outcome, report.code, report.line


@pytest.fixture
def synced(project):
    """Publish entries, and sync: gives the report, and the runtime."""

    def publish(*entries, settings="", head="", factories=LISTED, **release):
        project.settings(settings, head=head, factories=factories)
        project.publisher.publish(*entries, **release)
        runtime = project.runtime()
        return project.synced(runtime), runtime

    return publish


# --- scope -----------------------------------------------------------------------------------------------------------

SCOPES = [
    ('["adapter:*"]', "adapter", "thing", True),
    ('["*:*"]', "adapter", "thing", True),
    ('["adapter:thing"]', "adapter", "thing", True),
    ('["adapter:th*"]', "adapter", "thing", True),
    ('["service:*", "adapter:thing"]', "adapter", "thing", True),
    ('["*:thing"]', "adapter", "thing", True),
    ('["adapter:thing"]', "adapter", "things", False),
    ('["adapter:thing"]', "adapter", "other.thing", False),
    ('["adapter:t.g"]', "adapter", "tag", False),
    ('["service:*"]', "adapter", "thing", False),
    ('["adap*:*"]', "adapter", "thing", True),
    ("[]", "adapter", "thing", False),
]


@pytest.mark.parametrize(("scope", "domain", "key", "inside"), SCOPES)
def test_a_stream_stays_inside_its_scope(synced, scope, domain, key, inside):
    """A key that no pattern covers refuses the release; a dot is a dot, and a star any part."""
    report, _ = synced(entry(domain, key, "a", "stream_kit:Part"), settings=f"scope = {scope}")
    assert refusal(report) == (("applied", None, None) if inside else ("rejected", "scope", 2))


@pytest.mark.parametrize(("priority", "inside"), [(0, True), (-1, False), (10, True), (11, False)])
def test_a_stream_stays_inside_its_priorities(synced, priority, inside):
    """Both ends of the band belong to it."""
    report, _ = synced(part(priority=priority), settings="priority_band = [0, 10]")
    assert refusal(report) == (("applied", None, None) if inside else ("rejected", "scope", 2))


def test_a_stream_refers_only_to_its_secrets(synced):
    """A secret of the application's that the stream's settings do not name is not for its entries."""
    head = '[secrets]\nmine = "env:MINE"\ntheirs = "env:THEIRS"'
    one = part(factory="stream_gadgets:Own", settings={"url": "x", "password": {"$secret": "theirs"}})
    report, _ = synced(one, head=head, settings='secrets = ["theirs"]')
    assert refusal(report) == ("applied", None, None)
    two = {**one, "settings": {"url": "x", "password": {"$secret": "mine"}}}
    report, _ = synced(two, head=head, settings='secrets = ["theirs"]')
    assert refusal(report) == ("rejected", "secret", 2)


@pytest.mark.parametrize("name", sorted(name for name in BUILTINS if name.startswith("guards.")))
def test_guards_cannot_be_switched_off(project, name):
    """By no setting and no option."""
    project.settings(head=f'[plugins]\noff = ["{name}"]')
    assert project.oneiric("config", "check").exit_code == 5
    project.settings()
    assert project.oneiric("-p", f"no:{name}", "list").exit_code == 4
    project.settings(head='[plugins]\nonly = ["domains.adapter"]')
    assert specs.oneiric_check_manifest in [
        spec
        for spec in [specs.oneiric_check_manifest]
        if name in {impl.plugin for impl in project.runtime().hooks[spec].impls}
    ]


# --- factories -------------------------------------------------------------------------------------------------------

HOSTILE = [
    "os:system",
    "posix:system",
    "subprocess:Popen",
    "builtins:eval",
    "builtins:exec",
    "importlib:import_module",
    "pickle:loads",
    "stream_kit_evil:Part",
    "stream_ki:Part",
    "stream:Part",
    "Stream_kit:Part",
    "stream_kit.missing:Part",
    "stream_kit:missing",
    "stream_gadgets:system",
    "stream_gadgets:os.system",
    "stream_gadgets:Path",
    "stream_gadgets:Path.home",
    "stream_gadgets:Secret",
    "stream_gadgets:attrs.frozen",
    "stream_gadgets:version",
    "stream_gadgets:_Private",
    "stream_gadgets:Own.__init__",
    "stream_gadgets:Own.__class__",
    "stream_gadgets:outer.__globals__",
    "stream_gadgets:inner",
    "stream_gadgets:lambda_",
    "stream_gadgets:unreadable",
    "stream_gadgets:demands",
    "__main__:x",
    "ep:nobody",
    "ep:os:system",
    "ep:../x",
]


@pytest.mark.parametrize("factory", HOSTILE)
def test_a_factory_that_may_not_be_named_refuses_the_release(synced, factory):
    """What the list does not name, what is defined elsewhere, what is private or nobody's: none of it is registered."""
    report, runtime = synced(part("good"), part("bad", factory=factory), settings='scope = ["adapter:*"]')
    assert (report.outcome, report.code in ("factory", "malformed"), report.line) == ("rejected", True, 2)
    assert "thing" not in runtime.keys("adapter")
    assert "good" not in runtime.keys("adapter")


def test_what_is_not_in_the_list_is_not_imported(synced, project, monkeypatch):
    """A refusal runs no code: the module that is named is not even looked for."""
    (project.folder / "stream_trap.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(project.folder)
    report, _ = synced(part(factory="stream_trap:x"))
    assert (refusal(report), "stream_trap" in sys.modules) == (("rejected", "factory", 2), False)


@pytest.mark.parametrize(("mode", "late", "other"), [("whole", 0, 500), ("isolate", 500, 0)])
def test_nothing_is_imported_for_what_is_refused(synced, project, monkeypatch, mode, late, other):
    """Where a check says no, to the release or to the entry, factories that may be named are not imported either."""
    (project.folder / "stream_late.py").write_text("def x():\n    pass\n")
    monkeypatch.syspath_prepend(project.folder)
    report, _ = synced(
        part("late", factory="stream_late:x", priority=late),
        part("other", priority=other),
        factories='["stream_late", "stream_kit"]',
        settings=f'mode = "{mode}"',
    )
    assert (report.outcome, "stream_late" in sys.modules) == ("rejected" if other else "applied", False)


def test_a_module_that_fails_refuses_the_release(synced, project, monkeypatch):
    """What importing raises is the publisher's or the installer's fault, and told in a line."""
    (project.folder / "stream_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(project.folder)
    report, _ = synced(part(factory="stream_broken:x"), factories='["stream_broken"]')
    assert refusal(report) == ("rejected", "factory", 2)
    assert "ZeroDivisionError: division by zero" in report.detail


@pytest.mark.parametrize(
    ("listed", "accepted"),
    [
        ('["stream_kit:Part"]', True),
        ('["stream_kit:Parts"]', False),
        ('["stream_kit:Par"]', False),
        ('["stream_gadgets"]', False),
        ("[]", False),
    ],
)
def test_the_list_names_modules_or_one_factory(synced, listed, accepted):
    """A whole module, or the one factory; a longer or a shorter name is another one."""
    report, _ = synced(part(), factories=listed)
    assert refusal(report) == (("applied", None, None) if accepted else ("rejected", "factory", 2))


def installed(monkeypatch, *targets):
    """Entry points of the group, of as many distributions."""
    there = importlib.metadata.entry_points

    def entry_points(**params):
        if params.get("group") != "oneiric.factories":
            return there(**params)
        return EntryPoints(EntryPoint(name, value, "oneiric.factories") for name, value in targets).select(
            **{name: value for name, value in params.items() if name != "group"}
        )

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_an_entry_point_needs_no_list(synced, monkeypatch):
    """Whoever installed it decided."""
    installed(monkeypatch, ("part", "stream_kit:Part"))
    report, _ = synced(part(factory="ep:part"), factories="[]")
    assert refusal(report) == ("applied", None, None)


def test_two_entry_points_of_one_name_are_none(synced, monkeypatch):
    """Nobody knows which is meant."""
    installed(monkeypatch, ("part", "stream_kit:Part"), ("part", "stream_gadgets:Own"))
    report, _ = synced(part(factory="ep:part"))
    assert refusal(report) == ("rejected", "factory", 2)


def test_a_slip_is_told(synced, monkeypatch):
    """The nearest name that is installed is in the report."""
    installed(monkeypatch, ("redis", "stream_kit:Part"))
    report, _ = synced(part(factory="ep:redsi"))
    assert "did its publisher mean ep:redis?" in report.detail


# --- distributions, conflicts, prune ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("attrs", True),
        ("Attrs>=22", True),
        ("attrs<1", False),
        ("surely-not-installed", False),
        ("surely-not-installed ; sys_platform == 'plan9'", True),
    ],
)
def test_distributions_have_to_be_installed(synced, line, accepted):
    """What is missing refuses the release, unless its own condition does not hold here; nothing is installed."""
    report, _ = synced(part(distributions=[line]))
    assert refusal(report) == (("applied", None, None) if accepted else ("rejected", "distributions", 2))


def test_what_conflicts_cannot_be_registered_beside(synced):
    """With another entry of the release, or with a candidate of somebody else's; not with itself, nor what is off."""
    alone, beside = part(provider="a", conflicts=["a", "b"]), part(provider="b")
    assert refusal(synced(alone, beside)[0]) == ("rejected", "conflict", 2)
    assert refusal(synced(alone, {**beside, "enabled": False})[0]) == ("applied", None, None)
    assert refusal(synced({**beside, "key": "other"}, alone)[0]) == ("applied", None, None)
    report, _ = synced(part("cache", "a", conflicts=["memory"]), allow_removals=9)
    assert (refusal(report), "cache.memory brings" in report.detail) == (("rejected", "conflict", 2), True)


def test_a_conflict_is_seen_when_the_other_comes(synced, project):
    """The one that minds stood there before, and its line has not changed."""
    _, runtime = synced(part(provider="a", conflicts=["b"]))
    project.publisher.publish(part(provider="a", conflicts=["b"]), part(provider="b"))
    assert refusal(project.synced(runtime)) == ("rejected", "conflict", 2)


PRUNES = [
    (4, 2, 0, True),
    (4, 1, 0, False),
    (4, 1, 2, False),
    (4, 1, 3, True),
    (4, 0, 3, False),
    (4, 0, 4, True),
    (1, 0, 0, False),
    (0, 0, 0, False),
    (0, 0, 1, True),
]


@pytest.mark.parametrize(("before", "left", "allowed", "accepted"), PRUNES)
def test_taking_away_more_than_half_has_to_be_said(synced, project, before, left, allowed, accepted):
    """Half may go; more, or all of it, only as far as the release allows."""
    parts = [part(f"part-{number}") for number in range(before)]
    runtime = project.runtime()
    if before:
        _, runtime = synced(*parts)
    project.publisher.publish(*parts[:left], allow_removals=allowed)
    report = project.synced(runtime)
    expected = "applied" if accepted else "rejected"
    assert (report.outcome, report.code) == (expected, None if accepted else "prune")


def test_another_version_takes_the_place_of_one(synced, project):
    """A release that gives everything a new version removes nothing."""
    _, runtime = synced(*(part(f"part-{number}", version="1.0") for number in range(4)))
    project.publisher.publish(*(part(f"part-{number}", version="2.0") for number in range(4)))
    assert project.synced(runtime).outcome == "applied"


def test_switching_off_is_taking_away(synced, project):
    """Entries that a release switches off count as gone."""
    _, runtime = synced(*(part(f"part-{number}") for number in range(4)))
    project.publisher.publish(*(part(f"part-{number}", enabled=number > 2) for number in range(4)))
    assert project.synced(runtime).code == "prune"


# --- what becomes of an entry ----------------------------------------------------------------------------------------


def test_what_is_not_for_this_process_is_passed_over(synced):
    """With the reason, and without being judged: its factory need not be here."""
    report, _ = synced(
        part("off", enabled=False, factory="ep:nobody"),
        part("old", python="<3.0", factory="ep:nobody"),
        part("other", platforms=["plan9"], distributions=["surely-not-installed"]),
        part("thing", python=">=3.8", platforms=[sys.platform]),
    )
    assert report.added == (("adapter", "thing", "a", ""),)
    assert [(identity[1], why.split(",")[0]) for identity, why in report.skipped] == [
        ("off", "it is switched off by its publisher"),
        ("old", "it is for Python <3.0"),
        ("other", "it is for plan9"),
    ]


MALFORMED = [
    (entry("nowhere", "thing", "a", "stream_kit:Part"), "there is no domain nowhere"),
    (part(settings={"sise": 7}), "unknown key"),
    (part(settings={"size": "7"}), "expected a whole number"),
    (part(factory="stream_kit:plain", settings={"size": 7}), "takes no settings"),
    (part(factory="stream_gadgets:Own"), "url"),
    (part(factory="stream_gadgets:demands"), "requires 'nobody'"),
    (part(timeout=3), "the domain adapter has no timeout"),
    (part(retry={"attempts": 2}), "the domain adapter has no retry"),
    (part(data={"x": 1}), "the domain adapter wants no data"),
    (part(needs=["adapter:9-lives"]), "cannot be a keyword"),
    (entry("event", "thing", "a", "stream_gadgets:Handler"), "expects a Subscription as its data"),
    (
        entry("event", "thing", "a", "stream_gadgets:Handler", data={"topics": ["a"], "more": 1}),
        "unknown key",
    ),
    (entry("event", "thing", "a", "stream_gadgets:Handler", data=["a"]), "data"),
    (
        entry("task", "thing", "a", "stream_gadgets:Task", timeout=3, data={"timeout": 4}),
        "timeout stands in the entry",
    ),
]


@pytest.mark.parametrize(("given", "said"), MALFORMED, ids=range(len(MALFORMED)))
def test_an_entry_that_cannot_be_a_candidate_refuses_the_release(synced, given, said):
    """Every field is enforced, and the report names the entry, its line and what is wrong with it."""
    report, _ = synced(given)
    assert refusal(report) == ("rejected", "malformed", 2)
    assert said in report.detail
    assert f"{given['domain']}:thing a: " in report.detail


def test_a_secret_does_not_stand_in_an_entry(synced):
    """A text where the factory expects a secret refuses the release, and is not told."""
    report, _ = synced(part(factory="stream_gadgets:Own", settings={"url": "x", "password": "hunter22"}))
    assert (refusal(report), "hunter22" in report.detail) == (("rejected", "secret", 2), False)


@pytest.mark.parametrize("factory", ["Own", "annotated", "optional"])
def test_settings_of_an_entry_stand_under_the_application_s(synced, factory, monkeypatch):
    """The table of the settings wins, name by name; a secret is fetched as those of files are."""
    monkeypatch.setenv("PASSWORD", "hunter22")
    report, runtime = synced(
        part(
            factory=f"stream_gadgets:{factory}",
            settings={"url": "theirs", "size": 6, "password": {"$secret": "pw"}},
        ),
        head='[secrets]\npw = "env:PASSWORD"\n[adapters.settings.thing.a]\nsize = 7',
        settings='secrets = ["pw"]',
    )
    assert refusal(report) == ("applied", None, None)

    async def main():
        async with runtime:
            async with runtime.use("adapter", "thing") as thing:
                return thing.settings.url, thing.settings.size, thing.settings.password.reveal()

    assert asyncio.run(main()) == ("theirs", 7, "hunter22")


def test_limits_of_an_entry_are_those_of_its_domain(synced):
    """Its timeout and retry stand in what the domain knows of a task; topics of an event in what it knows of that."""
    report, runtime = synced(
        entry("task", "thing", "a", "stream_gadgets:Task", timeout=3, retry={"attempts": 2}),
        entry("event", "thing", "a", "stream_gadgets:Handler", data={"topics": ["a.*"]}, timeout=4),
    )
    assert refusal(report) == ("applied", None, None)
    task, event = (runtime.resolve(domain, "thing").data for domain in ("task", "event"))
    assert (task.timeout, task.retry.attempts, event.topics, event.timeout) == (3.0, 2, ("a.*",), 4.0)


def test_an_action_is_named_as_it_is_declared(synced, monkeypatch):
    """An entry point that declares an action gives that action, with its limit; what it has none of is refused."""
    installed(monkeypatch, ("hash", "oneiric.plugins.actions.compression_hash:oneiric_actions"))
    action = entry("action", "remote.hash", "a", "ep:hash", timeout=3)
    report, runtime = synced(action)
    assert refusal(report) == ("applied", None, None)
    assert runtime.resolve("action", "remote.hash").factory.action.timeout == 3

    async def main():
        async with runtime:
            return await runtime.call("action", "remote.hash", {"text": "abc"})

    assert "ba7816bf" in str(asyncio.run(main()))
    for more in ({"retry": {"attempts": 2}}, {"data": {"x": 1}}, {"needs": ["adapter:cache"]}):
        assert refusal(synced({**action, **more})[0]) == ("rejected", "malformed", 2)


def test_an_artifact_is_handed_to_the_factory(synced, project):
    """Open on bytes that were hashed; without a source, too."""
    ref = project.publisher.artifact(b"the model")
    report, runtime = synced(part(factory="stream_gadgets:reads", artifact=ref))
    assert refusal(report) == ("applied", None, None)

    async def read(started):
        async with started, started.use("adapter", "thing") as thing:
            return thing.data

    assert asyncio.run(read(runtime)) == b"the model"
    for path in (project.folder / "srv").rglob("*"):
        if path.is_file():
            path.unlink()
    assert asyncio.run(read(project.runtime())) == b"the model"


def test_a_damaged_artifact_is_set_aside_and_fetched_again(synced, project):
    """It is never handed out; the next sync brings it, though nothing else has changed."""
    ref = project.publisher.artifact(b"the model")
    _, runtime = synced(part(factory="stream_gadgets:reads", artifact=ref))
    (file,) = (project.folder / "cache").rglob(ref["sha256"])
    file.write_bytes(b"the modeL")
    with pytest.raises(Exception, match="is not what was signed, and was set aside"):
        runtime.resolve("adapter", "thing").artifact.open()
    assert project.synced(runtime).outcome == "unchanged"
    with runtime.resolve("adapter", "thing").artifact.open() as opened:
        assert opened.read() == b"the model"


def test_an_artifact_that_is_not_what_was_signed_refuses_the_release(synced, project):
    """Nothing of the release is registered, and nothing of the file is kept."""
    ref = project.publisher.artifact(b"the model")
    project.publisher.write(ref["path"], b"the modeL")
    report, runtime = synced(part(factory="stream_gadgets:reads", artifact=ref))
    assert (report.outcome, report.code) == ("rejected", "digest")
    assert "thing" not in runtime.keys("adapter")
    assert not [path for path in (project.folder / "cache").rglob("*") if path.is_file()]


def test_what_a_publisher_says_is_shown(synced, project):
    """owner, license, docs, labels and settings stand in ``explain --json``."""
    said = {"owner": "team", "license": "MIT", "docs": "https://example.org", "labels": {"tier": "gold"}}
    synced(part(settings={"size": 7}, **said))
    shown = json.loads(project.oneiric("explain", "adapter", "thing", "--json").stdout)
    (row,) = shown["candidates"]
    assert row["published"] == {**said, "settings": {"size": 7}, "artifact": None}


def test_another_line_is_another_thing_to_build(synced, project):
    """What an entry says beyond its version counts: after a sync the bound one is to be built anew."""
    _, runtime = synced(part(settings={"size": 7}))

    async def main():
        async with runtime:
            async with runtime.use("adapter", "thing") as thing:
                first = thing.settings.size
            project.publisher.publish(part(settings={"size": 8}))
            await runtime.remote.sync()
            report = await runtime.swap("adapter", "thing")
            async with runtime.use("adapter", "thing") as thing:
                return first, report.outcome, thing.settings.size

    assert asyncio.run(main()) == (7, "swapped", 8)


# --- isolate ---------------------------------------------------------------------------------------------------------


def test_one_bad_entry_refuses_all(synced, project):
    """Everything stays as it was, and the first by its line is named, with how many there are."""
    _, runtime = synced(part("a"), part("b"), part("c"))
    project.publisher.publish(part("a", priority=1), part("b", priority=500), part("c", priority=501))
    report = project.synced(runtime)
    assert (refusal(report), "(and 1 more)" in report.detail) == (("rejected", "scope", 3), True)
    assert [runtime.resolve("adapter", key).priority for key in "abc"] == [0, 0, 0]


def test_isolated_a_bad_entry_keeps_what_it_would_replace(synced, project):
    """With its other versions; all else is applied.

    It is told as kept back, and so it is after a restart and in the next release, until a good one comes.
    """
    isolate = 'mode = "isolate"'
    _, runtime = synced(part("a"), part("b", version="1.0"), part("c"), settings=isolate)
    bad = part("b", version="2.0", priority=500)
    project.publisher.publish(part("a", priority=1), bad, part("c", priority=1), part("d", priority=501))
    report = project.synced(runtime)

    def state(which):
        there = [key for key in "abcd" if key in which.keys("adapter")]
        return [
            (key, which.resolve("adapter", key).version, which.resolve("adapter", key).priority)
            for key in there
        ]

    expected = [("a", None, 1), ("b", "1.0", 0), ("c", None, 1)]
    assert (report.outcome, state(runtime)) == ("applied", expected)
    assert [(identity[1], why.split(":")[0]) for identity, why in report.skipped] == [
        ("b", "scope"),
        ("d", "scope"),
    ]

    again = project.runtime()
    again.remote.start_offline()
    assert state(again) == expected

    project.publisher.publish(part("a", priority=2), bad, part("c", priority=1))
    for each in (runtime, again):
        report = project.synced(each)
        assert (report.outcome, state(each)[:2]) == ("applied", [("a", None, 2), ("b", "1.0", 0)])
        assert ("b", "scope") in [(identity[1], why.split(":")[0]) for identity, why in report.skipped]

    project.publisher.publish(part("a", priority=2), part("b", version="2.0"), part("c", priority=1))
    assert [state(each) for each in (runtime, again) if project.synced(each)] == [
        [("a", None, 2), ("b", "2.0", 0), ("c", None, 1)]
    ] * 2


def test_isolated_the_whole_can_still_be_refused(synced, project):
    """What is said of the whole release, no entry can be blamed for."""
    _, runtime = synced(*(part(key) for key in "abcd"), settings='mode = "isolate"')
    project.publisher.publish(part("a"))
    assert project.synced(runtime).code == "prune"


# --- each gate by itself ---------------------------------------------------------------------------------------------

NAMES = [
    ("shop", "shop:x", True),
    ("shop", "shop.caches:Redis.open", True),
    ("shop", "shop_evil:x", False),
    ("shop", "sho:x", False),
    ("shop.caches", "shop:x", False),
    ("shop.caches", "shop.caches.redis:x", True),
    ("shop:x", "shop:x", True),
    ("shop:x", "shop:xy", False),
    ("shop:x", "shop:x.y", False),
    ("shop:x", "shop.x:x", False),
]


@pytest.mark.parametrize(("listed", "factory", "may"), NAMES)
def test_a_list_covers_what_is_below_a_dot(listed, factory, may):
    """A package covers its modules, and no name that only begins like it."""
    assert StreamView("prod", "file:x", factories=(listed,)).may_name(factory) is may


@pytest.mark.parametrize("factory", ["os:system", "stream_kit:Part", "ep:twice", "ep:nobody"])
def test_the_guard_and_the_loader_refuse_by_themselves(project, monkeypatch, factory):
    """Neither counts on the other: what one of them let through, the other would not."""
    installed(monkeypatch, ("twice", "stream_kit:Part"), ("twice", "stream_gadgets:Own"))
    runtime, view = project.runtime(), StreamView("prod", "file:x", factories=("shop",))
    manifest = decode(project.publisher.body([part(factory=factory)], version=1)).manifest
    (identity,) = manifest.entries
    objections = runtime.hooks[specs.oneiric_check_manifest](view, manifest, Changes((identity,)))
    assert [(each.code, each.entry, each.plugin) for each in objections] == [
        ("factory", identity, "guards.factories")
    ]
    with pytest.raises(Unloadable):
        load(factory, runtime.snapshot.domains["adapter"], view)


def test_tables_are_laid_over_each_other_name_by_name():
    """Tables in tables too; a list, and a reference to a secret, is one value."""
    below = {"a": {"x": 1, "y": [1]}, "b": {"$secret": "one"}, "c": 1}
    candidate = Candidate(Key("adapter", "thing"), "a", object, settings=below)
    above = {"a": {"y": [2], "z": 3}, "b": {"$secret": "two"}}
    assert merged(candidate, above) == {"a": {"x": 1, "y": [2], "z": 3}, "b": {"$secret": "two"}, "c": 1}
    assert (merged(candidate, None), below["a"]) == (below, {"x": 1, "y": [1]})
