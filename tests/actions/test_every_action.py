"""Every built-in action is described, can be switched off, and refuses what does not fit in one error.

``ROWS`` has a row for each; a new action without one fails in ``tests/test_everything_activates.py``.
"""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import OneiricError

from oneiric import assemble


@attrs.frozen
class Row:
    """What shows that an action obeys its settings.

    Args:
        settings: What is written in its table; something other than the default.
        request: What it is invoked with.
        shows: What of the answer is looked at: the path of a field, or ``error`` for what is said.
        by_default: What that is without the settings.
        by_settings: What it is with them.
    """

    settings: str
    request: dict
    shows: str
    by_default: object
    by_settings: object


NONE = "..."
ROWS = {
    "automation.trigger": Row(
        "stop_on_match = true", {"data": 1, "rules": [{"name": "a"}, {"name": "b"}]}, "stopped", False, NONE
    ),
    "compression.encode": Row('algorithm = "bz2"', {"text": "x"}, "algorithm", "gzip", "bz2"),
    "compression.hash": Row(
        'encoding = "base64"',
        {"text": "", "algorithm": "blake2s"},
        "digest",
        NONE,
        "aSF6MHmQgJThESHQQjVKfB9VtkgsoaUeGyUN/R7Q7vk=",
    ),
    "data.sanitize": Row('text = "?"', {"data": {"token": 1}}, "data.token", "***", "?"),
    "data.transform": Row('missing = "error"', {"data": {}, "include": ["a"]}, "error", None, NONE),
    "debug.console": Row("max_message = 2", {"message": "hello"}, "said", "hello", "he..."),
    "event.dispatch": Row('source = "shop"', {"topic": "a.b"}, "event.source", "oneiric", "shop"),
    "http.fetch": Row('hosts = ["a.test"]', {"url": "http://127.0.0.1:9/"}, "error", NONE, NONE),
    "security.secure": Row(
        "scrypt_ln = 10\nscrypt_p = 1", {"operation": "hash", "password": "x"}, "hash", NONE, NONE
    ),
    "security.signature": Row('header = "X-Shop"', {"text": "", "secret": "s"}, "headers.X-Shop", None, NONE),
    "serialization.encode": Row('format = "toml"', {"data": {"a": 1}}, "text", '{"a": 1}', "a = 1\n"),
    "task.schedule": Row(
        'zone = "Asia/Tokyo"', {"cron": "@daily", "after": "2026-01-01"}, "zone", "UTC", "Asia/Tokyo"
    ),
    "validation.schema": Row('on_invalid = "error"', {"data": 1, "fields": {}}, "valid", False, None),
    "workflow.audit": Row('mask = ["x"]', {"event": "e", "details": {"x": 1}}, "details.x", 1, "***"),
    "workflow.notify": Row('channel = "ops"', {"message": "m"}, "channel", "", "ops"),
    "workflow.orchestrate": Row(
        "width = 1", {"steps": [{"id": "a"}, {"id": "b"}]}, "batches", [["a", "b"]], [["a"], ["b"]]
    ),
    "workflow.retry": Row("base = 3.0\njitter = 0.0", {"attempt": 1, "seed": 1}, "delay", NONE, 3.0),
}


def built_in():
    """The names of all built-in actions."""
    runtime = assemble({}, environment=False)
    names = runtime.keys("action")
    runtime.hooks.close()
    return names


NAMES = built_in()


def test_no_row_is_left_over():
    """Each is of an action that there is."""
    assert ROWS.keys() - set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_an_action_is_described(name):
    """One line for people, and a meaning for every field of what it takes, returns, and is set by."""

    async def main():
        async with assemble({}, environment=False) as runtime:
            action = runtime.domain("action").get(name)
            schemas = [runtime.schema(cls) for cls in (action.takes, action.returns, action.settings)]
            return action, schemas

    action, schemas = asyncio.run(main())
    silent = [
        f"{schema['title']}.{field}"
        for whole in schemas
        for schema in (whole, *whole.get("$defs", {}).values())
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]

    assert action.summary
    assert [schema.get("description") for schema in schemas if not schema.get("description")] == []
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_an_action_is_switched_off_by_its_name(name, tmp_path):
    """And only that one."""
    (tmp_path / "oneiric.toml").write_text(f'[plugins]\noff = ["{name}"]\n')
    runtime = assemble(tmp_path / "oneiric.toml", environment=False)
    left = runtime.keys("action")
    runtime.hooks.close()

    assert set(left) == set(NAMES) - {name}


HOSTILE = [
    None,
    True,
    0,
    10**30,
    1e308,
    "",
    "x" * 100_000,
    "\ud800\0\x1b[2J",
    "../../etc/passwd",
    [],
    [[]] * 1000,
    {},
    {"$secret": "x"},
    {"": {"": None}},
]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_field_is_given_the_answer_is_a_result_or_one_error(name, tmp_path):
    """Nothing else comes out: no bug's exception, no long text; and what is wrong names the action."""
    state = f'[app]\nstate_dir = "{tmp_path}"\n[state]\nurl = "memory:"\n'
    (tmp_path / "oneiric.toml").write_text(state)

    async def main():
        async with assemble(tmp_path / "oneiric.toml", environment=False) as runtime:
            action = runtime.domain("action").get(name)
            fields = [field.name for field in attrs.fields(action.takes)]
            asked = [{**ROWS[name].request, field: value} for field in fields for value in HOSTILE]
            asked += [*HOSTILE, {}, {"no such field": 1}]
            said = []
            for request in asked:
                try:
                    await runtime.call("action", name, request)
                except OneiricError as error:
                    said.append(str(error))
            return said

    said = asyncio.run(main())

    assert said
    assert [each for each in said if name not in each or len(each) > 3000 or "\x1b" in each] == []
    assert [each for each in said if " failed: " in each] == []
