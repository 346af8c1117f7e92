"""What a sync leaves behind, and what it leaves alone: S9 and S12 to S15, clause by clause."""

import asyncio
import errno
import json
import os
from typing import get_args

import pytest
from oneiric_hookspecs import EntryObjection, hookimpl
from oneiric_hookspecs.remote import Code
from stream_publisher import DAY, Publisher, entry, stamp

from oneiric.remote.disk import Disk

A = entry("adapter", "thing", "a", "stream_kit:Part")
B = entry("adapter", "other", "b", "stream_kit:plain")


class Meanwhile:
    """A check that does something once a release was read, and before any of it is kept: after that, nothing."""

    def __init__(self) -> None:
        self.does = None

    @hookimpl
    def oneiric_check_manifest(self):
        does, self.does = self.does, None
        return (does() if does is not None else None) or ()


def outcome(report):
    return (report.outcome, report.code, report.version)


def with_file(project, data, provider="f", **more):
    """An entry that is made from a file."""
    return entry(
        "adapter",
        "file",
        provider,
        "stream_kit:from_file",
        artifact=project.publisher.artifact(data),
        **more,
    )


def cached(project):
    """The artifacts on this machine, by digest."""
    return {path.name: path for path in (project.folder / "cache").rglob("*") if path.is_file()}


# --- S9 -------------------------------------------------------------------------------------------------------------


def quitting(project, monkeypatch):
    """A release whose factory cannot even be imported: whoever tries is to exit."""
    (project.folder / "kit_that_quits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(project.folder))
    project.settings(factories='["kit_that_quits"]')
    project.publisher.publish(entry("adapter", "thing", "a", "kit_that_quits:Part"))


def test_s9_the_floor_rises_whatever_ends_the_sync(project, monkeypatch):
    """Also what is no error of anybody's, but a way out."""
    quitting(project, monkeypatch)
    runtime = project.runtime()

    report = project.synced(runtime)

    assert (report.code, "SystemExit" in report.detail) == ("plugin-error", True)
    assert (runtime.remote.status()[0].floor, project.runtime().remote.status()[0].floor) == ((1, 1), (1, 1))


def test_s9_a_dry_run_that_is_cut_off_leaves_no_trace(project, monkeypatch):
    """Not even the floor."""
    quitting(project, monkeypatch)

    report = project.synced(project.runtime(), dry_run=True)

    assert (report.code, "SystemExit" in report.detail) == ("plugin-error", True)
    assert not (project.folder / "state/remote").exists()


def test_s9_that_the_floor_cannot_be_kept_hides_no_reason(project):
    """An artifact is not there, and by then others may write to the folder: it is the artifact that is told of."""
    meanwhile = Meanwhile()
    runtime = project.runtime(plugins=[meanwhile])
    project.publisher.publish(A)
    project.synced(runtime)
    file = with_file(project, b"data")
    (project.publisher.folder / file["artifact"]["path"]).unlink()
    project.publisher.publish(A, file)
    meanwhile.does = lambda: (project.folder / "state/remote/prod").chmod(0o770)

    report = project.synced(runtime)

    assert (report.outcome, report.code) == ("unreachable", "unreachable")
    assert file["artifact"]["path"] in report.detail


# --- S12 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"the model", b""], ids=["some", "none"])
@pytest.mark.parametrize("what", ["fifo", "folder", "link", "nothing"])
def test_s12_only_a_regular_file_is_an_artifact(project, what, data):
    """Whatever else has its name is never handed out, and nobody waits for it; the next sync brings the file again."""
    project.publisher.publish(with_file(project, data))
    runtime = project.runtime()
    assert project.synced(runtime).outcome == "applied"
    [path] = cached(project).values()
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        (project.folder / "data").write_bytes(data)
        path.symlink_to(project.folder / "data")
    artifact = runtime.resolve("adapter", "file").artifact

    with pytest.raises(Exception, match=r"the next sync fetches it") as caught:
        artifact.open()
    assert caught.value.code == "artifact"
    assert project.synced(runtime).outcome == "unchanged"
    with artifact.open() as opened:
        assert opened.read() == data


def test_s12_a_damaged_artifact_is_brought_again_with_the_next_release(project):
    """Though nobody has opened it meanwhile: it is hashed before anything is registered that is made from it."""
    file = with_file(project, b"the model")
    project.publisher.publish(file)
    runtime = project.runtime()
    project.synced(runtime)
    [path] = cached(project).values()
    path.write_bytes(b"the modeL")
    project.publisher.publish(file, B)

    assert project.synced(runtime).outcome == "applied"
    assert path.read_bytes() == b"the model"


def test_s12_a_dry_run_brings_nothing(project):
    """Neither the artifact of a release that is new, nor one that is gone of the release in force."""
    project.publisher.publish(with_file(project, b"one"))
    runtime = project.runtime()
    fresh = project.synced(runtime, dry_run=True), cached(project)
    project.synced(runtime)
    [(name, path)] = cached(project).items()
    path.unlink()
    gone = project.synced(runtime, dry_run=True), cached(project)

    assert (fresh[0].outcome, fresh[1], gone[0].outcome, gone[1]) == ("applied", {}, "unchanged", {})
    assert (project.synced(runtime).outcome, list(cached(project))) == ("unchanged", [name])


# --- the start ------------------------------------------------------------------------------------------------------


def test_a_start_that_refuses_what_was_accepted_keeps_no_refusal(project):
    """The settings are others, and it is outside of them by now: nothing is written, and with the old ones it is back."""
    project.publisher.publish(A)
    project.synced(project.runtime())
    state = {path: path.read_bytes() for path in (project.folder / "state").rglob("*") if path.is_file()}

    project.settings("priority_band = [5, 9]")
    refused = project.runtime()
    project.settings()
    again = project.runtime()

    assert ("thing" in refused.keys("adapter"), refused.remote.status()[0].refused) == (False, None)
    assert {path: path.read_bytes() for path in state} == state
    assert again.resolve("adapter", "thing").provider == "a"


# --- S13 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(project):
    """The project with a second stream, ``beta``: both bring ``adapter:thing``."""
    other = Publisher(project.folder / "two", "beta", now=lambda: project.now)
    (project.folder / "beta.json").write_bytes(other.anchor)
    prod, beta = (
        f'[remote.{name}]\nurl = "file://{project.folder}/{place}"\nkeyring = "{keys}.json"\n'
        'factories = ["stream_kit"]\n'
        for name, place, keys in (("prod", "srv", "keys"), ("beta", "two", "beta"))
    )
    project.publisher.publish(A)
    other.publish({**A, "provider": "beta"})

    def ordered(*names):
        (project.folder / "oneiric.toml").write_text(
            "".join({"prod": prod, "beta": beta}[name] for name in names)
        )

    ordered("prod", "beta")
    ordered.publisher = other
    return ordered


def test_s13_a_stream_takes_the_place_that_the_settings_give_it(project, two):
    """Also where they are changed while it runs: from its next release on."""

    async def main():
        async with project.runtime() as runtime:
            await runtime.remote.sync()
            before = runtime.resolve("adapter", "thing").provider
            two("beta", "prod")
            await runtime.apply(project.folder / "oneiric.toml")
            project.publisher.publish(A, B)
            [report] = await runtime.remote.sync("prod")
            return before, report.outcome, runtime.resolve("adapter", "thing").provider

    assert asyncio.run(main()) == ("beta", "applied", "a")


# --- S14 ------------------------------------------------------------------------------------------------------------


class Stuck(Disk):
    """A disk on which nothing takes its place under a name, or in a folder of that name.

    Args:
        what: What comes of trying.
        name: The name.
    """

    def __init__(self, what: BaseException, name: str) -> None:
        self.what, self.name = what, name

    def do(self, step, call, *args, **kwargs):
        if step == "replace" and self.name in args[1].parts[-2:]:
            raise self.what
        return call(*args, **kwargs)


def stuck_sync(stream, what, name="state.json"):
    """The report of a sync whose commit comes to *what*; None where that ends it."""
    files = stream.files
    files.disk = Stuck(what, name)
    try:
        return stream.sync()
    except KeyboardInterrupt:
        return None
    finally:
        files.disk = Disk()


@pytest.mark.parametrize(
    "what", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full", "cut-off"]
)
@pytest.mark.parametrize("before", [True, False], ids=["after-another", "the-first"])
@pytest.mark.parametrize("name", ["blobs", "floors", "state.json"])
def test_s14_a_commit_that_fails_puts_back_what_was(project, what, before, name):
    """What was registered is registered, the same candidate, and nothing else; the next sync has all of it to do."""
    runtime = project.runtime()
    if before:
        project.publisher.publish(A)
        project.synced(runtime)
    known = runtime.resolve("adapter", "thing") if before else None
    project.publisher.publish({**A, "priority": 7}, B)

    report = stuck_sync(runtime.remote.stream("prod"), what, name)
    after = [key for key in runtime.keys("adapter") if key in ("thing", "other")]
    same = not before or runtime.resolve("adapter", "thing") is known

    assert (after, same) == (["thing"] if before else [], True)
    assert report is None or outcome(report) == ("unreachable", "io", 1 if before else None)
    assert outcome(project.synced(runtime)) == ("applied", None, 2 if before else 1)
    assert (runtime.resolve("adapter", "thing").priority, "other" in runtime.keys("adapter")) == (7, True)


def test_s14_what_is_put_back_has_its_place_among_the_streams(project, two):
    """A stream that is the later one wins over the earlier ones as it did."""
    runtime = project.runtime()
    for name in ("prod", "beta"):
        stream = runtime.remote.stream(name)
        stream.wall = lambda: project.now
        assert stream.sync().outcome == "applied"
    before = runtime.resolve("adapter", "thing").provider
    two.publisher.publish({**A, "provider": "beta"}, B)

    report = stuck_sync(stream, OSError(errno.ENOSPC, "No space left on device"))

    assert (before, report.code, runtime.resolve("adapter", "thing").provider) == ("beta", "io", "beta")


def test_s14_artifacts_that_nobody_needs_are_swept_by_the_sync(project):
    """Those of the release in force and of the one before stay, and so does what came within the hour."""
    runtime, files = project.runtime(), [f"model {number}".encode() for number in range(4)]
    names = []
    for data in files:
        made = with_file(project, data)
        names.append(made["artifact"]["sha256"])
        project.publisher.publish(made)
        assert project.synced(runtime).outcome == "applied"
    young = set(cached(project))
    for path in cached(project).values():
        os.utime(path, (1, 1))
    project.publisher.publish(made, B)
    project.synced(runtime)
    one = set(cached(project))
    project.publisher.publish(made, B, {**A, "priority": 3})
    project.synced(runtime)

    assert young == set(names)
    assert one == set(names[-1:])
    assert set(cached(project)) == set(names[-1:])


def test_s14_the_artifact_of_the_release_before_stays(project):
    """However old it is: what is bound may still be made from it."""
    runtime, names = project.runtime(), []
    for data in (b"one", b"two", b"three"):
        made = with_file(project, data)
        names.append(made["artifact"]["sha256"])
        project.publisher.publish(made)
        assert project.synced(runtime).outcome == "applied"
        for path in cached(project).values():
            os.utime(path, (1, 1))

    assert set(cached(project)) == set(names[-2:])


def test_s14_a_release_that_is_signed_again_is_not_the_one_before_itself(project):
    """The one before stays that, with its files: a copy of it lags behind, and is no attempt to lead back."""
    runtime, names = project.runtime(), []
    for number, (version, data) in enumerate([(1, b"one"), (2, b"two"), (2, b"two")]):
        made = with_file(project, data)
        names.append(made["artifact"]["sha256"])
        project.publisher.publish(made, version=version, expires=stamp(project.now + (number + 1) * DAY))
        if number == 0:
            old = (project.publisher.folder / "head.json").read_bytes()
        project.synced(runtime)
        for path in cached(project).values():
            os.utime(path, (1, 1))
    project.publisher.write("head.json", old)

    assert project.synced(runtime).code == "stale-mirror"
    assert set(cached(project)) == set(names)


def test_s14_who_signed_is_kept(project):
    """For people who look into the file."""
    project.publisher.publish(A)
    report = project.synced(project.runtime())
    kept = json.loads((project.folder / "state/remote/prod/state.json").read_bytes())

    assert (report.signers, kept["active"]["signers"]) == (("key-2",), ["key-2"])


def test_s14_when_it_was_first_applied_is_kept(project):
    """A release that is signed again is the same one; the next one has a time of its own."""
    runtime, begin, told = project.runtime(), project.now, []
    for wait, version, expires in ((0, 1, 5), (100, 1, 6), (100, 2, 5)):
        project.now += wait
        project.publisher.publish(A, version=version, expires=stamp(project.now + expires * DAY))
        project.synced(runtime)
        told.append(runtime.remote.status()[0].applied_at - begin)

    assert told == [0, 0, 200]
    assert project.runtime().remote.status()[0].applied_at - begin == 200


# --- S15 ------------------------------------------------------------------------------------------------------------

#: Refusals whose reason may be gone without another release, and without another policy.
PASSING = {
    "artifact",
    "conflict",
    "deadline",
    "digest",
    "distributions",
    "equivocation",
    "factory",
    "io",
    "malformed",  # of an entry that was read, and does not fit; of one that cannot be read, see below
    "plugin-error",
    "rollback",
    "size",
    "stale-mirror",
}


@pytest.mark.parametrize("code", get_args(Code))
def test_s15_some_refusals_pass_and_others_stand(project, code):
    """Each code is one or the other: the same release is looked at again, or it is not."""
    meanwhile = Meanwhile()
    meanwhile.does = lambda: [EntryObjection("not now", code=code)]
    runtime = project.runtime(plugins=[meanwhile])
    project.publisher.publish(A)

    first, second = project.synced(runtime), project.synced(runtime)

    assert (first.code, first.version) == (code, None)
    assert (second.code, second.version) == ((None, 1) if code in PASSING else (code, None))


def test_s15_a_refusal_is_told_again_as_it_was_told(project):
    """With its line, by the next process too."""
    project.publisher.publish(B, {**A, "priority": 1000})
    runtime = project.runtime()

    told = [
        (report.code, report.line, report.detail)
        for report in (
            project.synced(runtime),
            project.synced(runtime),
            project.synced(project.runtime()),
        )
    ]

    assert (told[0][:2], set(told)) == (("scope", 3), {told[0]})
    assert runtime.remote.status()[0].refused["line"] == 3


def test_s15_a_body_that_cannot_be_read_is_not_fetched_again(project):
    """What is wrong with it stays so: the refusal stands, though the body were another by now."""
    release = project.publisher.publish({**A, "colour": "red"})
    runtime = project.runtime()
    first = project.synced(runtime)
    (project.publisher.folder / release["manifest"]["path"]).unlink()

    assert (first.outcome, first.code, first.line) == ("rejected", "malformed", 2)
    assert (project.synced(runtime).code, project.synced(runtime).line) == ("malformed", 2)


def test_s15_settings_of_the_application_that_are_mended_put_an_end_to_it(project):
    """They did not fit the class of the factory, and that was what the release was refused for."""
    table = "[adapters.settings.thing.a]\nsize = {}\n"
    project.settings(head=table.format('"seven"'))
    project.publisher.publish(A)
    refused = project.synced(project.runtime())
    project.settings(head=table.format(7))

    assert (refused.outcome, refused.code) == ("rejected", "malformed")
    assert outcome(project.synced(project.runtime())) == ("applied", None, 1)
