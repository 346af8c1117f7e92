"""The domain of actions: what is declared can be invoked, and nothing that does not fit reaches an action."""

import asyncio
import threading

import attrs
import pytest
from oneiric_hookspecs import (
    Action,
    ActionError,
    ActionTimeout,
    Candidate,
    Key,
    NoCandidate,
    NothingToCall,
    PluginError,
    Problem,
    Secret,
    hookimpl,
)

from oneiric import assemble


@attrs.frozen
class Say:
    text: str
    times: int = 1


@attrs.frozen
class Said:
    text: str


@attrs.frozen
class Voice:
    loud: bool = False
    key: Secret | None = None


class Actions:
    """A plugin of these actions."""

    def __init__(self, *actions):
        self.actions = actions

    @hookimpl
    def oneiric_actions(self):
        return self.actions


async def say(request, settings):
    text = request.text * request.times
    return Said(text.upper() if settings.loud else text)


SAY = Action("text.say", "Say it", takes=Say, returns=Said, settings=Voice, run=say)


def runtime_of(*actions, settings=None):
    """An assembled runtime with a plugin ``Actions`` of these."""
    return assemble(settings or {}, plugins=[Actions(*actions)], environment=False)


def action(run, **options):
    """An action ``text.say`` that runs *run*."""
    return Action("text.say", "Say it", **{"takes": Say, "run": run} | options)


def test_a_declared_action_is_invoked_with_typed_values_and_called_with_plain_ones(run):
    """The face gives the typed result, ``call`` plain data."""

    async def scenario():
        async with runtime_of(SAY) as runtime:
            face = runtime.domain("action")
            return (
                await face.invoke("text.say", Say("ho", 2)),
                await face.invoke("text.say", {"text": "ho"}),
                await runtime.call("action", "text.say", {"text": "ho", "times": 3}),
            )

    assert run(scenario()) == (Said("hoho"), Said("ho"), {"text": "hohoho"})


def test_a_script_calls_an_action_without_a_loop_of_its_own():
    """``runtime.blocking`` has the same word."""
    with runtime_of(SAY).blocking as runtime:
        assert runtime.call("action", "text.say", {"text": "ho"}) == {"text": "ho"}


def test_an_action_is_a_candidate_of_the_plugin_that_declares_it():
    """It is listed, explained and chosen as any other part."""
    decision = runtime_of(SAY).explain("action", "text.say")

    assert [(row.candidate.provider, row.standing, row.candidate.summary) for row in decision.rows] == [
        ("actions", "selected", "Say it")
    ]


def test_the_settings_of_the_file_reach_the_action(tmp_path, run):
    """They stand under the action's key; the provider is the plugin."""
    file = tmp_path / "oneiric.toml"
    file.write_text('[actions.settings."text.say"]\nloud = true\n')

    async def scenario():
        async with runtime_of(SAY, settings=file) as runtime:
            return await runtime.call("action", "text.say", {"text": "ho"})

    assert run(scenario()) == {"text": "HO"}


def test_of_two_plugins_with_one_action_the_later_wins_and_the_settings_may_choose(run):
    """Overriding an action is declaring it again."""

    async def louder(request, settings):
        return Said(request.text + "!")

    class Louder(Actions):
        pass

    async def scenario(settings):
        plugins = [Actions(SAY), Louder(action(louder, returns=Said))]
        async with assemble(settings, plugins=plugins, environment=False) as runtime:
            return await runtime.call("action", "text.say", {"text": "ho"})

    assert run(scenario({})) == {"text": "ho!"}


BAD_REQUESTS = {
    "missing": (None, [Problem("text", "is missing; expected a text")]),
    "wrong type": (
        {"text": 5, "times": True},
        [
            Problem("text", "expected a text, found 5"),
            Problem("times", "expected a whole number, found true"),
        ],
    ),
    "unknown": (
        {"text": "ho", "tims": 2},
        [Problem("tims", "unknown key", hint="did you mean times?")],
    ),
    "no table": (["ho"], [Problem("", "expected a table, found a list")]),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_request_that_does_not_fit_never_reaches_the_action(case, run):
    """Everything that is wrong with it is said at once, by its path."""
    request, problems = BAD_REQUESTS[case]
    reached = []

    async def note(request, settings):
        reached.append(request)

    async def scenario():
        async with runtime_of(action(note)) as runtime:
            with pytest.raises(ActionError) as caught:
                await runtime.call("action", "text.say", request)
            return caught.value

    error = run(scenario())

    assert (list(error.problems), reached) == (problems, [])
    assert str(error).splitlines() == [
        "the request does not fit text.say",
        *(f"  {problem}" for problem in problems),
        "  see oneiric action info text.say",
    ]


def failing(error):
    """An action that raises *error*."""

    async def fail(request, settings):
        raise error

    return action(fail)


def test_what_an_action_raises_is_told_with_its_name(run):
    """An error of its own passes as it is; any other is wrapped, with its cause."""
    own, other = ActionError("no paper", setting="printer.tray"), KeyError("lost")

    async def scenario(error):
        async with runtime_of(failing(error)) as runtime:
            with pytest.raises(ActionError) as caught:
                await runtime.call("action", "text.say", {"text": ""})
            return caught.value

    assert run(scenario(own)) is own
    wrapped = run(scenario(other))
    assert (str(wrapped), wrapped.__cause__) == ("text.say failed: KeyError: 'lost'", other)


def test_a_result_of_another_class_is_the_kits_mistake(run):
    """What an action declares to return can be relied on."""

    async def give(request, settings):
        return {"text": "ho"}

    async def scenario():
        async with runtime_of(action(give, returns=Said)) as runtime:
            with pytest.raises(ActionError, match="text.say gave a dict, and declares a Said"):
                await runtime.call("action", "text.say", {"text": ""})

    run(scenario())


@pytest.mark.parametrize("own, given, seconds", [(5.0, None, 5.0), (5.0, 2.0, 2.0), (None, 3.0, 3.0)])
def test_an_action_ends_at_its_limit(own, given, seconds, clock, run):
    """The caller's limit wins over the action's own."""

    async def sleep(request, settings):
        await asyncio.sleep(60)

    async def scenario():
        async with runtime_of(action(sleep, timeout=own)) as runtime:
            began = asyncio.get_running_loop().time()
            with pytest.raises(ActionTimeout, match=f"text.say took longer than {seconds:g} s"):
                await runtime.domain("action").invoke("text.say", Say(""), timeout=given)
            return asyncio.get_running_loop().time() - began

    assert run(scenario()) == pytest.approx(seconds)


def test_an_actions_own_timeout_error_is_a_failure_of_its_own(run):
    """Only the limit that was set counts as taking too long."""

    async def scenario():
        async with runtime_of(attrs.evolve(failing(TimeoutError("the printer")), timeout=5.0)) as runtime:
            with pytest.raises(ActionError) as caught:
                await runtime.call("action", "text.say", {"text": ""})
            return caught.value

    error = run(scenario())
    assert (type(error), str(error)) == (ActionError, "text.say failed: TimeoutError: the printer")


def test_a_plain_function_runs_off_the_loop_and_lets_the_caller_go():
    """It may wait: others go on, and a caller whose limit is over does not wait for it."""
    begun, go = threading.Event(), threading.Event()

    def wait(request, settings):
        begun.set()
        assert go.wait(30)
        return Said(threading.current_thread().name)

    async def scenario():
        async with runtime_of(action(wait, returns=Said)) as runtime:
            invoke = runtime.domain("action").invoke
            first = asyncio.ensure_future(invoke("text.say", Say("")))
            while not begun.is_set():
                await asyncio.sleep(0)
            with pytest.raises(ActionTimeout):
                await invoke("text.say", Say(""), timeout=0.01)
            names = runtime.status().threads
            go.set()
            return names, (await first).text

    names, thread = asyncio.run(scenario())

    assert names == ("action text.say", "action text.say")
    assert thread != threading.main_thread().name


def test_a_thread_that_never_comes_back_is_named_when_the_runtime_closes(clock, run):
    """Nothing is lost silently."""
    go = threading.Event()

    def hang(request, settings):
        go.wait(30)

    async def scenario():
        runtime = runtime_of(action(hang), settings={"lifecycle": {"cancel_grace": 0.1}})
        await runtime.start()
        with pytest.raises(ActionTimeout):
            await runtime.domain("action").invoke("text.say", Say(""), timeout=0.01)
        report = await runtime.close()
        go.set()
        return report.left

    assert asyncio.run(scenario()) == ("thread action text.say",)


def test_an_action_that_is_no_action_fails_its_plugin_alone():
    """All of a plugin, or nothing; the others count."""
    candidate = Candidate(Key("adapter", "cache"), "mine", object)

    class Broken(Actions):
        @hookimpl
        def oneiric_candidates(self):
            return [candidate]

    runtime = assemble({}, plugins=[Actions(SAY), Broken("no action")], environment=False)

    states = {record.name: (record.state, record.reason) for record in runtime.hooks.plugins[-2:]}
    assert states["Actions"] == ("on", "")
    assert states["Broken"][0] == "failed"
    assert "oneiric_actions" in states["Broken"][1]
    assert runtime.keys("action") == tuple(sorted(runtime.keys("action")))
    assert "text.say" in runtime.keys("action")
    assert "mine" not in [row.candidate.provider for row in runtime.explain("adapter", "cache").rows]


def test_an_action_that_is_registered_as_a_candidate_says_how_to_declare_it(run):
    """What fills the key has to satisfy the domain's contract."""

    async def scenario():
        async with assemble({}, environment=False) as runtime:
            runtime.register(Candidate(Key("action", "text.say"), "mine", object))
            with pytest.raises(ActionError, match="text.say was registered as a candidate"):
                runtime.domain("action").get("text.say")

    run(scenario())


def test_what_is_not_there_is_told(run):
    """A misspelt domain, a domain that is used, one without an interface, an action that nobody has."""

    async def scenario():
        async with assemble({}, environment=False) as runtime:
            for call, kind, text in [
                (
                    runtime.call("actoin", "x"),
                    NothingToCall,
                    "there is no domain actoin\n  did you mean action?",
                ),
                (
                    runtime.call("adapter", "cache"),
                    NothingToCall,
                    "there is nothing to call in adapter cache\n  it is used: runtime.use(...)",
                ),
                (runtime.call("action", "nope"), NoCandidate, "no candidate fills action:nope"),
            ]:
                with pytest.raises(kind) as caught:
                    await call
                assert str(caught.value).startswith(text)
            with pytest.raises(NothingToCall, match="the domain adapter has no interface of its own"):
                runtime.domain("adapter")

    run(scenario())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "Text Say"}, "'Text Say' is not a action"),
        ({"run": 5}, "action text.say: run is called, found 5"),
        ({"takes": dict}, "action text.say: takes is an attrs class, found <class 'dict'>"),
        ({"returns": 5}, "action text.say: returns is an attrs class, found 5"),
        ({"settings": "Voice"}, "action text.say: settings is an attrs class, found 'Voice'"),
        ({"timeout": 0}, "action text.say: timeout is a number of seconds above 0, found 0"),
        ({"timeout": float("inf")}, "action text.say: timeout is a number of seconds above 0, found inf"),
        ({"timeout": float("nan")}, "action text.say: timeout is a number of seconds above 0, found nan"),
    ],
    ids=["name", "run", "takes", "returns", "settings", "zero", "infinite", "nan"],
)
def test_a_declared_action_is_well_formed(options, message):
    """A slip is found where it is made."""
    with pytest.raises(PluginError) as caught:
        Action(**{"name": "text.say", "summary": "", "takes": Say, "run": say} | options)

    assert caught.value.message == message
