"""What a verifier believes is held against the kernel's own rules all the same: S1 to S7, to the second."""

import hashlib
import os
from importlib import metadata

import attrs
import pytest
from oneiric_hookspecs import Fetched, Fetcher, FetchError, FileRef, Pulled, Release, Verifier, hookimpl
from stream_publisher import DAY, Key, entry, stamp

A = entry("adapter", "thing", "a", "stream_kit:Part")


class Gullible:
    """A verifier that believes what a test tells it to."""

    def __init__(self, project) -> None:
        self.project, self.says = project, None

    @hookimpl
    def oneiric_verifiers(self):
        yield Verifier("gullible", lambda asked: self.says(asked) if callable(self.says) else self.says)

    def release(self, body=A, **more) -> Release:
        """A release of one entry, whose body is there."""
        made = self.project.publisher.publish(body, version=more.pop("version", 1))
        now = int(self.project.now)
        return Release(
            **{
                "stream": "prod",
                "epoch": 1,
                "version": made["version"],
                "issued": now - 60,
                "expires": now + DAY,
                "manifest": FileRef(**made["manifest"]),
                "keyring": 1,
            }
            | more
        )


@pytest.fixture
def gullible(project) -> Gullible:
    project.settings('verifier = "gullible"')
    return Gullible(project)


CHANGES = {
    "S3 another stream": ({"stream": "staging"}, "wrong-stream"),
    "S4 expired this second": ({"expires": 0}, "expired"),
    "S4 the last second": ({"expires": 1}, None),
    "S4 for as long as may be": ({"issued": 0, "expires": 30 * DAY}, None),
    "S4 for a second longer": ({"issued": 0, "expires": 30 * DAY + 1}, "expired"),
    "S4 five minutes ahead": ({"issued": 300}, None),
    "S4 a second more": ({"issued": 301}, "clock-skew"),
    "S7 crit": ({"crit": ("quantum",)}, "crit"),
    "S7 min_client": ({"min_client": "99"}, "client-too-old"),
    "S7 min_client that is this one": ({"min_client": metadata.version("oneiric")}, None),
    "S7 min_client in a range": ({"min_client": ">=0.1"}, None),
    "S7 min_client out of a range": ({"min_client": "<0.1"}, "client-too-old"),
    "S7 min_client that is no version": ({"min_client": "new"}, "malformed"),
}


@pytest.mark.parametrize("rule", CHANGES)
def test_a_release_is_held_against_each_rule(project, gullible, rule):
    """Whoever believes it."""
    change, code = CHANGES[rule]
    times = {
        name: int(project.now) + value for name, value in change.items() if name in ("issued", "expires")
    }
    gullible.says = Pulled(gullible.release(**change | times))

    assert project.synced(project.runtime(plugins=[gullible])).code == code


@pytest.mark.parametrize(("place", "code"), [((1, 1), "stale-mirror"), ((0, 9), "rollback"), ((2, 1), None)])
def test_s5_a_place_is_epoch_and_version(project, gullible, place, code):
    """A later epoch begins anew; of the one before nothing is taken, however high its version is."""
    runtime = project.runtime(plugins=[gullible])
    for version in (1, 2):
        gullible.says = Pulled(gullible.release(version=version))
        assert project.synced(runtime).outcome == "applied"
    epoch, version = place
    gullible.says = Pulled(gullible.release(version=version, epoch=epoch))

    assert project.synced(runtime).code == code


ANSWERS = {
    "a text": ("yes", "the verifier gullible answered a str, not a Pulled"),
    "nothing": (None, "the verifier gullible answered a NoneType, not a Pulled"),
    "an error": (lambda asked: 1 / 0, "the verifier gullible failed: ZeroDivisionError: division by zero"),
    "unchanged": ("unchanged", "the verifier gullible says unchanged of nothing"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_s2_an_answer_that_is_none_is_the_verifiers_fault(project, gullible, answer):
    """It is named, and nothing of it is believed."""
    says, sentence = ANSWERS[answer]
    if says == "unchanged":
        says = attrs.evolve(Pulled(gullible.release()), unchanged=True)
    gullible.says = says
    report = project.synced(project.runtime(plugins=[gullible]))

    assert (report.outcome, report.code, report.detail) == ("rejected", "plugin-error", sentence)


def test_s1_what_is_stale_stays_so_though_the_clock_goes_back(project):
    """The newest release that was verified says how late it is, also if it was refused for what it brings."""
    project.publisher.publish(A, expires=stamp(project.now + 3600))
    runtime = project.runtime()
    project.synced(runtime)
    begin = project.now
    project.now += 7200
    project.publisher.publish({**A, "priority": 1000})
    refused = project.synced(runtime)
    project.now = begin

    assert (refused.code, refused.stale) == ("scope", True)
    assert runtime.remote.status()[0].condition == "stale"
    assert project.runtime().remote.status()[0].condition == "stale"


def test_s1_a_release_that_was_signed_earlier_does_not_turn_time_back(project, gullible):
    """A later version may have been signed before the one it follows; the time is never before either."""
    runtime, begin = project.runtime(plugins=[gullible]), int(project.now)
    for version, issued in ((1, begin), (2, begin - 3600)):
        gullible.says = Pulled(gullible.release(version=version, issued=issued, expires=begin + DAY))
        assert project.synced(runtime).outcome == "applied"
    project.now -= 1000
    gullible.says = Pulled(gullible.release(version=3, issued=begin - 3600, expires=begin - 10))

    assert project.synced(runtime).code == "expired"


def test_s4_the_future_is_this_machines(project, gullible):
    """Whose clock went back: what was signed later than its time is told, though a release was believed by then."""
    runtime, begin = project.runtime(plugins=[gullible]), int(project.now)
    gullible.says = Pulled(gullible.release(version=1, issued=begin))
    assert project.synced(runtime).outcome == "applied"
    project.now -= 3600
    gullible.says = Pulled(gullible.release(version=2, issued=begin + 100))

    assert project.synced(runtime).code == "clock-skew"


def test_s4_what_is_unchanged_is_held_against_the_same_time(project, gullible):
    """That of the newest release that was believed, though it came to nothing, and this machine's clock went back."""
    runtime, begin = project.runtime(plugins=[gullible]), int(project.now)
    first = gullible.says = Pulled(gullible.release(issued=begin, expires=begin + 3600))
    assert project.synced(runtime).outcome == "applied"
    project.now += 7200
    gullible.says = Pulled(gullible.release({**A, "factory": "nowhere:Part"}, version=2))
    assert project.synced(runtime).code == "factory"
    project.now = begin
    gullible.says = attrs.evolve(first, unchanged=True)

    assert project.synced(runtime).code == "expired"


#: What the clock says of a release by the time its verifier is done, and what comes of it.
LATE = {
    "it has expired by then": ({"expires": 10}, False, None),
    "it has expired by then, and is unchanged": ({"expires": 10}, True, None),
    "it was signed by then": ({"issued": 310}, False, "clock-skew"),
}


@pytest.mark.parametrize("case", LATE)
def test_s1_the_time_of_a_sync_is_that_of_its_beginning(project, gullible, case):
    """However long it takes to be pulled."""
    change, unchanged, code = LATE[case]
    runtime = project.runtime(plugins=[gullible])
    release = gullible.release(**{name: int(project.now) + value for name, value in change.items()})

    def late(asked):
        project.now += 20
        return Pulled(release, unchanged=unchanged)

    if unchanged:
        gullible.says = Pulled(release)
        assert project.synced(runtime).outcome == "applied"
    gullible.says = late
    report = project.synced(runtime)

    assert (report.code, report.stale) == (code, code is None)


def test_s10_what_a_body_says_beyond_the_format_is_told(project, caplog):
    """Where it is allowed: with its line and its name."""
    project.settings('unknown_fields = "warn"')
    project.publisher.publish({**A, "colour": "red"})

    assert project.synced(project.runtime()).outcome == "applied"
    [told] = [each.getMessage() for each in caplog.records if "colour" in each.getMessage()]
    assert told.startswith("stream prod: ")


def test_s11_who_comes_to_judge_is_asked_about_what_stands(project):
    """Not only about what is new in the next release."""
    asked = []

    class Judge:
        @hookimpl
        def oneiric_check_manifest(self, changes):
            asked.append({identity[1] for identity in (*changes.added, *changes.changed)})
            return ()

    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    runtime.hooks.register(Judge(), "judge")
    for version in ("later", "last"):
        project.publisher.publish(A, entry("adapter", version, "b", "stream_kit:Part"))
        assert project.synced(runtime).outcome == "applied"

    assert asked == [{"thing", "later"}, {"last"}]


def test_s11_what_is_signed_again_is_judged_by_who_came_since(project):
    """The release is the same one, and what comes of it may be another: that is told as a change."""

    class Judge:
        @hookimpl
        def oneiric_check_manifest(self):
            return ()

    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    runtime.hooks.register(Judge(), "judge")
    project.publisher.publish(A, version=1, expires=stamp(project.now + 20 * DAY))
    report = project.synced(runtime)

    assert (report.outcome, report.changed) == ("applied", (("adapter", "thing", "a", ""),))


# --- what is kept of a refusal, and of what was ---------------------------------------------------------------------


def test_s15_what_may_pass_is_looked_at_again(project):
    """An artifact that was damaged on its way: the same release is taken as soon as it is whole."""
    file = project.publisher.artifact(b"data")
    project.publisher.write(file["path"], b"dada")
    project.publisher.publish(entry("adapter", "file", "f", "stream_kit:from_file", artifact=file))
    runtime = project.runtime()

    refused = project.synced(runtime)
    told = runtime.remote.status()[0].refused
    project.publisher.write(file["path"], b"data")

    assert (refused.outcome, refused.code, told["code"]) == ("rejected", "digest", "digest")
    assert project.synced(runtime).outcome == "applied"
    assert runtime.remote.status()[0].refused is None


def test_s15_a_verifier_need_not_say_unchanged(project, gullible):
    """The release itself says that it is the one that was refused: nobody is asked about it again."""
    asked = []

    class Judge:
        @hookimpl
        def oneiric_check_manifest(self):
            asked.append(1)
            return ()

    gullible.says = Pulled(gullible.release({**A, "priority": 1000}))
    runtime = project.runtime(plugins=[gullible, Judge()])
    codes = [project.synced(runtime).code for _ in range(3)]

    assert (codes, len(asked)) == (["scope"] * 3, 1)


def test_s15_what_is_said_to_be_unchanged_is_what_was_refused(project, gullible):
    """Nothing was verified anew: whatever release comes along with that word, it is not taken."""
    gullible.says = Pulled(gullible.release({**A, "priority": 1000}))
    runtime = project.runtime(plugins=[gullible])
    first = project.synced(runtime)
    gullible.says = Pulled(gullible.release(version=2), unchanged=True)
    second = project.synced(runtime)

    assert (first.code, second.code, second.detail) == ("scope", "scope", first.detail)
    assert runtime.remote.status()[0].version is None


def test_s15_a_dry_run_keeps_no_refusal(project):
    """Nor the floor: it leaves no trace."""
    project.publisher.publish({**A, "priority": 1000})
    runtime = project.runtime()

    assert project.synced(runtime, dry_run=True).code == "scope"
    assert not (project.folder / "state/remote").exists()


def test_newer_keys_are_looked_for_once_a_day(project):
    """Though the head is what it was: a key that was taken back does not count any more."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.rotate(keys=[Key(7)])
    codes = []
    for hours in (23, 2):
        project.now += hours * 3600
        codes.append(project.synced(runtime).code)

    assert codes == [None, "signature"]


@pytest.mark.parametrize(("seconds", "code"), [(DAY - 1, None), (DAY, "signature")])
def test_newer_keys_are_looked_for_when_a_day_is_over(project, seconds, code):
    """To the second."""
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.rotate(keys=[Key(7)])
    project.now += seconds

    assert project.synced(runtime).code == code


def test_a_start_is_no_look_for_newer_keys(project, gullible):
    """Whatever the verifier says it did: nobody was asked, and so the next sync looks."""
    release, probes = gullible.release(), []

    def says(asked):
        probes.append((asked.offline, asked.probe))
        return Pulled(release, probed=True, unchanged=asked.known is not None)

    gullible.says = says
    project.synced(project.runtime(plugins=[gullible]))
    project.now += DAY - 10
    runtime = project.runtime(plugins=[gullible])
    project.now += 10
    project.synced(runtime)
    project.synced(runtime)

    assert probes == [(False, True), (True, False), (False, True), (False, False)]


def test_bodies_that_nobody_needs_are_swept_by_the_sync(project):
    """Those of the release in force and of the one before stay."""
    runtime = project.runtime()
    blobs = project.folder / "state/remote/prod/blobs"
    for number in range(4):
        release = project.publisher.publish({**A, "priority": number})
        assert project.synced(runtime).outcome == "applied"
        for blob in blobs.iterdir():
            os.utime(blob, (1, 1))

    bodies = {hashlib.sha256(each.read_bytes()).hexdigest() for each in project.publisher.folder.glob("m*/*")}
    assert len(bodies) == 4
    left = bodies & {each.name for each in blobs.iterdir()}
    assert (len(left), release["manifest"]["sha256"] in left) == (2, True)


def test_after_a_failure_the_source_is_opened_anew(project):
    """A connection that went bad is no reason for the next sync to fail."""

    class Source:
        opened = fails = 0

        @hookimpl
        def oneiric_fetchers(self):
            yield Fetcher("mine", self.open)

        def open(self, spec):
            self.opened += 1
            return self

        def get(self, path, sink, *, etag=None):
            if self.fails:
                raise FetchError("it went bad")
            place = project.publisher.folder / path
            if not place.exists():
                return Fetched("absent")
            sink.write(place.read_bytes())
            return Fetched("ok")

        def close(self):
            pass

    source = Source()
    project.settings(url="mine:there")
    project.publisher.publish(A)
    runtime = project.runtime(plugins=[source])
    counts = []
    for source.fails in (0, 0, 1, 0):
        project.synced(runtime)
        counts.append(source.opened)

    assert counts == [1, 1, 1, 2]


def test_what_was_withdrawn_comes_back_whole(project):
    """The same entries, signed anew, after they were withdrawn as they had expired."""
    project.settings('on_expired = "deactivate"')
    project.publisher.publish(A)
    runtime = project.runtime()
    project.synced(runtime)
    project.now += 8 * DAY
    project.synced(runtime)
    withdrawn = runtime.keys("adapter")
    project.publisher.publish(A)

    assert "thing" not in withdrawn
    assert project.synced(runtime).added == (("adapter", "thing", "a", ""),)
    assert runtime.resolve("adapter", "thing").provider == "a"


def test_s5_what_another_process_has_seen_counts(project):
    """Its floor is this one's, at the next sync."""
    project.publisher.publish(A)
    old = (project.publisher.folder / "head.json").read_bytes()
    runtime = project.runtime()
    project.synced(runtime)
    project.publisher.publish({**A, "priority": 2})
    project.synced(project.runtime())
    project.publisher.write("head.json", old)

    assert project.synced(runtime).code == "stale-mirror"
