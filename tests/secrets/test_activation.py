"""Parts are built from secrets that are fetched for that; while one cannot be had, what serves goes on."""

import asyncio
import traceback

import attrs
import pytest
from oneiric_hookspecs import (
    ActivationTimeout,
    Candidate,
    DependencyFailed,
    FactoryError,
    Key,
    Permanent,
    PluginError,
    Policies,
    Reentrant,
    Secret,
    SecretError,
    SecretSource,
    SettingsError,
    hookimpl,
)

from oneiric import assemble

DB = ("adapter", "db")


async def serving(runtime):
    """The password that what serves was built from."""
    async with runtime.use(*DB) as thing:
        return thing.password


def test_a_part_is_built_from_its_secret(shop, run):
    """Fetched when it is activated, and not before."""

    async def main():
        async with shop.runtime() as runtime:
            before = list(shop.asked)
            return before, await serving(runtime), shop.asked

    assert run(main()) == ([], "the db", ["db"])


def test_what_refers_to_nothing_asks_nobody(shop, run):
    """A text in its place is a secret, too."""

    async def main():
        settings = {"db": {"one": {"password": "plain"}}}
        async with shop.runtime(settings=settings) as runtime:
            return await serving(runtime), shop.asked, repr(shop.made[0].settings)

    assert run(main()) == ("plain", [], "Settings(password=***, size=1)")


def test_while_a_secret_is_missing_the_old_one_serves(shop, run):
    """The error says which, from where, and that it may come; when it has, the swap is made."""

    async def main():
        async with shop.runtime() as runtime:
            await serving(runtime)
            shop.answer = lambda text: None
            with pytest.raises(DependencyFailed) as raised:
                await runtime.swap(*DB, "two")
            still = await serving(runtime)
            shop.answer = lambda text: f"the new {text}"
            await runtime.swap(*DB, "two")
            return raised.value, still, await serving(runtime)

    error, still, after = run(main())

    assert str(error) == (
        "adapter:db: two did not come up at step load: adapter:db -> secret:other: vault has no 'other'\n"
        "  still serving: one\n"
        "  its source is vault:other"
    )
    assert not isinstance(error, Permanent)
    assert error.path == (Key(*DB), Key("secret", "other"))
    assert (error.__cause__, error.__context__) == (None, None)
    assert (still, after) == ("the db", "the new other")


def test_a_reload_fetches_again(shop, run):
    """So a part takes over a password that was changed at its source; a plain swap has nothing to do."""
    answers = iter(["old", "new"])
    shop.answer = lambda text: next(answers)

    async def main():
        async with shop.runtime() as runtime:
            passwords = [await serving(runtime)]
            outcomes = [(await runtime.swap(*DB)).outcome]
            outcomes.append((await runtime.swap(*DB, reload=True)).outcome)
            return [*passwords, await serving(runtime)], outcomes

    assert run(main()) == (["old", "new"], ["unchanged", "swapped"])


def test_another_source_is_another_setting(shop, run):
    """A part is swapped when ``[secrets]`` says that its secret comes from elsewhere; and the other one is not."""
    settings = {
        "db": {"one": {"password": {"$secret": "db"}}},
        "mail": {"one": {"password": {"$secret": "other"}}},
    }

    def data(source):
        return {
            "secrets": {"db": source, "other": "vault:other"},
            "adapters": {"selections": {"db": "one", "mail": "one"}, "settings": settings},
        }

    async def main():
        async with assemble(data("vault:db"), plugins=[shop], environment=False) as runtime:
            await serving(runtime)
            async with runtime.use("adapter", "mail"):
                pass
            planned = [str(each.key) for each in runtime.plan(data("vault:elsewhere"))]
            reports = await runtime.apply(data("vault:elsewhere"))
            return planned, [str(each.key) for each in reports], await serving(runtime)

    assert run(main()) == (["adapter:db"], ["adapter:db"], "the elsewhere")


def test_in_place_it_goes_over_to_the_secret(shop, run):
    """The instance stays, its settings are others."""

    @attrs.frozen
    class Plugin:
        shop: object

        @hookimpl
        def oneiric_candidates(self):
            for each in self.shop.candidates():
                yield attrs.evolve(each, policies=Policies(mode="in_place"))

    shop.oneiric_candidates = None

    def data(name):
        return {
            "secrets": {"a": "env:A", "b": "env:B"},
            "adapters": {
                "selections": {"db": "one"},
                "settings": {"db": {"one": {"password": {"$secret": name}}}},
            },
        }

    async def main(monkeypatch):
        monkeypatch.setenv("A", "one")
        async with assemble(data("a"), plugins=[Plugin(shop)], environment=False) as runtime:
            passwords = [await serving(runtime)]
            [failed] = await runtime.apply(data("b"))
            passwords.append(await serving(runtime))
            monkeypatch.setenv("B", "two")
            report = await runtime.swap(*DB)
            return [*passwords, await serving(runtime)], str(failed).splitlines()[0], report.outcome

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("B", raising=False)
        passwords, failed, outcome = run(main(monkeypatch))

    assert (passwords, outcome, len(shop.made)) == (["one", "one", "two"], "reconfigured", 1)
    assert failed.endswith("adapter:db -> secret:b: env has no 'B'")


def test_exclusively_nothing_is_closed_before_the_secret_is_there(shop, run):
    """The old one serves on, and was never closed."""

    async def main():
        async with shop.runtime(lifecycle={"keys": {"adapter:db": {"mode": "exclusive"}}}) as runtime:
            await serving(runtime)
            shop.answer = lambda text: None
            with pytest.raises(DependencyFailed):
                await runtime.swap(*DB, "two")
            return await serving(runtime), shop.made[0].closed

    assert run(main()) == ("the db", False)


@pytest.mark.parametrize("timeout", [None, 1.0])
def test_fetching_has_the_deadline_of_the_operation(shop, run, clock, timeout):
    """``create_timeout``, or what the caller allows, if that is less."""

    async def slowly(text):
        await asyncio.sleep(1e5)

    shop.answer = slowly

    async def main():
        lifecycle = {"create_timeout": 3, "secret_timeout": 50}
        async with shop.runtime(lifecycle=lifecycle) as runtime:
            before = clock.time()
            with pytest.raises(ActivationTimeout) as raised:
                await runtime.swap(*DB, timeout=timeout)
            return str(raised.value).splitlines()[0], clock.time() - before

    said, seconds = run(main())

    assert (
        said
        == f"adapter:db: one did not come up at step load: fetching its secrets took longer than {seconds:g} s"
    )
    assert seconds == (timeout or 3)


def test_several_secrets_are_fetched_at_the_same_time(run, clock):
    """A part with ten waits as long as for one."""

    @attrs.frozen
    class Many:
        several: list[Secret]

    class Kit:
        @hookimpl
        def oneiric_candidates(self):
            async def create(*, settings):
                return settings

            yield Candidate(Key.of(*DB), "one", create, settings_class=Many)

        @hookimpl
        def oneiric_secret_sources(self):
            async def slowly(text):
                await asyncio.sleep(2)
                return text

            yield SecretSource("slow", slowly)

    names = [f"s{number}" for number in range(10)]
    data = {
        "secrets": {name: f"slow:{name}" for name in names},
        "adapters": {"settings": {"db": {"one": {"several": [{"$secret": name} for name in names]}}}},
    }

    async def main():
        async with assemble(data, plugins=[Kit], environment=False) as runtime:
            before = clock.time()
            async with runtime.use(*DB) as many:
                return [each.reveal() for each in many.several], clock.time() - before

    assert run(main()) == (names, 2.0)


def test_a_secret_that_does_not_fit_may_fit_the_next_time(shop, run):
    """What its validator says is shown, without it; and it is not final, as a slip in the file would be."""

    def long_enough(instance, field, value):
        if len(value) < 8:
            raise ValueError(f"{value.reveal()} is too short")

    @attrs.frozen
    class Strict:
        password: Secret = attrs.field(validator=long_enough)

    class Kit:
        @hookimpl
        def oneiric_candidates(self):
            async def create(*, settings):
                return settings

            yield Candidate(Key.of("adapter", "strict"), "one", create, settings_class=Strict)

    shop.answer = lambda text: "canary"

    async def main():
        settings = {"strict": {"one": {"password": {"$secret": "db"}}}}
        async with shop.runtime(Kit(), settings=settings, selections={}) as runtime:
            with pytest.raises(FactoryError) as raised:
                async with runtime.use("adapter", "strict"):
                    pass
            return raised.value

    error = run(main())

    assert error.reason == "its settings do not fit: adapters.settings.strict.one.password: *** is too short"
    assert not isinstance(error, Permanent)


# --- circles -------------------------------------------------------------------------------------------------------


@attrs.frozen
class One:
    password: Secret | None = None


class Stores:
    """Stores of secrets, each of which may be built from a secret, and a user of them."""

    @hookimpl
    def oneiric_candidates(self):
        async def create(*, settings):
            return self

        for name in ("a", "b", "user"):
            yield Candidate(Key.of("adapter", name), "v", create, settings_class=One)

    async def get(self, name):
        return Secret(name)


def circle(**needs):
    """Each adapter is built from a secret of another."""
    return assemble(
        {
            "secrets": {f"of-{name}": f"adapter:{name}#x" for name in ("a", "b")},
            "adapters": {
                "settings": {
                    name: {"v": {"password": {"$secret": f"of-{store}"}}} for name, store in needs.items()
                }
            },
        },
        plugins=[Stores()],
        environment=False,
    )


@pytest.mark.parametrize(
    "needs", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "a", "user": "a"}], ids=str
)
@pytest.mark.parametrize(
    "order", ["a", "b a", "secret:of-a", "secret:of-a a", "a secret:of-a", "user a b secret:of-b"]
)
def test_a_store_that_is_built_from_what_it_keeps_is_an_error(run, clock, needs, order):
    """However it is come upon, and by whom first: at once, and not when some time is up."""

    async def use(runtime, what):
        if what.startswith("secret:"):
            return await runtime.secrets.get(what.removeprefix("secret:"))
        async with runtime.use("adapter", what):
            return "up"

    async def main():
        async with circle(**needs) as runtime:
            before = clock.time()
            found = await asyncio.gather(
                *(use(runtime, what) for what in order.split()), return_exceptions=True
            )
            return found, clock.time() - before

    found, seconds = run(main())

    in_the_circle = [
        each
        for what, each in zip(order.split(), found, strict=True)
        if what.removeprefix("secret:of-") in needs
    ]
    assert seconds < 1
    assert in_the_circle
    assert all(isinstance(each, (DependencyFailed, Reentrant, SecretError)) for each in in_the_circle)
    assert all("from inside its own operation" in str(each) for each in in_the_circle)


def test_what_is_no_circle_comes_up(run):
    """A user of a store whose own secret another store keeps; wanted by many at one time."""

    async def main():
        async with circle(a="b", user="a") as runtime:

            async def use(name):
                async with runtime.use("adapter", name):
                    return name

            names = ["user", "a", "b", "a", "user"]
            return await asyncio.gather(*map(use, names), runtime.secrets.get("of-a"))

    *names, secret = run(main())

    assert (names, secret.reveal()) == (["user", "a", "b", "a", "user"], "x")


# --- plugins -------------------------------------------------------------------------------------------------------


class Sender:
    """A plugin class with a secret."""

    Settings = One

    def __init__(self, context):
        Sender.got = context.settings

    @hookimpl
    def oneiric_candidates(self):
        return ()


def plugged(secrets, table, **more):
    return assemble(
        {"secrets": secrets, "plugins": {"settings": {"Sender": table}}},
        plugins=[Sender],
        environment=False,
        **more,
    )


def test_a_plugin_is_made_with_what_env_and_file_give(monkeypatch, tmp_path):
    """There and then, since nothing runs yet."""
    monkeypatch.setenv("TOKEN", "of the environment")
    (tmp_path / "token").write_text("of a file\n")
    (tmp_path / "token").chmod(0o600)
    got = []
    for source in ("env:TOKEN", f"file:{tmp_path / 'token'}"):
        plugged({"token": source}, {"password": {"$secret": "token"}})
        got.append(Sender.got.password.reveal())

    assert got == ["of the environment", "of a file"]
    assert str(Sender.got) == "One(password=***)"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("env:NOT_THERE", "env has no 'NOT_THERE'"),
        ("adapter:a#x", "the settings of a plugin are read before anything runs"),
        ("vault:x", "nobody declares a source 'vault'"),
    ],
)
def test_a_plugin_whose_secret_cannot_be_had_fails(source, says):
    """And says why; a module's or an entry point's fails alone, the application's own class is an error."""
    with pytest.raises((SecretError, PluginError)) as raised:
        plugged({"token": source}, {"password": {"$secret": "token"}})

    assert says in str(raised.value)


def test_a_reference_of_a_plugin_is_checked_as_any(tmp_path):
    """With its line."""
    file = tmp_path / "oneiric.toml"
    file.write_text(
        '[secrets]\ntoken = "env:TOKEN"\n[plugins.settings.Sender]\npassword = { "$secret" = "tokn" }\n'
    )

    with pytest.raises(SettingsError) as raised:
        assemble(file, plugins=[Sender], environment=False)

    assert str(raised.value) == (
        f"{file}:4: plugins.settings.Sender.password: there is no 'tokn' in [secrets] (did you mean token?)"
    )


def test_a_plugin_that_fails_shows_no_table(tmp_path, monkeypatch):
    """Nor do the frames through which its settings went; with a text of the file, and with one that was fetched."""
    canary = "canary-1f6e"
    monkeypatch.setenv("TOKEN", canary)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "failing_kit.py").write_text(
        "import attrs\n"
        "from oneiric_hookspecs import PluginContext, Secret\n"
        "@attrs.frozen\n"
        "class Kit:\n"
        "    @attrs.frozen\n"
        "    class Settings:\n"
        "        password: Secret\n"
        "        token: Secret\n"
        "    def __init__(self, context: PluginContext):\n"
        "        raise RuntimeError(f'no: {context.settings}')\n"
    )
    file = tmp_path / "oneiric.toml"
    file.write_text(
        '[app]\nplugins = ["failing_kit:Kit"]\n[secrets]\ntoken = "env:TOKEN"\n[plugins.settings."failing_kit:Kit"]\n'
        f'password = "{canary}"\ntoken = {{ "$secret" = "token" }}\n'
    )

    runtime = assemble(file, environment=False)

    error = runtime.hooks.plugin("failing_kit:Kit").error
    shown = ""
    while error is not None:
        shown += "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        error = error.__cause__ or error.__context__
    assert "RuntimeError: no: Kit.Settings(password=***, token=***)" in shown
    assert canary not in shown
