"""One sync, from a stream of somebody else's making to what is registered: the rules of ``oneiric.remote.sync``."""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import EntryObjection, Verifier, VerifyError, hookimpl
from stream_publisher import DAY, Key, Publisher, entry, stamp

A = entry("adapter", "thing", "a", "stream_kit:Part", settings={"size": 7})
B = entry("adapter", "thing", "b", "stream_kit:Part", version="2.0", priority=9)


def outcome(report):
    return (report.outcome, report.code, report.version)


def test_what_is_published_is_registered_and_used(project, run):
    """From the publisher's folder to an instance with the entry's settings."""
    project.publisher.publish(A, B)

    async def main():
        async with project.runtime() as runtime:
            [report] = await runtime.remote.sync()
            async with runtime.use("adapter", "thing") as thing:
                return report, runtime.explain("adapter", "thing").winner.provider, thing.settings.size

    report, provider, size = asyncio.run(main())
    assert outcome(report) == ("applied", None, 1)
    assert report.added == (("adapter", "thing", "a", ""), ("adapter", "thing", "b", "2.0"))
    assert (report.domains, report.signers, report.digests) == ({"adapter": 2}, ("key-2",), 1)
    assert (provider, size) == ("b", 5)


def test_an_unchanged_poll_changes_nothing(project):
    """No registration, no revision, and nothing is written."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    before = (
        runtime.revision,
        sorted((project.folder / "state").rglob("*")),
        project.folder.stat().st_mtime_ns,
    )
    file = project.folder / "state/remote/prod/state.json"
    written = file.stat().st_mtime_ns

    reports = [project.synced(runtime) for _ in range(20)]

    assert {outcome(report) for report in reports} == {("unchanged", None, 1)}
    assert (
        runtime.revision,
        sorted((project.folder / "state").rglob("*")),
        project.folder.stat().st_mtime_ns,
    ) == before
    assert file.stat().st_mtime_ns == written


def test_only_what_differs_is_changed(project):
    """An entry whose line is the same is the same candidate as before; what vanished is withdrawn."""
    others = [entry("adapter", f"other-{number}", "o", "stream_kit:plain") for number in range(4)]
    project.publisher.publish(A, B, *others)
    runtime = project.runtime()
    project.synced(runtime)
    before = runtime.resolve("adapter", "other-1")
    project.publisher.publish({**A, "priority": 3}, *others)

    report = project.synced(runtime)

    assert (report.added, report.changed, report.removed) == (
        (),
        (("adapter", "thing", "a", ""),),
        (("adapter", "thing", "b", "2.0"),),
    )
    assert runtime.resolve("adapter", "other-1") is before
    assert runtime.resolve("adapter", "thing").priority == 3


def test_a_dry_run_registers_and_keeps_nothing(project):
    """It says what would change; the next sync does it."""
    project.publisher.publish(A)
    runtime = project.runtime()

    report = project.synced(runtime, dry_run=True)

    assert (outcome(report)[:2], report.added) == (("applied", None), (("adapter", "thing", "a", ""),))
    assert runtime.keys("adapter").count("thing") == 0
    assert not (project.folder / "state/remote").exists()
    assert outcome(project.synced(runtime)) == ("applied", None, 1)


# --- S1 to S7: what the release says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"stream": "staging"}, "wrong-stream", id="S3-another-stream"),
        pytest.param({"expires": -10}, "expired", id="S4-expired"),
        pytest.param({"expires": 31 * DAY}, "expired", id="S4-holds-for-too-long"),
        pytest.param({"issued": 400, "expires": DAY}, "clock-skew", id="S4-from-the-future"),
        pytest.param({"crit": ["quantum"]}, "crit", id="S7-asks-for-more"),
        pytest.param({"min_client": "99.0"}, "client-too-old", id="S7-for-later-readers"),
        pytest.param({"min_client": ">=99"}, "client-too-old", id="S7-for-later-readers-by-a-specifier"),
        pytest.param({"epoch": 2}, None, id="P9-an-epoch-nobody-began"),
        pytest.param({"keyring": 2}, "keyring-withheld", id="P8-keys-that-are-not-there"),
        pytest.param({"unsigned": True}, "malformed", id="J5-an-unknown-field"),
        pytest.param({"version": True}, "malformed", id="J6-true-is-no-number"),
    ],
)
def test_what_a_release_must_not_say(project, change, code):
    """It is rejected with its code, and what was in force still is."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    change = {
        name: stamp(project.now + value) if name in ("issued", "expires") else value
        for name, value in change.items()
    }
    version = change.pop("version", 2)
    if "expires" in change and "issued" not in change and change["expires"] < stamp(project.now):
        change["issued"] = stamp(project.now - DAY)
    project.publisher.publish(B, version=version, **change)

    report = project.synced(runtime)

    assert report.outcome == "rejected" and report.version == 1
    assert code is None or report.code == code
    assert [
        record.candidate.provider
        for record in runtime.snapshot.records(runtime.resolve("adapter", "thing").key)
    ] == ["a"]


def test_a_release_for_this_reader_is_taken(project):
    """``min_client`` is a version, or a specifier."""
    project.publisher.publish(A, min_client="0.1")
    runtime = project.runtime()
    first = project.synced(runtime)
    project.publisher.publish(A, min_client=">=0.1")

    assert (first.outcome, project.synced(runtime).outcome) == ("applied", "applied")


def test_s5_an_older_release_is_never_taken(project):
    """Not after a restart, and not after the cache was wiped; the one before is a copy that lags behind."""
    runtime = project.runtime()
    heads = []
    for entries in ([A], [A, B], [B]):
        project.publisher.publish(*entries)
        heads.append((project.publisher.folder / "head.json").read_bytes())
        project.synced(runtime)

    codes = []
    for head in heads[:2]:
        project.publisher.write("head.json", head)
        codes.append((project.synced(runtime).code, project.synced(project.runtime()).code))

    assert codes == [("rollback", "rollback"), ("stale-mirror", "stale-mirror")]


def test_s5_the_floor_outlives_damaged_state(project):
    """A state.json that is torn loses what was in force, and not what was seen."""
    project.publisher.publish(A)
    old = (project.publisher.folder / "head.json").read_bytes()
    project.synced(project.runtime())
    project.publisher.publish(A, B)
    project.synced(project.runtime())
    (project.folder / "state/remote/prod/state.json").write_bytes(b'{"schema": "one')
    project.publisher.write("head.json", old)

    runtime = project.runtime()

    assert runtime.keys("adapter").count("thing") == 0
    assert project.synced(runtime).code == "rollback"


def test_s6_two_bodies_of_one_version_are_a_lie(project):
    """Both are signed; the first one that was seen stays."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.publish(B, version=1)

    assert outcome(project.synced(runtime)) == ("rejected", "equivocation", 1)


def test_a_release_may_be_signed_again(project):
    """The same body with a later end is believed for longer, and nothing is registered."""
    release = project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    revision = runtime.revision
    project.publisher.publish(A, version=1, expires=stamp(project.now + 20 * DAY))

    report = project.synced(runtime)

    assert (outcome(report), runtime.revision) == (("unchanged", None, 1), revision)
    assert runtime.remote.status()[0].expires > project.now + 19 * DAY
    assert release["version"] == 1


def test_s1_a_clock_that_goes_back_believes_nothing_expired(project):
    """The newest release that was believed says how late it is at least."""
    project.publisher.publish(A, issued=stamp(project.now - 60), expires=stamp(project.now + DAY))
    runtime = project.runtime()
    project.synced(runtime)
    issued = project.now
    project.publisher.publish(
        B, version=2, issued=stamp(issued - 400 * DAY), expires=stamp(issued - 380 * DAY)
    )
    project.now -= 390 * DAY

    assert project.synced(runtime).code == "expired"


def test_epochs_recover_from_a_version_that_jumped(project):
    """After the greatest version, a keyring of the next epoch begins anew, and the old epoch is over."""
    project.publisher.publish(A, version=2**53 - 1)
    runtime = project.runtime()
    project.synced(runtime)
    old = (project.publisher.folder / "head.json").read_bytes()
    project.publisher.rotate(epoch=2)
    project.publisher.version = 0
    project.publisher.publish(A, B)

    report = project.synced(runtime)
    project.publisher.write("head.json", old)

    assert (report.outcome, report.epoch, report.version) == ("applied", 2, 1)
    assert project.synced(runtime).code in {"rollback", "stale-mirror"}


# --- S8 to S15: what the body says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["flipped", "cut", "longer", "other"])
def test_s8_the_body_is_the_one_that_was_signed(project, what):
    """Size and digest decide; nothing of another one is read."""
    release = project.publisher.publish(A)
    place = project.publisher.folder / release["manifest"]["path"]
    data = place.read_bytes()
    other = {
        "flipped": data[:-3] + b"x" + data[-2:],
        "cut": data[:-1],
        "longer": data + b"\n",
        "other": b"{}",
    }
    place.write_bytes(other[what])
    runtime = project.runtime()

    report = project.synced(runtime)

    assert (report.outcome, report.code) == ("rejected", {"flipped": "digest"}.get(what, "size"))
    assert runtime.remote.status()[0].floor is None


def test_s9_a_release_that_is_refused_raises_the_floor(project):
    """Its publisher goes up from there, never back."""
    runtime = project.runtime()
    project.publisher.publish(A)
    project.synced(runtime)
    old = (project.publisher.folder / "head.json").read_bytes()
    project.publisher.publish(A, {**B, "priority": 1000})
    refused = project.synced(runtime)
    project.publisher.write("head.json", old)

    assert outcome(refused) == ("rejected", "scope", 1)
    assert runtime.remote.status()[0].floor == (1, 2)
    assert project.synced(runtime).code == "stale-mirror"


@pytest.mark.parametrize("header", [{"stream": "staging"}, {"version": 9}])
def test_s10_the_body_is_the_releases_own(project, header):
    """Its first line says whose it is."""
    publisher = project.publisher
    publisher.version = 1
    publisher.publish(body=publisher.body([A], **header), version=1)

    report = project.synced(project.runtime())

    assert (report.code, report.line) == ("malformed", 1)


def test_s11_every_plugin_may_refuse(project):
    """One objection is enough; one that fails objects."""

    class Owners:
        @hookimpl
        def oneiric_check_manifest(self, manifest, changes):
            for identity in changes.added:
                if not manifest.entries[identity].owner:
                    yield EntryObjection("it has no owner", entry=identity)

    class Broken:
        @hookimpl
        def oneiric_check_manifest(self):
            raise KeyError("owner")

    project.publisher.publish({**A, "owner": "ann"}, B)
    refused = project.synced(project.runtime(plugins=[Owners()]))
    broken = project.synced(project.runtime(plugins=[Broken()]))

    assert (refused.code, refused.line, "it has no owner" in refused.detail) == ("policy", 3, True)
    assert broken.code == "plugin-error"


def test_s13_all_or_nothing(project):
    """One entry that cannot be registered refuses all; with ``isolate`` its last good stays, and the others come."""
    runtime = project.runtime()
    project.publisher.publish(A, B)
    project.synced(runtime)
    bad = {**A, "settings": {"size": "seven"}}
    new = entry("adapter", "other", "o", "stream_kit:plain")
    project.publisher.publish(bad, {**B, "priority": 10}, new)

    whole = project.synced(runtime)
    assert (outcome(whole), whole.line) == (("rejected", "malformed", 1), 3)

    project.settings('mode = "isolate"')
    runtime = project.runtime()
    isolated = project.synced(runtime)

    assert outcome(isolated) == ("applied", None, 2)
    assert [identity for identity, _ in isolated.skipped] == [("adapter", "thing", "a", "")]
    assert {
        record.candidate.provider: record.candidate.settings
        for record in runtime.snapshot.records(runtime.resolve("adapter", "thing").key)
    } == {"a": {"size": 7}, "b": {}}
    again = project.runtime()
    assert sorted(again.keys("adapter")) == sorted(runtime.keys("adapter"))
    assert {
        record.candidate.provider: record.candidate.settings
        for record in again.snapshot.records(again.resolve("adapter", "thing").key)
    } == {"a": {"size": 7}, "b": {}}


def test_s14_what_cannot_be_kept_is_taken_back(project, monkeypatch):
    """A disk that is full at the commit: the code is io, and what was before serves."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.publish(A, B)
    stream = runtime.remote.stream("prod")
    do = stream.files.disk.do

    def full(step, call, *args, **more):
        if step == "write":
            raise OSError(28, "No space left on device")
        return do(step, call, *args, **more)

    monkeypatch.setattr(stream.files.disk, "do", full)
    report = project.synced(runtime)
    monkeypatch.undo()

    assert (report.outcome, report.code, report.version) == ("unreachable", "io", 1)
    assert runtime.resolve("adapter", "thing").provider == "a"
    assert outcome(project.synced(runtime)) == ("applied", None, 2)


def test_s15_what_was_refused_is_not_looked_at_again(project):
    """The same release is refused at the price of a look at its head; another policy looks anew, and may accept."""
    asked = []

    class Counts:
        @hookimpl
        def oneiric_check_manifest(self, manifest):
            asked.append(manifest.version)

    project.publisher.publish({**A, "priority": 500})
    runtime = project.runtime(plugins=[Counts()])
    reports = [project.synced(runtime) for _ in range(3)]

    assert ({outcome(report)[:2] for report in reports}, asked) == ({("rejected", "scope")}, [1])
    assert reports[0].detail == reports[2].detail

    project.settings("priority_band = [0, 500]")
    assert outcome(project.synced(project.runtime())) == ("applied", None, 1)


# --- who decides ----------------------------------------------------------------------------------------------------


def test_another_verifier_is_chosen_by_name(project):
    """A plugin's, and what it answers is held against the same rules."""

    class Mine:
        @hookimpl
        def oneiric_verifiers(self):
            yield Verifier("mine", self.pull)
            yield Verifier("broken", lambda asked: 1 / 0)
            yield Verifier("odd", lambda asked: "yes")

        def pull(self, asked):
            raise VerifyError(f"{asked.stream} is not to my liking", code="policy")

    codes = {}
    for name in ("mine", "broken", "odd"):
        project.settings(f'verifier = "{name}"')
        report = project.synced(project.runtime(plugins=[Mine()]))
        codes[name] = report.code

    assert codes == {"mine": "policy", "broken": "plugin-error", "odd": "plugin-error"}


@pytest.mark.parametrize(
    ("more", "url", "message"),
    [
        ('verifier = "pined"', None, "no plugin brings a verifier 'pined' (did you mean pinned?)"),
        ("", "htps://example.org/", "did you mean https:?"),
        ("", "http://example.org/", None),
    ],
)
def test_what_cannot_be_synced_is_an_error_at_the_start(project, more, url, message):
    """With its line, before anything is asked for."""
    project.settings(more, url=url)
    result = project.oneiric("list")

    if message is not None:
        assert (result.exit_code, message in result.stderr) == (5, True)
        assert "oneiric.toml:" in result.stderr


@pytest.mark.parametrize("keys", [None, b"", b"{}", b"\0" * 40_000, "other"])
def test_without_usable_keys_nothing_starts(project, keys, tmp_path):
    """Keys that are not there, are damaged, or are another stream's."""
    if keys is None:
        (project.folder / "keys.json").unlink()
    else:
        data = Publisher(tmp_path / "elsewhere", "staging").anchor if keys == "other" else keys
        (project.folder / "keys.json").write_bytes(data)

    result = project.oneiric("list")

    assert result.exit_code == 5
    assert "oneiric.toml:4: remote.prod.keyring: " in result.stderr
    assert len(result.stderr.splitlines()) <= 3


# --- the start ------------------------------------------------------------------------------------------------------


def test_the_next_start_needs_nobody(project):
    """What was accepted is verified again, and in force, with the source gone."""
    project.publisher.publish(A, B)
    project.synced(project.runtime())
    (project.publisher.folder / "head.json").unlink()

    runtime = project.runtime()

    assert runtime.resolve("adapter", "thing").provider == "b"
    assert outcome(project.synced(runtime)) == ("unreachable", "unreachable", 1)
    assert runtime.resolve("adapter", "thing").provider == "b"


@pytest.mark.parametrize("damage", ["body", "head", "state", "keyring"])
def test_damaged_state_does_not_stop_a_start(project, damage):
    """It starts without what came from the stream, and the next sync brings it back."""
    project.publisher.publish(A)
    project.synced(project.runtime())
    folder = project.folder / "state/remote/prod"
    blobs = {len(path.read_bytes()): path for path in (folder / "blobs").iterdir()}
    if damage == "state":
        (folder / "state.json").write_bytes(b"\xff\xfe")
    elif damage == "keyring":
        (folder / "keep").mkdir(exist_ok=True)
        (folder / "keep/keyring-2.json").write_bytes(b"{}")
    else:
        path = blobs[max(blobs)] if damage == "head" else blobs[min(blobs)]
        path.write_bytes(path.read_bytes()[:-4])

    runtime = project.runtime()

    assert project.synced(runtime).outcome in {"applied", "unchanged"}
    assert runtime.resolve("adapter", "thing").provider == "a"


@pytest.mark.parametrize(("on_expired", "serves"), [("keep", True), ("deactivate", False)])
def test_what_has_expired_is_stale(project, on_expired, serves):
    """It is kept, or withdrawn, as the settings say: while it runs, and when it starts."""
    project.settings(f'on_expired = "{on_expired}"')
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.now += 8 * DAY

    report = project.synced(runtime)

    assert (report.outcome, report.code) == ("rejected", "expired")
    assert ("thing" in runtime.keys("adapter")) is serves
    assert runtime.remote.status()[0].condition == "stale"
    project.publisher.publish(A, B)
    assert project.synced(runtime).outcome == "applied"
    assert runtime.resolve("adapter", "thing").provider == "b"


def test_keys_are_rotated_while_it_runs(project):
    """New keys sign, old ones do not count any more, and a restart knows."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.rotate(root=[Key(5)], keys=[Key(6)])
    project.publisher.publish(A, B)
    assert outcome(project.synced(runtime)) == ("applied", None, 2)
    project.publisher.publish(A, signers=[Key(2)])

    assert project.synced(project.runtime()).code == "signature"


def test_two_streams_are_strangers(project):
    """Neither touches what the other brought, nor what the application has."""
    other = Publisher(project.folder / "two", "beta", now=lambda: project.now, root=[Key(8)], keys=[Key(9)])
    (project.folder / "beta.json").write_bytes(other.anchor)
    project.settings(
        f'[remote.beta]\nurl = "file://{project.folder}/two"\nkeyring = "beta.json"\nfactories = ["stream_kit"]'
    )
    project.publisher.publish(A)
    other.publish({**A, "provider": "beta", "priority": 1})
    runtime = project.runtime()
    stream = runtime.remote.stream("beta")
    stream.wall = lambda: project.now
    project.synced(runtime)
    stream.sync()
    project.publisher.publish(entry("adapter", "other", "o", "stream_kit:plain"), allow_removals=5)
    report = project.synced(runtime)

    assert report.removed == (("adapter", "thing", "a", ""),)
    assert runtime.resolve("adapter", "thing").provider == "beta"
    assert attrs.asdict(stream.status(), recurse=False)["version"] == 1


def test_what_plugins_say_is_written_down_without_secrets(project, monkeypatch):
    """A check that objects with a secret in its words: it is in no report, and in no file."""
    monkeypatch.setenv("TOKEN", "hunter2-and-more")

    class Leaks:
        @hookimpl
        def oneiric_check_manifest(self):
            yield EntryObjection("not with hunter2-and-more")

    project.settings('auth = "token"', head='[secrets]\ntoken = "env:TOKEN"')
    project.publisher.publish(A)

    async def main():
        async with project.runtime(plugins=[Leaks()]) as runtime:
            [report] = await runtime.remote.sync()
            return report

    report = asyncio.run(main())
    assert (report.code, report.detail) == ("policy", "not with ***")
    for path in (project.folder / "state").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


def test_a_relative_address_is_relative_to_the_settings(project, monkeypatch, tmp_path_factory):
    """Wherever the command is typed."""
    project.settings(url="file:srv")
    project.publisher.publish(A)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert outcome(project.synced(project.runtime())) == ("applied", None, 1)


def test_a_new_epoch_puts_an_end_to_the_old_one(project):
    """Also for a reader that has never seen a release: what the old keys signed does not count any more."""
    project.publisher.publish(A)
    project.publisher.rotate(epoch=2)

    assert outcome(project.synced(project.runtime())) == ("rejected", "rollback", None)


def test_a_damaged_distribution_hides_no_factory(project, monkeypatch, tmp_path_factory):
    """Metadata of somebody else's that is no text: ``ep:NAME`` is found, checked and loaded all the same."""
    site = tmp_path_factory.mktemp("site")
    for name, points in (
        ("bad", b"\xff\xfe[oneiric.factories]"),
        ("good", b"[oneiric.factories]\nkit.plain = stream_kit:plain\n"),
    ):
        about = site / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_bytes(points)
    monkeypatch.syspath_prepend(str(site))
    project.publisher.publish(entry("adapter", "thing", "a", "ep:kit.plain"))

    async def main():
        async with project.runtime() as runtime:
            [report] = await runtime.remote.sync()
            async with runtime.use("adapter", "thing") as thing:
                return report.outcome, thing

    assert asyncio.run(main()) == ("applied", {"kind": "plain"})
