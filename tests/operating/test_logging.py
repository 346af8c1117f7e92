"""Logging: whose it is, what stands on each record, and that a record is a line whatever is in it."""

import json
import logging
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Key, SettingsError, hookimpl

from oneiric import assemble
from oneiric.activation.facts import facts
from oneiric.logs import Context, JsonLines, TextLines, configured
from oneiric.settings import loading
from oneiric.settings.logged import LoggingSection, Sink

log = logging.getLogger("shop")
USUAL = ("time", "process", "thread")


@pytest.fixture(autouse=True)
def as_it_was():
    """Every test leaves logging as it found it."""

    def state():
        names = ("", "oneiric", "oneiric.remote", "shop")
        loggers = [logging.getLogger(name) for name in names]
        return [(each.level, list(each.handlers), list(each.filters), each.propagate) for each in loggers]

    before = state()
    yield
    assert state() == before


def section(**tables):
    """``[logging]``, read as from a file."""
    return loading.load({"logging": tables}, environ={}).logging


def record(message="hello", *args, level=logging.INFO, **more):
    made = logging.LogRecord("shop", level, "shop.py", 7, message, args, more.pop("exc_info", None))
    made.__dict__.update(more)
    return made


def as_json(made, masked=str):
    line = JsonLines(masked).format(made)
    assert line.isascii()
    assert "\n" not in line
    return {name: value for name, value in json.loads(line).items() if name not in USUAL}


def problems(**tables):
    with pytest.raises(SettingsError) as caught:
        section(**tables)
    return [str(problem) for problem in caught.value.problems]


# --- whose it is ------------------------------------------------------------------------------------------------


def test_an_application_keeps_its_logging(unplugged) -> None:
    """Neither import, nor assembling, running or orchestrating a runtime touches handlers, levels or filters."""
    script = """
import asyncio, logging
names = ("", "oneiric", "asyncio", "httpx", "uvicorn")
def state():
    root = logging.getLogger()
    return [(l.level, l.handlers[:], l.filters[:], l.propagate, l.disabled) for l in map(logging.getLogger, names)]
mine = logging.StreamHandler()
logging.getLogger().addHandler(mine)
before = state()
import oneiric, oneiric.logs, oneiric.serving
assert state() == before, "import"
settings = {"logging": {"level": "debug", "sinks": {"out": {"to": "stdout"}}}, "state": {"url": "memory:"}}
runtime = oneiric.assemble(settings, environment=False)
assert state() == before, "assemble"
async def main():
    async with runtime:
        assert state() == before, "run"
asyncio.run(main())
try:
    from oneiric import orchestrate
    import oneiric.orchestrator.measuring, oneiric.orchestrator.files, oneiric.supervision.supervision
except ImportError:
    print("no orchestrator")
else:
    async def kept():
        async with orchestrate(oneiric.assemble(settings, environment=False)):
            assert state() == before, "orchestrate"
    asyncio.run(kept())
assert state() == before
print("ok")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.stdout.split("\n")[-2:], done.returncode) == (["ok", ""], 0), done.stderr


def test_the_block_undoes_itself(capsys) -> None:
    """Handlers and levels are there in the block, and gone after it, also where it raises."""
    root = logging.getLogger()
    before = list(root.handlers)
    settings = section(level="warning", levels={"shop": "debug"})

    with pytest.raises(ZeroDivisionError):
        with configured(settings):
            assert (root.level, log.level) == (logging.WARNING, logging.DEBUG)
            assert root.handlers[: len(before)] == before
            log.debug("said")
            logging.getLogger("other").info("not said")
            raise ZeroDivisionError

    log.warning("after")
    assert [line.split(": ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["said"]


def test_reconfigured_it_goes_on(tmp_path, capsys) -> None:
    """Levels and sinks are those of the new settings; levels that are not written any more are as before."""
    with configured(section(levels={"shop": "debug"}), folder=tmp_path) as logs:
        log.debug("one")
        logs.reconfigure(section(sinks={"all": {"to": "file", "path": "logs/all.log", "format": "json"}}))
        log.debug("two")
        log.info("three")
        logs.reconfigure(section(sinks={"out": {"to": "stdout"}}), level="debug")
        log.debug("four")

    said = capsys.readouterr()
    written = (tmp_path / "logs" / "all.log").read_text().splitlines()
    assert ("one" in said.err, "two" in said.err, "three" in said.err, "four" in said.out) == (
        True,
        False,
        False,
        True,
    )
    assert [json.loads(line)["message"] for line in written] == ["three"]


def test_settings_that_cannot_be_taken_change_nothing(tmp_path, capsys) -> None:
    """A file that cannot be written refuses them; what was configured goes on."""
    (tmp_path / "file").write_text("")
    bad = section(sinks={"a": {"to": "stdout"}, "b": {"to": "file", "path": "file/b.log"}})

    with configured(section(), folder=tmp_path) as logs:
        with pytest.raises(SettingsError) as caught:
            logs.reconfigure(bad)
        log.info("still")

    said = capsys.readouterr()
    assert str(caught.value).startswith("logging.sinks.b.path: the file ")
    assert str(caught.value).endswith(" cannot be written: Not a directory") or "File exists" in str(
        caught.value
    )
    assert (said.out, said.err.count("still")) == ("", 1)


def test_chatter_of_libraries_is_left_out(capsys) -> None:
    """Whoever watches files says so of each change, and so of each line of a log beside them; it can be asked for."""
    chatter = logging.getLogger("watchfiles.main")

    with configured(section(level="debug")) as logs:
        chatter.info("one")
        chatter.warning("two")
        logs.reconfigure(section(levels={"watchfiles": "info"}))
        chatter.info("three")

    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["two", "three"]


# --- what stands beside it ----------------------------------------------------------------------------------------


def test_an_operation_stands_on_what_is_logged_in_it(run, capsys) -> None:
    """The key, the provider, the operation and the node: in a factory, and not outside of one."""

    class Plugin:
        @hookimpl
        def oneiric_candidates(self):
            def factory():
                log.info("made")
                return object()

            yield Candidate(Key.of("adapter", "thing"), "disk", factory)

    async def main():
        runtime = assemble({"state": {"url": "memory:"}}, environment=False)
        runtime.plug(Plugin(), "shop")
        with configured(section(format="json"), context=facts) as logs:
            logs.node = "node-a"
            async with runtime:
                log.info("before")
                async with runtime.use("adapter", "thing"):
                    pass

    run(main)

    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ours = {each["message"]: each for each in said if each["logger"] == "shop"}
    names = ("domain", "key", "provider", "node")
    assert [[ours[message].get(name) for name in names] for message in ("before", "made")] == [
        [None, None, None, "node-a"],
        ["adapter", "adapter:thing", "disk", "node-a"],
    ]
    assert re.fullmatch("op[0-9]+", ours["made"]["operation"])
    assert "operation" not in ours["before"]


def test_a_trace_stands_on_what_is_logged_in_it() -> None:
    """As 32 and 16 hexadecimal digits."""
    from opentelemetry import trace

    context = trace.SpanContext(0xABC, 0x12, is_remote=False)
    made = record()
    with trace.use_span(trace.NonRecordingSpan(context)):
        Context().filter(made)

    assert as_json(made) == {
        "level": "info",
        "logger": "shop",
        "message": "hello",
        "trace_id": "00000000000000000000000000000abc",
        "span_id": "0000000000000012",
    }


def test_nothing_is_imported_to_look_for_a_trace() -> None:
    """Whoever does not trace does not pay for it."""
    script = (
        "import logging, sys\nfrom oneiric.logs import configured\nfrom oneiric.settings.logged import LoggingSection\n"
        "with configured(LoggingSection()): logging.getLogger('shop').info('x')\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'httpx'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.stdout == "[]\n"


def test_facts_that_cannot_be_had_cost_no_record(capsys) -> None:
    """A callable that raises is passed over."""

    def broken():
        raise RuntimeError

    with configured(section(), context=broken):
        log.info("said")

    assert capsys.readouterr().err.endswith("shop: said\n")


# --- lines ------------------------------------------------------------------------------------------------------


def test_a_record_is_one_object() -> None:
    """Every field is documented, and has one meaning."""
    try:
        raise ValueError("wrong")
    except ValueError:
        made = record(
            "sold %d", 3, exc_info=sys.exc_info(), order=17, note={"a": 1}, ratio=float("nan"), gone=None
        )

    found = as_json(made)

    trace = found["error"].pop("traceback")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: wrong")
    assert found == {
        "level": "info",
        "logger": "shop",
        "message": "sold 3",
        "error": {"type": "builtins.ValueError", "message": "wrong"},
        "extra": {"order": 17, "note": "{'a': 1}", "ratio": "nan", "gone": None},
    }
    line = json.loads(JsonLines().format(made))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["thread"], isinstance(line["process"], int)) == ("MainThread", True)


class _Odd:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


@given(
    st.text() | st.sampled_from(["a\nb", "\r\n", "\x00", "\u2028", "\ud800", "\x1b[2J", '"}\n{"level": "x"'])
)
def test_nothing_that_is_logged_breaks_a_line(text) -> None:
    """Line breaks, control characters, halves of pairs: one record is one line, in both formats."""
    made = record("%s", text, extra_=text)
    made.name = text
    made.exc_info = (ValueError, ValueError(text), None)
    Context(lambda: {"key": text, "operation": text}).filter(made)

    found = as_json(made)
    lines = TextLines().format(made).split("\n")

    assert found["message"] == re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert lines[0].isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", lines[0])
    assert all(line.startswith("    ") for line in lines[1:])
    "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("%d of %d", (1,), "%d of %d (could not be formatted: TypeError)"),
        ("%s", (_Odd(),), "%s (could not be formatted: RuntimeError)"),
        (_Odd(), (), "<a _Odd that cannot be shown> (could not be formatted: RuntimeError)"),
        ("%(name)s", ({"other": 1},), "%(name)s (could not be formatted: KeyError)"),
    ],
)
def test_a_message_that_cannot_be_made_says_so(message, args, said) -> None:
    """The record is there all the same."""
    assert as_json(record(message, *args, odd=_Odd()))["message"] == said


def test_what_is_huge_is_cut() -> None:
    """With the number of what is missing."""
    found = as_json(record("x" * 1_000_000, big="y" * 5000, **{f"f{n}": n for n in range(100)}))

    assert found["message"] == "x" * 65536 + "... (934464 more characters)"
    assert found["extra"]["big"] == "y" * 1000 + "... (4000 more characters)"
    assert len(found["extra"]) == 32


def test_secrets_are_masked_wherever_they_stand() -> None:
    """In the message, the facts, the traceback, and what was given as extra; before anything is cut."""

    def masked(text):
        return text.replace("hunter2", "***")

    try:
        raise ValueError("hunter2")
    except ValueError:
        made = record(
            "x" * 65533 + "hunter2 %s",
            "hunter2",
            exc_info=sys.exc_info(),
            password="hunter2",
            hunter2={"a": ["hunter2"]},
        )
    Context(lambda: {"key": "adapter:hunter2"}).filter(made)

    for line in (JsonLines(masked).format(made), TextLines(masked).format(made)):
        assert "hunter2" not in line
        assert "hun..." not in line


def test_a_mask_that_fails_shows_nothing() -> None:
    """Rather no message than a secret."""

    def broken(text):
        raise RuntimeError

    assert as_json(record("hunter2"), broken)["message"] == "(could not be masked)"


def test_text_is_for_people() -> None:
    """The time, the level, the logger, the message, and in brackets what is known."""
    made = record("sold %d", 3, level=logging.WARNING)
    Context(
        lambda: {"domain": "adapter", "key": "adapter:cache", "provider": "disk", "operation": "op7"}
    ).filter(made)

    line = TextLines().format(made)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d WARNING shop: sold 3 \[adapter:cache disk op7\]",
        line,
    )


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_are_read() -> None:
    """Everything that can be written."""
    found = loading.load(
        {
            "secrets": {"token": "env:TOKEN"},
            "logging": {
                "level": "debug",
                "format": "json",
                "levels": {"oneiric.remote": "error", "x-note": "free"},
                "sinks": {
                    "x-note": "free",
                    "far": {
                        "to": "http",
                        "url": "https://l.example/in",
                        "headers": {"Authorization": "token"},
                    },
                },
            },
        },
        environ={},
    ).logging

    assert found == LoggingSection(
        level="debug",
        format="json",
        levels={"oneiric.remote": "error"},
        sinks={"far": Sink(to="http", url="https://l.example/in", headers={"Authorization": "token"})},
    )


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"level": "warn"}, "logging.level: expected a level, found 'warn' (did you mean warning?)"),
        ({"level": "INFO"}, "logging.level: expected a level, found 'INFO' (did you mean info?)"),
        (
            {"level": "loud"},
            "logging.level: expected a level, found 'loud' (there are: debug, info, warning, error, critical)",
        ),
        (
            {"levels": {"a.b": "debgu"}},
            "logging.levels: expected a level, found 'debgu' (did you mean debug?)",
        ),
        (
            {"sinks": {"a": {"to": "stdot"}}},
            "logging.sinks.a.to: expected one of 'stdout', 'stderr', 'file', 'http', found 'stdot' (did you mean 'stdout'?)",
        ),
        ({"sinks": {"a": {"to": "file"}}}, 'logging.sinks.a: to = "file" needs path'),
        ({"sinks": {"a": {"to": "http"}}}, 'logging.sinks.a: to = "http" needs url'),
        (
            {"sinks": {"a": {"to": "stdout", "path": "x"}}},
            'logging.sinks.a: path is of to = "file", and this one is "stdout"',
        ),
        (
            {"sinks": {"a": {"to": "http", "url": "http://l.example/"}}},
            "logging.sinks.a.url: plain http goes to this",
        ),
        (
            {"sinks": {"a": {"to": "http", "url": "https://u:hunter2@l.example/"}}},
            "logging.sinks.a.url: an address has",
        ),
        (
            {"sinks": {"a": {"to": "http", "url": "ftp://l.example/"}}},
            "logging.sinks.a.url: expected an address",
        ),
        (
            {
                "sinks": {
                    "a": {"to": "http", "url": "https://l.example", "headers": {"Authorization": "hunter2"}}
                }
            },
            "logging.sinks.a.headers.Authorization: expected the name of a secret in [secrets], which is not shown",
        ),
        (
            {"sinks": {"a": {"to": "http", "url": "https://l.example", "headers": {"a b": "x"}}}},
            "logging.sinks.a.headers: expected the name of a header, found 'a b'",
        ),
        ({"sinks": {"a": {"to": "stderr", "batch": True}}}, "logging.sinks.a.batch: expected a whole number"),
        ({"lvel": "info"}, "logging.lvel: unknown key (did you mean level?)"),
    ],
)
def test_what_is_wrong_with_settings_is_told(tables, said) -> None:
    """Where it is, what was expected, and the nearest word; a password is not shown."""
    found = problems(**tables)

    assert any(each.startswith(said) for each in found), found
    assert "hunter2" not in str(found)


def test_the_front_door_takes_them(tmp_path, capsys) -> None:
    """From a file and the environment, to a line on stderr."""
    (tmp_path / "oneiric.toml").write_text('[logging]\nlevel = "error"\n[logging.levels]\n"shop" = "info"\n')
    settings = loading.load([str(tmp_path / "oneiric.toml")], environ={"ONEIRIC__LOGGING__FORMAT": "json"})

    with configured(settings.logging):
        log.info("said")

    assert json.loads(capsys.readouterr().err)["message"] == "said"
