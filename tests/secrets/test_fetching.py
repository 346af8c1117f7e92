"""A secret is fetched once for all who want it, kept for a while, and an error says which, and nothing that it holds."""

import asyncio
import io
import logging
import threading
import traceback

import pytest
from oneiric_hookspecs import (
    Candidate,
    Key,
    RuntimeClosing,
    Secret,
    SecretError,
    SecretSource,
    WrongThread,
    hookimpl,
)

from oneiric import assemble

CANARY = "canary-1f6e"


def failing(shop, run, name="db", **more):
    """What comes of getting a secret."""

    async def main():
        async with shop.runtime(**more) as runtime:
            with pytest.raises(SecretError) as raised:
                await runtime.secrets.get(name)
            return raised.value

    return run(main())


@pytest.mark.parametrize("name", ["db", "slow"])
def test_a_secret_is_fetched_and_kept(shop, run, clock, name):
    """For ``secret_ttl`` seconds, from a source of either colour; then it is asked for again."""

    async def main():
        async with shop.runtime(lifecycle={"secret_ttl": 60}) as runtime:
            first = [await runtime.secrets.get(name) for _ in range(3)]
            clock.advance(59.9)
            first.append(await runtime.secrets.get(name))
            asked = list(shop.asked)
            clock.advance(0.2)
            return first, asked, await runtime.secrets.get(name)

    first, asked, again = run(main())

    assert [each.reveal() for each in (*first, again)] == ["the db"] * 5
    assert (asked, shop.asked) == (["db"], ["db", "db"])


def test_a_ttl_of_nothing_keeps_nothing(shop, run):
    """Each time it is asked for."""

    async def main():
        async with shop.runtime(lifecycle={"secret_ttl": 0}) as runtime:
            return [(await runtime.secrets.get("db")).reveal() for _ in range(3)]

    assert (run(main()), shop.asked) == (["the db"] * 3, ["db"] * 3)


def test_a_hundred_who_want_it_are_one_call(shop, run):
    """And each gets it."""

    async def slowly(text):
        await asyncio.sleep(1)
        return Secret(f"the {text}")

    shop.answer = slowly

    async def main():
        async with shop.runtime() as runtime:
            return await asyncio.gather(*(runtime.secrets.get("db") for _ in range(100)))

    assert {each.reveal() for each in run(main())} == {"the db"}
    assert shop.asked == ["db"]


def test_who_is_cancelled_takes_nothing_from_the_others(shop, run):
    """Neither the first one who asked, nor the last one who waits; and even if all go, it is kept for the next."""

    async def slowly(text):
        await asyncio.sleep(1)
        return f"the {text}"

    shop.answer = slowly

    async def main():
        async with shop.runtime() as runtime:
            first, second, third = (asyncio.create_task(runtime.secrets.get("db")) for _ in range(3))
            await asyncio.sleep(0.5)
            first.cancel()
            await asyncio.sleep(0)
            third.cancel()
            got = await second
            alone = asyncio.create_task(runtime.secrets.get("other"))
            await asyncio.sleep(0.5)
            alone.cancel()
            await asyncio.sleep(1)
            return (
                got,
                await runtime.secrets.get("other"),
                first.cancelled(),
                third.cancelled(),
                alone.cancelled(),
            )

    got, other, *cancelled = run(main())

    assert (got.reveal(), other.reveal(), cancelled) == ("the db", "the other", [True] * 3)
    assert shop.asked == ["db", "other"]


def test_that_it_is_missing_is_not_remembered(shop, run):
    """It may come; each who waited for one call has an error of his own."""
    shop.answer = lambda text: None

    async def main():
        async with shop.runtime() as runtime:
            errors = await asyncio.gather(
                *(runtime.secrets.get("db") for _ in range(3)), return_exceptions=True
            )
            shop.answer = lambda text: "there"
            return errors, await runtime.secrets.get("db")

    errors, found = run(main())

    assert [str(each) for each in errors] == [
        "the secret 'db' (vault:db) cannot be had: vault has no 'db'"
    ] * 3
    assert len({id(each) for each in errors}) == 3
    assert (found.reveal(), shop.asked) == ("there", ["db", "db"])


def test_an_empty_text_is_a_secret(shop, run):
    """Only None says that there is none."""
    shop.answer = lambda text: ""

    async def main():
        async with shop.runtime() as runtime:
            return await runtime.secrets.get("db")

    assert run(main()) == Secret("")


# --- time ----------------------------------------------------------------------------------------------------------


async def hang(text):
    await asyncio.sleep(1e6)


async def stubborn(text):
    for _ in range(3):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            pass


async def cancels_itself(text):
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (hang, "its source took longer than 2 s"),
        (stubborn, "its source took longer than 2 s"),
        (cancels_itself, "its source cancelled itself"),
    ],
    ids=["hangs", "ignores its cancellation", "cancels itself"],
)
def test_a_source_that_does_not_answer_is_given_up(shop, run, clock, answer, reason):
    """After ``secret_timeout`` seconds, whatever it does then."""
    shop.answer = answer
    before = clock.time()

    error = failing(shop, run, lifecycle={"secret_timeout": 2})

    assert error.reason == reason
    assert clock.time() - before < 100


def test_a_source_that_hangs_in_its_thread_blocks_nobody(shop, run):
    """The loop goes on; after two calls that do not come back no more are begun; when they do, it is asked again."""
    released = threading.Event()
    shop.answer = lambda text: released.wait(60) and "at last"

    async def main():
        async with shop.runtime(lifecycle={"secret_timeout": 0.01}) as runtime:
            reasons = []
            for _ in range(4):
                with pytest.raises(SecretError) as raised:
                    await runtime.secrets.get("slow")
                reasons.append(raised.value.reason)
            released.set()
            while True:
                try:
                    return reasons, await runtime.secrets.get("slow")
                except SecretError:
                    await asyncio.sleep(0.01)

    reasons, found = run(main(), timeout=30)

    assert reasons == [
        "its source took longer than 0.01 s",
        "its source took longer than 0.01 s",
        "2 earlier calls of its source never came back",
        "2 earlier calls of its source never came back",
    ]
    assert found.reveal() == "at last"


def test_a_source_that_hangs_keeps_no_part_from_being_swapped(shop, run):
    """However many of its calls hang: parts are made in other threads."""
    released = threading.Event()
    shop.answer = lambda text: released.wait(60)

    class Kit:
        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(Key.of("adapter", "plain"), "one", lambda: "made in a thread")

    names = [f"s{number}" for number in range(20)]

    async def main():
        secrets = {name: f"slow:{name}" for name in names}
        lifecycle = {"secret_timeout": 0.01}
        async with shop.runtime(
            Kit(), secrets=secrets, lifecycle=lifecycle, settings={"plain": {}}
        ) as runtime:
            reasons = await asyncio.gather(*map(runtime.secrets.get, names), return_exceptions=True)
            async with runtime.use("adapter", "plain") as plain:
                released.set()
                return [each.reason for each in reasons], plain

    assert run(main()) == (["its source took longer than 0.01 s"] * 20, "made in a thread")


# --- errors --------------------------------------------------------------------------------------------------------


class VaultError(Exception):
    """Of somebody's library."""


def raise_it(error):
    def answer(text):
        read = f"{CANARY} {text}"  # what was read, as it stands in locals and in the text of the error
        raise error(read) from ValueError(read)

    return answer


@pytest.mark.parametrize("name", ["db", "slow"])
def test_what_a_source_raises_is_not_shown(shop, run, name):
    """Its text may hold what was read, so there is the type and the place; no cause, no context, no locals."""
    shop.answer = raise_it(VaultError)

    error = failing(shop, run, name)

    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert error.reason.startswith("the plugin Shop raised VaultError (")
    assert error.reason.endswith(f"{__file__}:{raise_it.__code__.co_firstlineno + 3})")
    assert (error.__cause__, error.__context__) == (None, None)
    assert CANARY not in shown


def test_a_reason_that_is_meant_for_people_is_shown(shop, run):
    """``SecretError`` says why, and what to do."""

    def locked(text):
        raise SecretError("the vault is sealed", hint="unseal it")

    shop.answer = locked

    assert str(failing(shop, run)) == (
        "the secret 'db' (vault:db) cannot be had: the vault is sealed\n  unseal it"
    )


@pytest.mark.parametrize(
    "value", [5, b"canary-1f6e", ["canary-1f6e"], object()], ids=["int", "bytes", "list", "object"]
)
def test_what_is_no_text_is_not_shown(shop, run, value):
    """Only its type is."""
    shop.answer = lambda text: value

    assert failing(shop, run).reason == f"its source gave a {type(value).__name__}, not a text"


def test_a_secret_that_nobody_declares_is_near_another(shop, run):
    """As everything that is named."""
    assert str(failing(shop, run, "otehr")) == "there is no 'otehr' in [secrets]\n  did you mean other?"
    assert str(failing(shop, run, "zzz")) == "there is no 'zzz' in [secrets]\n  there are: db, other, slow"


def test_an_error_says_where_the_secret_is_declared(shop, run, tmp_path):
    """The line to change."""
    file = tmp_path / "oneiric.toml"
    file.write_text('[secrets]\n\ndb = "vault:db"\n')
    shop.answer = lambda text: None

    async def main():
        async with assemble(file, plugins=[shop], environment=False) as runtime:
            with pytest.raises(SecretError) as raised:
                await runtime.secrets.get("db")
            return raised.value

    assert str(run(main())) == f"{file}:3: the secret 'db' (vault:db) cannot be had: vault has no 'db'"


def test_two_sources_of_one_scheme_are_none(shop):
    """Neither is chosen by who came last; what is declared otherwise goes on."""

    class Other:
        @hookimpl
        def oneiric_secret_sources(self):
            yield SecretSource("vault", lambda text: "mine")

    with pytest.raises(Exception, match="the plugins Other and Shop both declare a secret source 'vault'"):
        shop.runtime(Other(), secrets={"db": "vault:db", "other": "env:X", "slow": "env:X"})

    # Not chosen, it hurts nobody.
    shop.runtime(Other(), secrets={"db": "env:X", "other": "env:X"})


def test_a_second_source_that_comes_later_is_not_chosen_either(shop, run):
    """From then on there is none, until one of the two is gone."""

    class Other:
        @hookimpl
        def oneiric_secret_sources(self):
            yield SecretSource("vault", lambda text: "mine")

    async def main():
        async with shop.runtime() as runtime:
            runtime.plug(Other())
            with pytest.raises(SecretError) as raised:
                await runtime.secrets.get("db")
            runtime.unplug("Other")
            return raised.value.reason, (await runtime.secrets.get("db")).reveal()

    assert run(main()) == ("the plugins Other and Shop both declare a source 'vault'", "the db")


# --- when, and where -----------------------------------------------------------------------------------------------


def test_rotating_forgets_what_was_fetched(shop, run):
    """Of one, or of all; one that is under way meanwhile is given to who waits, and not kept."""
    answers = iter(["first", "second", "third", "fourth"])

    async def slowly(text):
        answer = next(answers)
        await asyncio.sleep(1)
        return answer

    shop.answer = slowly

    async def main():
        async with shop.runtime() as runtime:
            secrets = runtime.secrets
            got = [(await secrets.get("db")).reveal()]
            told = [secrets.rotate("db"), secrets.rotate("db"), secrets.rotate()]
            waiting = asyncio.create_task(secrets.get("db"))
            await asyncio.sleep(0.5)
            told.append(secrets.rotate())
            later = asyncio.create_task(secrets.get("db"))
            got += [(await waiting).reveal(), (await later).reveal(), (await secrets.get("db")).reveal()]
            with pytest.raises(SecretError, match="did you mean other"):
                secrets.rotate("othr")
            return got, told

    assert run(main()) == (["first", "second", "third", "third"], [("db",), (), (), ()])


def test_what_was_under_way_when_it_was_rotated_is_not_kept(shop, run):
    """It may be the old one; who waited for it has it, the next one asks again."""
    answers = iter(["old", "new"])

    async def slowly(text):
        answer = next(answers)
        await asyncio.sleep(1)
        return answer

    shop.answer = slowly

    async def main():
        async with shop.runtime() as runtime:
            waiting = asyncio.create_task(runtime.secrets.get("db"))
            await asyncio.sleep(0.5)
            runtime.secrets.rotate("db")
            return (await waiting).reveal(), (await runtime.secrets.get("db")).reveal()

    assert run(main()) == ("old", "new")


def test_other_settings_are_other_secrets(shop, run):
    """One whose source is another is fetched anew; the others are kept."""

    async def main():
        async with shop.runtime() as runtime:
            before = [(await runtime.secrets.get(name)).reveal() for name in ("db", "other")]
            await runtime.apply({"secrets": {"db": "vault:new", "other": "vault:other"}})
            after = [(await runtime.secrets.get(name)).reveal() for name in ("db", "other")]
            return before, after

    assert run(main()) == (["the db", "the other"], ["the new", "the other"])
    assert shop.asked == ["db", "other", "new"]


def test_a_secret_that_is_no_more_while_it_is_fetched(shop, run):
    """Who waits for it gets it, or why not; it is not kept."""

    async def slowly(text):
        await asyncio.sleep(1)
        return None if text == "other" else "late"

    shop.answer = slowly

    async def main():
        async with shop.runtime() as runtime:
            waiting = [asyncio.create_task(runtime.secrets.get(name)) for name in ("db", "other")]
            await asyncio.sleep(0.5)
            await runtime.apply({})
            got, error = await asyncio.gather(*waiting, return_exceptions=True)
            with pytest.raises(SecretError, match="there is no 'db'"):
                await runtime.secrets.get("db")
            return got.reveal(), error.reason

    assert run(main()) == ("late", "vault has no 'other'")


def test_rotating_from_another_thread_leaves_nothing_behind(shop):
    """Whenever it comes, the next one who asks gets an answer."""
    stop = threading.Event()

    def rotate(secrets):
        while not stop.is_set():
            secrets.rotate()

    async def main():
        async with shop.runtime() as runtime:
            thread = threading.Thread(target=rotate, args=[runtime.secrets])
            thread.start()
            try:
                for _ in range(20):
                    async with asyncio.timeout(10):
                        assert (await runtime.secrets.get("db")).reveal() == "the db"
            finally:
                stop.set()
                thread.join()
            asked = len(shop.asked)
            runtime.secrets.rotate()
            await runtime.secrets.get("db")
            await runtime.secrets.get("db")
            return len(shop.asked) - asked

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("name", ["db", "slow"])
def test_what_asyncio_shows_when_it_debugs_holds_none(shop, name):
    """It shows the results of tasks, and the arguments of callbacks."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    answers = iter([CANARY, Secret(CANARY), CANARY.encode(), None])
    shop.answer = lambda text: next(answers)

    async def main():
        asyncio.get_running_loop().slow_callback_duration = 0
        async with shop.runtime(lifecycle={"secret_ttl": 0}) as runtime:
            for _ in range(4):
                await asyncio.gather(runtime.secrets.get(name), return_exceptions=True)
            shop.answer = raise_it(VaultError)
            await asyncio.gather(runtime.secrets.get(name), return_exceptions=True)

    logging.getLogger("asyncio").addHandler(handler)
    try:
        asyncio.run(main(), debug=True)
    finally:
        logging.getLogger("asyncio").removeHandler(handler)

    assert f"source of secret {name}" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_it_lives_as_long_as_the_runtime(shop, run):
    """Before it is entered and after it was closed nothing is fetched; who waits when it closes is told."""
    shop.answer = hang

    async def main():
        runtime = shop.runtime()
        said = []
        with pytest.raises(RuntimeClosing) as raised:
            await runtime.secrets.get("db")
        said.append(str(raised.value))
        async with runtime:
            waiting = asyncio.create_task(runtime.secrets.get("db"))
            await asyncio.sleep(1)
        with pytest.raises(RuntimeClosing) as raised:
            await waiting
        said.append(str(raised.value))
        with pytest.raises(RuntimeClosing):
            await runtime.secrets.get("db")
        return said

    assert run(main()) == [
        "secrets: the runtime is not running\n  async with runtime: ...",
        "secrets: the runtime is closing",
    ]


def test_another_loop_is_sent_to_the_right_one(shop):
    """As everything that belongs on the runtime's loop."""

    async def main():
        async with shop.runtime() as runtime:

            def elsewhere():
                with pytest.raises(WrongThread):
                    asyncio.run(runtime.secrets.get("db"))
                return runtime.blocking.run(runtime.secrets.get("db"))

            return await asyncio.to_thread(elsewhere)

    assert asyncio.run(main()).reveal() == "the db"


def test_what_may_be_told_is_told(shop):
    """Names, sources, who declares those, and what refers to them; nothing is fetched for it."""
    runtime = shop.runtime(secrets={"db": "vault:db", "other": "env:OTHER"})

    assert [(each.name, each.source, each.plugin, each.used_by) for each in runtime.secrets.known()] == [
        ("db", "vault:db", "Shop", ("adapters.settings.db.one.password",)),
        ("other", "env:OTHER", "secrets.env", ("adapters.settings.db.two.password",)),
    ]
    assert (shop.asked, repr(runtime.secrets)) == ([], "<secrets: db, other>")


def test_plugging_in_brings_sources(shop, run):
    """What is plugged in later can be chosen later; what is unplugged cannot."""

    class Kit:
        @hookimpl
        def oneiric_secret_sources(self):
            yield SecretSource("kit", lambda text: f"kit {text}")

    async def main():
        async with shop.runtime() as runtime:
            runtime.plug(Kit())
            await runtime.apply({"secrets": {"db": "kit:x"}})
            got = (await runtime.secrets.get("db")).reveal()
            runtime.unplug("Kit")
            runtime.secrets.rotate()
            with pytest.raises(SecretError) as raised:
                await runtime.secrets.get("db")
            return got, raised.value.reason, raised.value.source

    assert run(main()) == ("kit x", "nobody declares a source 'kit'", "kit:***")


def test_a_source_that_raises_when_asked_for_is_a_failed_plugin(shop):
    """None of what it declares counts; the others do."""

    class Broken:
        @hookimpl
        def oneiric_secret_sources(self):
            yield SecretSource("fine", lambda text: "x")
            raise RuntimeError("broken")

    runtime = shop.runtime(Broken())

    assert "fine" not in runtime.secrets.schemes
    assert "vault" in runtime.secrets.schemes
    assert [each.plugin for each in runtime.hooks.faults] == ["Broken"]
