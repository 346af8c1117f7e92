"""What failed by itself is started again as ``[restart]`` says, at the very times."""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    Delay,
    GiveUp,
    OneiricError,
    Permanent,
    PluginError,
    Policies,
    Problem,
    ResolutionError,
    SettingsError,
    hookimpl,
)

from oneiric.testing.supervised import DB, MAIL, Living, Made, given

EXACT = '[restart]\njitter = "none"\n'


@attrs.frozen
class Settings:
    """Of the service."""

    port: int = 1


def times(made, began):
    return [round(at - began, 3) for at in made.at]


async def after(seconds):
    await asyncio.sleep(seconds)


def test_it_is_restarted_with_growing_delays(run, supervised):
    """Back-off doubles from half a second: ended after 1 s each time, it is begun at these times and no others."""

    async def main():
        made = Made(1, 1, 1)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(30)
            return times(made, made.at[0]), it.of(MAIL).health.status, it.slot(MAIL).phase

    # 0, ends at 1, +0.5; ends at 2.5, +1; ends at 4.5, +2.
    assert run(main) == ([0, 1.5, 3.5, 6.5], "ok", "ready")


def test_jitter_waits_for_a_part_of_it(run, supervised):
    """Full jitter waits for any time up to the delay: a quarter, where a quarter was drawn."""

    async def main():
        made = Made(1, 1)
        async with supervised("", Candidate(MAIL, "smtp", made), draw=lambda: 0.25):
            await after(30)
            return times(made, made.at[0])

    assert run(main) == [0, 1.125, 2.375]


def test_health_tells_while_it_waits(run, supervised):
    """From its end to its restart it is failed, with the reason; the phase is ``backoff``, and the time is known."""

    async def main():
        made = Made(1)
        async with supervised(EXACT + "backoff = [10, 2, 30]\n", Candidate(MAIL, "smtp", made)) as it:
            await after(5)
            told = it.of(MAIL)
            return (
                told.health.status,
                told.health.reason,
                told.failures,
                round(told.next_attempt - made.at[0], 3),
                told.exhausted,
                it.slot(MAIL).phase,
                it.supervision.summary().status,
            )

    reason = "its run() failed: ConnectionError: the line is dead"
    assert run(main) == ("failed", reason, 1, 11, False, "backoff", "failed")


def test_the_old_one_serves_until_the_new_is_confirmed(run, supervised):
    """A restart is a swap: while the new one is made, what is bound can be leased."""

    async def main():
        async def slowly():
            await asyncio.sleep(3)
            return Living(liveness=True)

        parts = [Living(liveness=[True, False])]

        async def make():
            return parts.pop() if parts else await slowly()

        async with supervised(EXACT, Candidate(DB, "it", make)) as it:
            await it.use(DB)
            first = it.slot(DB).bound
            await after(5 + 10 * 3 + 0.5 + 2)
            during = it.slot(DB).phase, it.slot(DB).bound is first
            with it.runtime.lease(*DB):
                pass
            await after(3)
            return during, it.slot(DB).bound is first

    assert run(main) == (("swapping", True), False)


def test_three_bad_liveness_probes_restart_it(run, supervised):
    """Not two; and the restart comes half a second after the third."""

    async def main():
        made = []

        async def make():
            made.append(asyncio.get_running_loop().time())
            return Living(liveness=[True, False, False, True, False] if len(made) == 1 else True)

        async with supervised(EXACT, Candidate(DB, "it", make)) as it:
            await it.use(DB)
            # Probes at 5, 15, 25, ...: bad at 15, 25; good at 35; bad at 45, 55, 65.
            await after(64)
            before = len(made)
            await after(10)
            return before, [round(each - made[0], 3) for each in made]

    assert run(main) == (1, [0, 65.5])


def test_readiness_never_restarts(run, supervised):
    """A part without a liveness may be unready for ever, and is left alone."""

    async def main():
        part = Living(health=[True, True, False], liveness=True)
        async with supervised(EXACT, given(DB, part)) as it:
            await it.use(DB)
            await after(1000)
            return it.of(DB).health.status, it.of(DB).failures, it.slot(DB).bound.number

    assert run(main) == ("failed", 0, 1)


def test_exhausted_it_is_tried_slowly(run, supervised):
    """Three restarts in a minute, and after that one every five minutes, until it stays up."""

    async def main():
        made = Made(*[0.1] * 6)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(100)
            told = it.of(MAIL)
            await after(1000)
            calm = it.of(MAIL)
            return times(made, made.at[0]), told.exhausted, told.failures, calm.exhausted, calm.health.status

    expected = [0, 0.6, 1.7, 3.8, 303.9, 604.0, 904.1]
    assert run(main) == (expected, True, 0, False, "ok")


def test_exhausted_it_is_given_up(run, supervised):
    """With ``fail`` it is left as it is; the process is not live any more."""

    async def main():
        made = Made(*[0.1] * 9)
        async with supervised(EXACT + 'on_exhausted = "fail"\n', Candidate(MAIL, "smtp", made)) as it:
            await after(1)
            before = it.supervision.summary("live").status
            await after(5000)
            told = it.of(MAIL)
            return len(made.at), told.given_up, before, it.supervision.summary("live").reasons

    said = "3 restarts in 60 s were not enough"
    assert run(main) == (4, said, "ok", (f"service:mail is failed: given up: {said}",))


def test_counting_begins_anew(run, supervised):
    """Up for ``reset_after``, the next failure is the first: half a second, and not four."""

    async def main():
        made = Made(1, 1, 61, 1)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)):
            await after(200)
            return times(made, made.at[0])

    # 0; 1.5; 3.5 up for 61 s; 64.5 + 0.5; 66 + 1.
    assert run(main) == [0, 1.5, 3.5, 65.0, 67.0]


@pytest.mark.parametrize(
    "error",
    [Permanent("no such host in the settings"), PermissionError("not yours")],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_mended_is_tried_once(run, supervised, error):
    """A service that does not come up for such a reason is not tried again; one that might is."""

    async def main():
        made = Made(*[error] * 5)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(1000)
            return len(made.at), it.of(MAIL).given_up, it.of(MAIL).health.status

    assert run(main) == (1, "trying again cannot help before something is changed", "failed")


def test_the_first_activation_is_tried_again(run, supervised):
    """What is to be up, and did not come up, is tried again with the same delays."""

    async def main():
        made = Made(OSError("no route"), OSError("no route"))
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(0.1)
            before = it.of(MAIL).health
            await after(10)
            return times(made, made.at[0]), before.reason, it.of(MAIL).health.status

    assert run(main) == ([0, 0.5, 1.5], "it did not come up: OSError: no route", "ok")


@pytest.mark.parametrize(
    ("mode", "ends", "count"),
    [
        ("permanent", None, 2),
        ("transient", None, 1),
        ("transient", OSError("no"), 2),
        ("never", OSError("no"), 1),
    ],
    ids=["permanent-finished", "transient-finished", "transient-failed", "never-failed"],
)
def test_the_mode_says_which_ends_count(run, supervised, mode, ends, count):
    """Permanent: any end; transient: failures; never: none.  A liveness that nobody declared does not change that."""

    async def main():
        made = Made(1, ends=ends)
        async with supervised(EXACT + f'mode = "{mode}"\n', Candidate(MAIL, "smtp", made)):
            await after(500)
            return len(made.at)

    assert run(main) == count


def test_the_next_candidate_takes_its_place(run, supervised):
    """Exhausted, the better one is left out, and explained; later it is tried beside the other, and comes back."""

    async def main():
        better, other = Made(*[0.1] * 3), Made()
        async with supervised(
            EXACT + 'intensity = 2\non_exhausted = "fallback"\n',
            Candidate(MAIL, "better", better, priority=5),
            Candidate(MAIL, "other", other),
        ) as it:
            await after(10)
            fallen = it.slot(MAIL).bound.provider, len(other.at), it.of(MAIL).health.status
            [why] = [
                row.reason for row in it.runtime.explain(*MAIL).rows if row.candidate.provider == "better"
            ]
            await after(60)
            return fallen, why, it.slot(MAIL).bound.provider, len(better.at)

    why = "fallback: 2 restarts in 60 s were not enough; left out for 60 s"
    fallen, told, serves, count = run(main)
    assert (fallen, serves, count) == (("other", 1, "ok"), "better", 4)
    assert why in told


def test_the_better_one_comes_back_only_when_it_is_well(run, supervised):
    """Tried while the other serves: what fails then is left out for longer, and nobody is without a service."""

    async def main():
        down = OSError("still down")
        better, other = Made(0.1, 0.1, 0.1, down, down), Made()
        async with supervised(
            EXACT + 'intensity = 2\non_exhausted = "fallback"\n',
            Candidate(MAIL, "better", better, priority=5),
            Candidate(MAIL, "other", other),
        ) as it:
            await after(2400)
            return times(better, better.at[0]), len(other.at), it.slot(MAIL).bound.provider

    # Left out at 1.8, for 60, 300 and 1800 seconds.
    assert run(main) == ([0, 0.6, 1.7, 61.8, 361.8, 2161.8], 1, "better")


def test_without_another_candidate_it_is_tried_slowly(run, supervised):
    """``fallback`` with nobody to fall back to goes on trying."""

    async def main():
        made = Made(*[0.1] * 3)
        text = EXACT + 'intensity = 2\non_exhausted = "fallback"\n'
        async with supervised(text, Candidate(MAIL, "only", made)):
            await after(400)
            return times(made, made.at[0])

    assert run(main) == [0, 0.6, 1.7, 301.8]


def test_an_operator_ends_the_waiting(run, supervised):
    """A swap by hand cancels the timer: nothing is started after it."""

    async def main():
        made, other = Made(1), Made()
        text = EXACT + "backoff = [100, 1, 100]\n"
        async with supervised(
            text, Candidate(MAIL, "smtp", made, priority=5), Candidate(MAIL, "other", other)
        ) as it:
            await after(2)
            waiting = it.slot(MAIL).phase
            await it.runtime.swap(*MAIL, "other")
            await after(0.1)
            told = it.of(MAIL)
            await after(500)
            return waiting, told.next_attempt, told.health.status, len(made.at), len(other.at)

    assert run(main) == ("backoff", None, "ok", 1, 1)


def test_an_operator_who_starts_it_again_ends_the_waiting(run, supervised):
    """Also where it is the same candidate: nothing waits any more, and its next failure is the first."""

    async def main():
        made = Made(1, 1)
        async with supervised(EXACT + "backoff = [10, 2, 100]\n", Candidate(MAIL, "smtp", made)) as it:
            await after(5)
            await it.runtime.swap(*MAIL, "smtp", reload=True)
            await after(0.5)
            told = it.of(MAIL)
            await after(100)
            return told.next_attempt, told.failures, times(made, made.at[0])

    # Begun at 5 by hand, ends at 6, and is begun 10 s later, not 20.
    assert run(main) == (None, 0, [0, 5, 16])


def test_another_registration_is_tried_at_once(run, supervised):
    """What was given up is tried when another candidate is registered in its place."""

    async def main():
        made, mended = Made(Permanent("no")), Made()
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(100)
            before = it.of(MAIL).exhausted
            it.runtime.register(Candidate(MAIL, "smtp", mended, version="2"))
            await after(1)
            return before, len(mended.at), it.of(MAIL).health.status

    assert run(main) == (True, 1, "ok")


def test_other_settings_are_tried_at_once(run, supervised):
    """What was given up under ``never`` is started when ``[restart]`` says otherwise; and delays are the new ones."""

    async def main():
        made = Made(1, 1)
        async with supervised('[restart]\nmode = "never"\n', Candidate(MAIL, "smtp", made)) as it:
            await after(10)
            before = len(made.at)
            await it.runtime.apply({"restart": {"jitter": "none", "backoff": [7, 1, 7]}})
            await after(20)
            return before, times(made, made.at[0])

    # Looked at once a second; it ends 1 s after it began, and is begun 7 s after that.
    assert run(main) == (1, [0, 10, 18])


def test_stopped_nothing_is_started(run, supervised):
    """``stop`` cancels what waits; the runtime goes on."""

    async def main():
        made = Made(1)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(1.2)
            before = it.slot(MAIL).phase
            await it.supervision.stop()
            stopped = it.slot(MAIL).phase, it.of(MAIL).next_attempt
            await after(100)
            return before, stopped, len(made.at), it.runtime.running

    assert run(main) == ("backoff", ("ready", None), 1, True)


def test_a_plugin_decides(run, supervised):
    """Its answer comes before the policy; an error that is ours gives up with its text, any other is passed over."""

    class Decides:
        def __init__(self, answer):
            self.answer = answer

        @hookimpl
        def oneiric_restart(self, key, failure, history):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    async def main(answer):
        made = Made(1)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made), plugins=[Decides(answer)]) as it:
            await after(30)
            return times(made, made.at[0]), it.of(MAIL).given_up

    answers = Delay(20), GiveUp("no licence"), OneiricError("no licence"), KeyError("x"), Delay(float("nan"))
    assert [run(main(answer)) for answer in answers] == [
        ([0, 21], ""),
        ([0], "no licence"),
        ([0], "no licence"),
        ([0, 1.5], ""),
        ([0], "a plugin wants it started again after nan seconds"),
    ]


def test_settings_of_one_key_and_variables(run, supervised, monkeypatch):
    """``[restart.keys."service:mail"]`` is for it alone; a variable counts as the file does."""
    monkeypatch.setenv("ONEIRIC__RESTART__JITTER", "none")
    monkeypatch.setenv("ONEIRIC__RESTART__KEYS__SERVICE_MAIL__BACKOFF", "3,1,3")
    text = '[restart.keys."service:mail"]\nintensity = 1\non_exhausted = "fail"\n'

    async def main():
        made, other = Made(1, 1), Made(1, 1)
        chat = MAIL._replace(name="chat")
        async with supervised(text, Candidate(MAIL, "smtp", made), Candidate(chat, "irc", other)):
            await after(30)
            return times(made, made.at[0]), times(other, other.at[0])

    assert run(main) == ([0, 4.0], [0, 1.5, 3.5])


@pytest.mark.parametrize(
    ("text", "up"),
    [
        ("", False),
        ('[lifecycle.keys."adapter:db"]\neager = true\n', True),
        ('[orchestrate]\nstart = ["adapter:*"]\n', True),
        ('[orchestrate]\nstart = ["adapter:*"]\n[lifecycle.keys."adapter:db"]\neager = false\n', False),
    ],
    ids=["not", "key", "pattern", "key-over-pattern"],
)
def test_what_is_activated_at_the_start(run, supervised, text, up):
    """Services are; adapters where the settings say so, of the key or by a pattern; the key's own word counts most."""

    async def main():
        async with supervised(text, given(DB, Living()), Candidate(MAIL, "smtp", Made())) as it:
            await after(1)
            return it.runtime.bound(*DB) is not None, it.runtime.bound(*MAIL) is not None

    assert run(main) == (up, True)


def test_exclusive_ones_are_closed_first(run, supervised):
    """A service that cannot overlap is ended before its next life begins."""

    async def main():
        made = Made(1)
        candidate = Candidate(MAIL, "smtp", made, policies=Policies(mode="exclusive"))
        async with supervised(EXACT, candidate) as it:
            await after(10)
            return times(made, made.at[0]), it.of(MAIL).health.status, it.slot(MAIL).last_report.gap_ms >= 0

    assert run(main) == ([0, 1.5], "ok", True)


def test_services_fail_without_supervision(run, tmp_path):
    """A plain runtime has none, and an ended service changes nothing else."""
    from oneiric import assemble

    async def main():
        runtime = assemble({}, environment=False)
        made = Made(1)
        runtime.register(Candidate(MAIL, "smtp", made))
        async with runtime:
            async with runtime.use(*MAIL):
                await after(50)
            return runtime.supervision, len(made.at)

    assert run(main) == (None, 1)


def test_a_restart_is_to_the_same_candidate(run, supervised):
    """Not to a better one that was registered meanwhile: taking that is somebody's decision, and no mending."""

    async def main():
        made, better = Made(5), Made()
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(1)
            it.runtime.register(Candidate(MAIL, "better", better, priority=5))
            await after(30)
            return it.slot(MAIL).bound.provider, len(made.at), len(better.at)

    assert run(main) == ("smtp", 2, 0)


def test_only_failures_of_the_period_exhaust_it(run, supervised):
    """One every twenty seconds is never three in ten, however long that goes on; the delay grows, up to its longest."""

    async def main():
        made = Made(*[20] * 8)
        text = EXACT + "intensity = 1\nperiod = 10\nreset_after = 1000\nbackoff = [1, 2, 5]\n"
        async with supervised(text, Candidate(MAIL, "smtp", made)) as it:
            await after(300)
            return times(made, made.at[0]), it.of(MAIL).exhausted

    assert run(main) == ([0, 21, 43, 67, 92, 117, 142, 167, 192], False)


@pytest.mark.parametrize(
    "error",
    [
        SettingsError([Problem("services.settings.mail.smtp.port", "expected a whole number", "here")]),
        ResolutionError("nobody has it"),
        PluginError("it is none"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_only_a_change_mends_is_tried_once(run, supervised, error):
    """Settings that do not fit, a candidate that nobody has: no delay helps."""

    async def main():
        made = Made(error)
        async with supervised(EXACT, Candidate(MAIL, "smtp", made)) as it:
            await after(1000)
            return len(made.at), it.of(MAIL).exhausted

    assert run(main) == (1, True)


def test_its_own_settings_are_tried_at_once(run, supervised):
    """What was given up is tried again when what is written for it is another; not when others' settings are."""

    async def main():
        made = Made(Permanent("no"))
        candidate = Candidate(MAIL, "smtp", lambda settings: made(), settings_class=Settings)
        async with supervised(EXACT, candidate) as it:
            await after(10)
            counts = [len(made.at)]
            restart = {"restart": {"jitter": "none"}}
            await it.runtime.apply({**restart, "adapters": {"selections": {"db": "other"}}})
            await after(10)
            counts.append(len(made.at))
            await it.runtime.apply({**restart, "services": {"settings": {"mail": {"smtp": {"port": 2}}}}})
            await after(10)
            return [*counts, len(made.at)], it.of(MAIL).health.status

    assert run(main) == ([1, 1, 2], "ok")


def test_a_better_one_that_cannot_be_tried_beside_is_not(run, supervised):
    """Where the two cannot overlap, the other one goes on, and what would win is said."""

    async def main():
        better, other = Made(*[0.1] * 3), Made()
        alone = Policies(mode="exclusive")
        async with supervised(
            EXACT + 'intensity = 2\non_exhausted = "fallback"\n',
            Candidate(MAIL, "better", better, priority=5, policies=alone),
            Candidate(MAIL, "other", other, policies=alone),
        ) as it:
            await after(600)
            slot = it.slot(MAIL)
            return slot.bound.provider, len(better.at), len(other.at), slot.pending

    said = "better would win again, and cannot be tried beside other"
    assert run(main) == ("other", 3, 1, said)


def test_what_fails_on_probation_is_not_started_again(run, supervised):
    """Probation decides about it: it is taken back, and the one before serves; nobody makes another of it meanwhile."""

    async def main():
        old, new = Made(), Made(1)
        text = EXACT + "[lifecycle]\nprobation = 30.0\nprobe_interval = 10.0\n"
        async with supervised(
            text, Candidate(MAIL, "old", old), Candidate(MAIL, "new", new, priority=-1)
        ) as it:
            await after(1)
            await it.runtime.swap(*MAIL, "new")
            await after(100)
            return it.slot(MAIL).bound.provider, len(new.at), it.of(MAIL).health.status

    assert run(main) == ("old", 1, "ok")
