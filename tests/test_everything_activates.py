"""Every built-in adapter and action works through the front door: by a settings file, which it obeys.

What there is comes from an assembled runtime, so that a new adapter or action is covered, or fails for lack of a row.
"""

import asyncio
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import attrs
import pytest
from oneiric_hookspecs import OneiricError

from oneiric import assemble

_spec = spec_from_file_location("every_action", Path(__file__).parent / "actions" / "test_every_action.py")
every_action = module_from_spec(_spec)
_spec.loader.exec_module(every_action)

#: In a row: whatever it is, as long as there is something.
SOMETHING = every_action.NONE


@attrs.frozen
class Adapter:
    """What shows that a provider obeys its settings.

    Args:
        settings: What is written in its table, something other than the default; ``{folder}`` is the test's.
        see: ``await see(instance, folder)`` gives what is looked at.
        by_default: What that is without the settings.
        by_settings: What it is with them.
    """

    settings: str
    see: object
    by_default: object
    by_settings: object


async def kept(cache, folder):
    """How many of three values a cache keeps."""
    for name in "abc":
        await cache.set(name, b"x")
    return sum([await cache.get(name) is not None for name in "abc"])


async def room(queue, folder):
    """How many of three messages a queue takes."""
    for number in range(3):
        try:
            await queue.send(b"x")
        except asyncio.QueueFull:
            return number
    return 3


async def file(one, folder):
    """Whether what it keeps is in the file, or folder, that the settings name."""
    if hasattr(one, "put"):
        await one.put("a", b"x")
    elif hasattr(one, "set"):
        await one.set("a", b"x")
    else:
        await one.execute("CREATE TABLE t (x)")
    return (folder / "mine").exists()


async def base(http, folder):
    """What becomes of a path, which stands below the base; nobody is asked, as that is a private address."""
    try:
        await http.request("GET", "/stock")
    except PermissionError:
        return "private"
    except ValueError:
        return "no base"


ADAPTERS = {
    "cache/disk": Adapter('path = "{folder}/mine"', file, False, True),
    "cache/memory": Adapter("max_items = 2", kept, 3, 2),
    "database/sqlite": Adapter('path = "{folder}/mine"', file, False, True),
    "http/httpx": Adapter('base_url = "http://127.0.0.1:9"', base, "no base", "private"),
    "queue/memory": Adapter("max_messages = 2", room, 3, 2),
    "queue/sqlite": Adapter('path = "{folder}/mine"\nmax_messages = 2', room, 3, 2),
    "storage/local": Adapter('root = "{folder}/mine"', file, False, True),
}


def registered():
    """Every adapter, as KEY/PROVIDER, and every action, by its name."""
    runtime = assemble({}, environment=False)
    adapters = [
        f"{name}/{row.candidate.provider}"
        for name in runtime.keys("adapter")
        for row in runtime.explain("adapter", name).rows
    ]
    actions = list(runtime.keys("action"))
    runtime.hooks.close()
    return sorted(adapters), actions


REGISTERED = registered()


async def adapter_shows(runtime, name, folder):
    """What is seen of an adapter that the file selects."""
    key = name.partition("/")[0]
    async with runtime.use("adapter", key) as one:
        return await ADAPTERS[name].see(one, folder)


async def action_shows(runtime, name, folder):
    """The field of the answer, or what is said, that the row is about; None where there is nothing."""
    row = every_action.ROWS[name]
    try:
        value = await runtime.call("action", name, row.request)
    except OneiricError as error:
        value = {"error": str(error)}
    for part in row.shows.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


WHAT = [("adapter", each) for each in REGISTERED[0]] + [("action", each) for each in REGISTERED[1]]


@pytest.mark.parametrize(("domain", "name"), WHAT, ids=[f"{domain}:{name}" for domain, name in WHAT])
def test_it_obeys_the_settings_file(domain, name, tmp_path):
    """With its table in the file it does as the row says, and otherwise without."""
    rows, shows = (ADAPTERS, adapter_shows) if domain == "adapter" else (every_action.ROWS, action_shows)
    assert name in rows, f"give {domain}:{name} a row"
    row = rows[name]
    common = f'[app]\nstate_dir = "{tmp_path}/state"\n[state]\nurl = "memory:"\n'
    table = f'actions.settings."{name}"'
    if domain == "adapter":
        key, provider = name.split("/")
        common += f'[adapters.selections]\n{key} = "{provider}"\n'
        table = f"adapters.settings.{key}.{provider}"
    (tmp_path / "default.toml").write_text(common)
    settings = row.settings.replace("{folder}", str(tmp_path))
    (tmp_path / "set.toml").write_text(f"{common}[{table}]\n{settings}\n")

    async def main(settings_file):
        async with assemble(settings_file, environment=False) as runtime:
            return await shows(runtime, name, tmp_path)

    shown = [asyncio.run(main(tmp_path / each)) for each in ("default.toml", "set.toml")]

    assert shown[0] != shown[1]
    for expected, found in zip((row.by_default, row.by_settings), shown, strict=True):
        assert (found is not None) if expected == SOMETHING else (found == expected)


def test_no_row_is_left_over():
    """Each is of something that there is."""
    assert [sorted(ADAPTERS), sorted(every_action.ROWS)] == [REGISTERED[0], sorted(REGISTERED[1])]
