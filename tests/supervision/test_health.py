"""How parts stand: thresholds, what users have seen, what they need, groups; reading it asks nobody."""

import asyncio

import pytest
from oneiric_hookspecs import (
    Candidate,
    Health,
    Key,
    Need,
    NotServing,
    Permanent,
    Policies,
    ResolutionError,
    hookimpl,
)

from oneiric.testing.supervised import DB, MAIL, Made, Part, given

WEB = Key.of("adapter", "web")


async def after(seconds):
    await asyncio.sleep(seconds)


def bad(count):
    """Well when it is activated and confirmed, then ill so often, then well."""
    return [True, True, *[False] * count, True]


@pytest.mark.parametrize(
    ("text", "wrong", "lines"),
    [
        ("", 2, [(None, "ok")]),
        ("", 3, [(None, "ok"), ("ok", "failed"), ("failed", "ok")]),
        ("[health]\nfailure = 1\n", 1, [(None, "ok"), ("ok", "failed"), ("failed", "ok")]),
        ("[health]\nsuccess = 50\n", 3, [(None, "ok"), ("ok", "failed")]),
    ],
    ids=["two-are-none", "three", "one", "fifty-to-mend"],
)
def test_thresholds(run, supervised, text, wrong, lines):
    """Three bad answers in a row make it failed, one good one mends it; as the settings say; told once each."""

    async def main():
        async with supervised(text, given(DB, Part(health=bad(wrong)))) as it:
            await it.use(DB)
            await after(200)
            return it.notes.lines

    assert run(main) == [("adapter:db", *line) for line in lines]


def test_bad_answers_must_be_in_a_row(run, supervised):
    """Two bad ones, a good one, two bad ones: nothing has changed."""

    async def main():
        answers = [True, True, False, False, True, False, False, True]
        async with supervised("", given(DB, Part(health=answers))) as it:
            await it.use(DB)
            await after(200)
            return it.notes.lines

    assert run(main) == [("adapter:db", None, "ok")]


def test_a_better_answer_ends_the_row(run, supervised):
    """Also one that is not yet enough to mend it."""

    async def main():
        answers = ["degraded", "degraded", False, False, True, False, False, "degraded"]
        async with supervised("[health]\nsuccess = 5\n", given(DB, Part(health=answers))) as it:
            await it.use(DB)
            await after(200)
            return it.notes.lines

    assert run(main) == [("adapter:db", None, "degraded")]


def test_degraded_counts_as_worse_than_ok(run, supervised):
    """``degraded`` holds after as many answers; from it, failing takes as many again."""

    async def main():
        answers = [True, True, *["degraded"] * 3, *["failed"] * 2, "degraded", *["failed"] * 3]
        async with supervised("", given(DB, Part(health=answers))) as it:
            await it.use(DB)
            await after(200)
            return [line[1:] for line in it.notes.lines]

    assert run(main) == [(None, "ok"), ("ok", "degraded"), ("degraded", "failed")]


def test_told_in_order_although_a_plugin_is_slow(run, supervised):
    """Of one part one change after another, whatever an observer takes for each; and it cannot end the rounds."""

    class Slow:
        heard = ()

        @hookimpl
        async def oneiric_health_changed(self, key, after):
            await asyncio.sleep(4 if after.status == "failed" else 0)
            self.heard = (*self.heard, after.status)
            raise KeyError("x")

    async def main():
        slow = Slow()
        text = "[health]\nfailure = 1\n[lifecycle]\nprobe_interval = 1.0\n"
        async with supervised(text, given(DB, Part(health=bad(1))), plugins=[slow]) as it:
            await it.use(DB)
            await after(20)
            return slow.heard

    assert run(main) == ("ok", "failed", "ok")


def test_flapping_is_held_at_degraded(run, supervised):
    """More than six changes in ten minutes: degraded, whatever it answers, until it was quiet for five minutes."""

    async def main():
        answers = [True, True, *[False, True] * 4]
        async with supervised("[health]\nfailure = 1\n", given(DB, Part(health=answers))) as it:
            await it.use(DB)
            await after(80)
            held = it.of(DB)
            await after(290)
            still = it.of(DB).flapping
            await after(20)
            return (
                held.flapping,
                held.health.status,
                still,
                it.of(DB).flapping,
                [each[2] for each in it.notes.lines],
            )

    lines = ["ok", *["failed", "ok"] * 3, "degraded", "ok"]
    assert run(main) == (True, "degraded", True, False, lines)


def test_it_is_no_flapping_of_another_candidate(run, supervised):
    """What is swapped in begins with a clean slate."""

    async def main():
        answers = [True, True, *[False, True] * 4]
        parts = given(DB, Part(health=answers), "old"), given(DB, Part(), "new")
        async with supervised("[health]\nfailure = 1\n", *parts) as it:
            await it.runtime.swap(*DB, "old")
            await after(80)
            before = it.of(DB).flapping
            await it.runtime.swap(*DB, "new")
            await after(0.1)
            return before, it.of(DB).flapping, it.of(DB).health.status

    assert run(main) == (True, False, "ok")


def test_an_old_answer_is_stale(run, supervised):
    """Older than three intervals it is unknown, and says so; reading asks nobody."""

    async def main():
        part = Part()
        async with supervised("", given(DB, part)) as it:
            await it.use(DB)
            await after(7)
            await it.supervision.stop()
            asked = part.asked
            await after(27)
            fresh = it.of(DB).stale, it.of(DB).health.status
            await after(5)
            told = it.of(DB)
            return fresh, told.stale, told.health.status, told.health.reason, part.asked - asked

    assert run(main) == ((False, "ok"), True, "unknown", "stale: its last answer is 34 s old", 0)


@pytest.mark.parametrize(
    ("good", "wrong", "status"), [(2, 3, "degraded"), (3, 3, "ok"), (0, 4, "ok")], ids=["most", "half", "few"]
)
def test_what_users_have_seen(run, supervised, good, wrong, status):
    """Of at least five uses in a minute more than half ended by an exception: degraded; after a quiet minute, ok."""

    async def main():
        async with supervised("[health]\nfailure = 1\n", given(DB, Part())) as it:
            await it.use(DB)
            await after(70)
            for number in range(good + wrong):
                try:
                    async with it.runtime.use(*DB):
                        if number >= good:
                            raise KeyError(number)
                except KeyError:
                    continue
            await after(6)
            during = it.of(DB).health
            await after(80)
            return during.status, it.of(DB).health.status

    assert run(main) == (status, "ok")


def _needing(key, part, *needs):
    return Candidate(key, "it", lambda **_: part, needs=needs)


@pytest.mark.parametrize(
    ("optional", "status"), [(False, "failed"), (True, "degraded")], ids=["required", "optional"]
)
def test_with_what_it_needs(run, supervised, optional, status):
    """What it requires makes it as ill as that is, what it could do without degraded; its own health is untouched."""

    async def main():
        parts = Part(), Part(health=[True, True, *[False] * 9])
        need = Need(DB, optional=optional)
        async with supervised("", _needing(WEB, parts[0], need), given(DB, parts[1])) as it:
            touched = []
            it.supervision.changed = lambda key: touched.append(str(key))
            await it.use(WEB)
            await after(24)
            touched.clear()
            await after(2)
            told = it.of(WEB)
            return told.health.status, told.effective.status, told.effective.reason, "adapter:web" in touched

    reason = "it uses adapter:db, which is failed (its check answers no)"
    assert run(main) == ("ok", status, reason, True)


def test_health_by_way_of_others(run, supervised):
    """A chain of needs is followed to its end; a circle of optional ones ends, too."""

    async def main():
        top, middle, low = (Key.of("adapter", name) for name in ("top", "middle", "low"))
        low_part = Part(health=[True, True, *[False] * 9])
        async with supervised(
            "[health]\nfailure = 1\n",
            _needing(top, Part(), Need(middle)),
            _needing(middle, Part(), Need(low), Need(top, optional=True, on_change="handle")),
            given(low, low_part),
        ) as it:
            await it.use(top)
            await after(30)
            return [it.of(key).effective.status for key in (top, middle, low)]

    assert run(main) == ["failed", "failed", "failed"]


GROUPS = """
[health]
failure = 1
informational = ["adapter:shown"]
[health.groups.shop]
include = ["adapter:*"]
exclude = ["adapter:db"]
[lifecycle.keys."adapter:spare"]
critical = false
"""


@pytest.mark.parametrize(
    ("ill", "ready", "shop"),
    [
        ("db", "failed", "ok"),
        ("web", "failed", "failed"),
        ("spare", "degraded", "degraded"),
        ("own", "degraded", "degraded"),
        ("shown", "ok", "ok"),
    ],
)
def test_groups(run, supervised, ill, ready, shop):
    """The worst of the critical ones; others degrade; informational ones are only shown; patterns say who is in."""

    async def main():
        keys = [Key.of("adapter", name) for name in ("db", "web", "spare", "own", "shown")]
        candidates = [
            given(
                key,
                Part(health=bad(99) if key.name == ill else True),
                policies=Policies(critical=key.name != "own"),
            )
            for key in keys
        ]
        async with supervised(GROUPS, *candidates) as it:
            for key in keys:
                await it.use(key)
            await after(6)
            groups = {name: it.supervision.summary(name) for name in ("live", "ready", "all", "shop")}
            assert groups["ready"].members[Key.of("adapter", ill)].status == "failed"
            return (
                groups["ready"].status,
                groups["shop"].status,
                groups["live"].status,
                sorted(key.name for key in groups["shop"].members),
                [reason for reason in groups["all"].reasons if "adapter" in reason],
            )

    reasons = [] if ill == "shown" else [f"adapter:{ill} is failed: its check answers no"]
    assert run(main) == (ready, shop, "ok", ["own", "shown", "spare", "web"], reasons)


def test_no_such_group(run, supervised):
    """A slip costs one line."""

    async def main():
        async with supervised(GROUPS) as it:
            with pytest.raises(ResolutionError) as caught:
                it.supervision.summary("shpo")
            return str(caught.value), caught.value.exit_code

    assert run(main) == ("there is no group 'shpo' of parts\n  did you mean shop?", 3)


def test_not_ready_before_everything_is_up(run, supervised):
    """While what is to be up comes up, the process is not ready; and it is live."""

    async def main():
        async def slowly():
            await asyncio.sleep(5)
            return Part()

        text = '[lifecycle.keys."adapter:db"]\neager = true\n'
        async with supervised(text, Candidate(DB, "it", slowly)) as it:
            await after(1)
            before = it.supervision.summary("ready"), it.supervision.summary("live").status
            await after(5)
            return before[0].status, before[0].reasons, before[1], it.supervision.summary("ready").status

    assert run(main) == ("unknown", ("adapter:db is unknown: it is not up yet",), "ok", "ok")


def test_the_process_is_a_member(run, supervised, clock):
    """A blocked loop, a plugin that goes wrong and what is added degrade it, each with its reason, and never more."""

    class Wrong:
        @hookimpl
        async def oneiric_activated(self, operation):
            raise KeyError("x")

    async def main():
        async with supervised("", given(DB, Part()), plugins=[Wrong()]) as it:
            await after(2)
            fine = it.supervision.summary("all").status
            it.supervision.add_member("Settings files", lambda: Health("failed", "they are stale"))
            it.supervision.add_member("broken", lambda: 1 / 0)
            it.supervision.add_member("mute", lambda: None)
            await it.use(DB)
            clock.advance(2.5)
            await after(1)
            told = it.supervision.summary("all")
            live = it.supervision.summary("live")
            return fine, told.status, told.reasons, live.status, sorted(map(str, live.members))

    fine, status, reasons, live, members = run(main)
    assert (fine, status, live, members) == (
        "ok",
        "degraded",
        "degraded",
        ["runtime:loop", "runtime:threads"],
    )
    assert set(reasons) == {
        "runtime:broken is failed: ZeroDivisionError: division by zero",
        "runtime:loop is degraded: the loop was blocked for up to 1.5 s in the last minute",
        "runtime:mute is unknown: it does not say how it is",
        "runtime:plugins is degraded: went wrong once in the last minute, lately Wrong in oneiric_activated",
        "runtime:settings-files is failed: they are stale",
    }


def test_no_liveness_that_nobody_declared(run, supervised):
    """An object that answers to every name has none, nor has one with a health alone."""

    class Everything:
        def __getattr__(self, name):
            return lambda *_: False

    async def main():
        async with supervised("", given(DB, Everything()), given(WEB, Part(health=bad(99)))) as it:
            await it.use(DB)
            await it.use(WEB)
            await after(300)
            return it.of(DB).failures, it.of(DB).health.status, it.of(WEB).failures

    assert run(main) == (0, "ok", 0)


def test_a_plugin_declares_a_liveness(run, supervised):
    """``oneiric_probe`` may answer for ``liveness``; that restarts like the part's own."""

    class Asks:
        alive = True

        @hookimpl
        def oneiric_probe(self, generation, kind):
            if kind == "liveness" and generation.key == DB:
                return lambda: self.alive
            return None

    async def main():
        plugin = Asks()
        candidate = Candidate(DB, "it", Part)
        async with supervised('[restart]\njitter = "none"\n', candidate, plugins=[plugin]) as it:
            await it.use(DB)
            plugin.alive = False
            await after(25.2)
            told = it.of(DB)
            await after(0.2)
            plugin.alive = True
            await after(1)
            return told.health.reason, told.failures, it.slot(DB).bound.number

    assert run(main) == ("it does not live: its check answers no", 1, 2)


def test_nobody_new_while_it_is_not_ready(run, supervised):
    """With ``on_unready = "reject"`` new users are refused with the reason; those who have it go on; then all may."""

    async def main():
        text = '[lifecycle.keys."adapter:db"]\non_unready = "reject"\n'
        async with supervised(text, given(DB, Part(health=bad(4)))) as it:
            await it.use(DB)
            with it.runtime.lease(*DB):
                await after(26)
                with pytest.raises(NotServing) as caught:
                    await it.use(DB)
            await after(20)
            await it.use(DB)
            return str(caught.value).splitlines()[0]

    assert run(main) == "adapter:db does not serve: it is not ready: its check answers no"


def test_refused_no_more_after_a_swap_or_the_end(run, supervised):
    """What is swapped in is let in at once, and after ``stop`` everybody is."""

    async def main():
        text = '[lifecycle.keys."adapter:db"]\non_unready = "reject"\n'
        parts = given(DB, Part(health=bad(99)), "old"), given(DB, Part(health=bad(99)), "new")
        async with supervised(text, *parts) as it:
            await it.runtime.swap(*DB, "old")
            await after(26)
            await it.runtime.swap(*DB, "new")
            await after(0.1)
            await it.use(DB)
            await after(26)
            await it.supervision.stop()
            await it.use(DB)
            return it.runtime.bound(*DB).candidate.provider

    assert run(main) == "new"


@pytest.mark.parametrize("verb", ["hold", "pause", "drain"])
def test_what_an_operator_holds_is_not_restarted(run, supervised, verb):
    """Held, paused: reported, and started again when it is resumed; drained: closed, and up again after that."""

    class Asked:
        times = 0

        @hookimpl
        def oneiric_restart(self, failure):
            self.times += 1

    async def main():
        made, asked = Made(5), Asked()
        text = '[restart]\njitter = "none"\n'
        async with supervised(text, Candidate(MAIL, "smtp", made), plugins=[asked]) as it:
            await after(1)
            await getattr(it.runtime, verb)(*MAIL)
            await after(100)
            during = len(made.at), asked.times, it.of(MAIL).health.status, it.of(MAIL).next_attempt
            await it.runtime.resume(*MAIL)
            await after(5)
            return during, len(made.at), it.of(MAIL).health.status

    down = "degraded" if verb == "drain" else "failed"
    assert run(main) == ((1, 0, down, None), 2, "ok")


def test_changes_that_are_far_apart_are_no_flapping(run, supervised):
    """Never more than six in ten minutes, however many there are: it is as it answers."""

    async def main():
        text = "[health]\nfailure = 1\n[lifecycle]\nprobe_interval = 110.0\n"
        answers = [True, True, *[False, True] * 20]
        async with supervised(text, given(DB, Part(health=answers))) as it:
            await it.use(DB)
            await after(3600)
            told = [each[2] for each in it.notes.lines]
            return it.of(DB).flapping, "degraded" in told, len(told) > 20

    assert run(main) == (False, False, True)


@pytest.mark.parametrize(
    ("error", "text", "live"),
    [
        (OSError("down"), "", "failed"),
        (Permanent("no such account"), "", "ok"),
        (OSError("down"), '[lifecycle.keys."service:mail"]\ncritical = false\n', "ok"),
    ],
    ids=["worn-out", "permanent", "uncritical"],
)
def test_who_is_not_live_any_more(run, supervised, error, text, live):
    """The process, for a critical part that was given up after restarts: what a new process would mend, and no other."""

    async def main():
        made = Made(*[error] * 10)
        text_ = f'{text}[restart]\njitter = "none"\non_exhausted = "fail"\n'
        async with supervised(text_, Candidate(MAIL, "smtp", made)) as it:
            await after(1000)
            return it.of(MAIL).exhausted, it.supervision.summary("live").status

    assert run(main) == (True, live)
