"""What is said about the place of the state, without touching it."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest
from oneiric_hookspecs import StateError, Store, StoreFinding, hookimpl, specs

from oneiric import assemble
from oneiric.plugins.stores import _tables
from oneiric.plugins.stores.sqlite import SqliteStore
from oneiric.state import choose
from oneiric.state.checking import check


def held(folder):
    """Every file, with what it holds; but not what SQLite's connections have in common."""
    # By another process: closing a file lets go of all locks that this one has on it.
    script = "import sys; print([(n, open(n, 'rb').read()) for n in sys.argv[1:]])"
    names = [str(each) for each in folder.rglob("*") if each.is_file() and not each.name.endswith("-shm")]
    return subprocess.run(
        [sys.executable, "-c", script, *sorted(names)], capture_output=True, check=True
    ).stdout


def findings(folder, plugins=(), **state):
    """Of an application whose state is in *folder*; nothing there is made or changed."""
    runtime = assemble(
        {"app": {"state_dir": str(folder)}, "state": state}, plugins=plugins, environment=False
    )
    before = held(folder)
    try:
        return check(runtime.settings, runtime.hooks[specs.oneiric_stores].answers())
    finally:
        runtime.hooks.close()
        assert held(folder) == before


async def filled(path, **more):
    store = await SqliteStore.open(path, **more)
    for number in range(50):
        await store.put(f"a/{number}", "x" * 1000)
    await store.close()


def test_no_file_yet(tmp_path):
    """As it should be."""
    assert findings(tmp_path / "state") == [
        StoreFinding(
            "note", "there is no state yet; it begins with the first change", str(tmp_path / "state/state.db")
        )
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_sound_file(tmp_path, is_open):
    """Also while a process has it open, and much of it is in the log still."""

    async def main():
        await filled(tmp_path / "state.db")
        if not is_open:
            return findings(tmp_path)
        store = await SqliteStore.open(tmp_path / "state.db")
        await store.put("b", 1)
        found = findings(tmp_path)
        await store.close()
        return found

    assert asyncio.run(main()) == [StoreFinding("note", "sound, schema 1", str(tmp_path / "state.db"))]


def test_newer_file(tmp_path):
    """It would be refused."""
    asyncio.run(filled(tmp_path / "state.db", steps=(*_tables.STEPS, ("CREATE TABLE x (y)",))))
    (found,) = findings(tmp_path)
    assert (found.level, found.message) == (
        "error",
        "a later version has written it (schema 2; this one knows up to 1)",
    )


def test_damaged_file(tmp_path):
    """What will happen at the next start, while there is time to make a copy; then, that it did."""
    path = tmp_path / "state.db"
    asyncio.run(filled(path))
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 3))
    (found,) = findings(tmp_path)
    assert (found.level, found.message.partition(":")[0], found.where) == (
        "error",
        "it is damaged",
        str(path),
    )
    asyncio.run(filled(path))
    aside, now = findings(tmp_path)
    assert (aside.level, aside.where, now.message) == ("warning", f"{path}.corrupt-1", "sound, schema 1")


def test_damaged_value(tmp_path):
    """One value that somebody has edited is named, in a file that is sound."""
    path = tmp_path / "state.db"
    asyncio.run(filled(path))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (key,) = db.execute(
            "UPDATE entries SET value = '{' WHERE key = (SELECT max(key) FROM entries) RETURNING key"
        ).fetchone()
    sound, value = findings(tmp_path)
    assert (sound.level, value.level, value.where) == ("note", "warning", str(path))
    assert value.message.startswith(f"the value of {key} is damaged: ")


@pytest.mark.parametrize("kind", ["text", "database", "folder"])
def test_stranger(tmp_path, kind):
    """Something else is there: an error, before anything fails."""
    path = tmp_path / "state.db"
    if kind == "text":
        path.write_text("a diary\n" * 100)
    elif kind == "folder":
        path.mkdir()
    else:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE diary (line TEXT)")
    (found,) = findings(tmp_path)
    expected = "it is no file" if kind == "folder" else "it is no state store, but something else"
    assert (found.level, found.message, found.where) == ("error", expected, str(path))


def test_place_through_a_file(tmp_path):
    """A file where a folder should be."""
    (tmp_path / "x").write_text("a file")
    (found,) = findings(tmp_path, url="sqlite:x/state.db")
    assert found.level == "error"


class Mute:
    """A store that does not say what is there."""

    @hookimpl
    def oneiric_stores(self):
        return [Store("mute", lambda rest, folder, keep: None)]


class Rude:
    """A store whose check fails."""

    @hookimpl
    def oneiric_stores(self):
        return [Store("rude", lambda rest, folder, keep: None, check=lambda rest, folder: [1 / 0])]


@pytest.mark.parametrize(
    ("plugins", "url", "found"),
    [
        ((), "memory:", []),
        (
            (),
            "memry:",
            [
                StoreFinding(
                    "error", "state.url: no plugin brings a store 'memry'", None, "did you mean memory:?"
                )
            ],
        ),
        (
            (Mute,),
            "mute:secret",
            [StoreFinding("note", "the store 'mute' of plugin Mute does not say what is there")],
        ),
        (
            (Rude,),
            "rude:secret",
            [
                StoreFinding(
                    "error", "the store 'rude' could not be looked at: ZeroDivisionError: division by zero"
                )
            ],
        ),
    ],
    ids=["memory", "unknown", "mute", "rude"],
)
def test_other_stores(tmp_path, plugins, url, found):
    """Each says what it can; one that fails, or is not there, is a finding, and what stands behind the colon is not shown."""
    assert findings(tmp_path, plugins, url=url) == found


# --- peeking -----------------------------------------------------------------------------------------------------------


def peeked(folder, prefix="a/", **state):
    """What can be read without opening; nothing is made or changed."""
    runtime = assemble({"app": {"state_dir": str(folder)}, "state": state}, environment=False)
    before = held(folder)
    try:
        store, rest, _ = choose(runtime.settings, runtime.hooks[specs.oneiric_stores].answers())
        return store.shared, list(store.peek(rest, folder, prefix))
    finally:
        runtime.hooks.close()
        assert held(folder) == before


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_peeking_gives_what_is_there(tmp_path, is_open):
    """As ``scan`` does, whoever else has it open."""

    async def main():
        store = await SqliteStore.open(tmp_path / "state.db")
        for key in ("a/1", "b/1", "a/2"):
            await store.put(key, {"key": key})
        if not is_open:
            await store.close()
        found = peeked(tmp_path)
        if is_open:
            assert found == (True, await store.scan("a/"))
            await store.close()
        return found

    _, found = asyncio.run(main())
    assert [(key, stored.value) for key, stored in found] == [
        ("a/1", {"key": "a/1"}),
        ("a/2", {"key": "a/2"}),
    ]


def test_peeking_makes_nothing(tmp_path):
    """Where there is no file there is nothing; neither is there in memory, which nobody shares."""
    assert peeked(tmp_path / "state") == (True, [])
    assert peeked(tmp_path / "state", url="memory:") == (False, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"x" * 5000, b""], ids=["something else", "empty"])
def test_peeking_at_what_is_no_store(tmp_path, content):
    """It is an error, but for an empty file, in which nothing is."""
    (tmp_path / "state.db").write_bytes(content)

    if not content:
        assert peeked(tmp_path) == (True, [])
        return
    with pytest.raises(StateError, match="state.db"):
        peeked(tmp_path)
