"""The built-in sources: the environment, files, and adapters."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Key, Secret, SecretError, hookimpl

from oneiric import assemble
from oneiric.plugins.secrets import env, file

# --- env -----------------------------------------------------------------------------------------------------------


def test_a_variable_is_read_when_it_is_asked_for(monkeypatch):
    """As it is then."""
    monkeypatch.setenv("DB_PASSWORD", "one")
    first = env.get("DB_PASSWORD")
    monkeypatch.setenv("DB_PASSWORD", " two\n")

    assert (first, env.get("DB_PASSWORD")) == (Secret("one"), Secret(" two\n"))


@pytest.mark.parametrize("name", ["NOT_THERE", "", "with=sign", "nul\0"])
def test_a_variable_that_is_not_set_is_none(monkeypatch, name):
    """Whatever the name."""
    monkeypatch.delenv("NOT_THERE", raising=False)

    assert env.get(name) is None


def test_an_empty_variable_is_none(monkeypatch):
    """An empty one is one that somebody forgot to fill."""
    monkeypatch.setenv("DB_PASSWORD", "")

    assert env.get("DB_PASSWORD") is None


def test_bytes_that_are_no_text_are_refused(monkeypatch):
    """And not shown."""
    monkeypatch.setitem(os.environb, b"DB_PASSWORD", b"canary\xff")

    with pytest.raises(SecretError) as raised:
        env.get("DB_PASSWORD")

    assert str(raised.value) == "the variable DB_PASSWORD holds bytes that are no text"


# --- file ----------------------------------------------------------------------------------------------------------


def kept(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def refused(path):
    with pytest.raises(SecretError) as raised:
        file.get(str(path))
    return str(raised.value)


def test_r1_a_path_is_absolute(tmp_path, monkeypatch):
    """Relative to what, nobody could tell from the settings; the home directory is somewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    kept(tmp_path / "db", b"mine")

    assert refused("db") == "the path is relative\n  write the whole path: file:/run/secrets/db"
    assert refused("") == "the path is relative\n  write the whole path: file:/run/secrets/db"
    assert file.get("~/db") == Secret("mine")
    assert refused("~nobody-of-that-name/db").startswith("there is no home directory")


def test_r2_a_file_is_opened_anew_each_time(tmp_path):
    """A mount of Kubernetes is a link to a link to a folder that is swapped."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        kept(tmp_path / version / "db", version.encode())
    (tmp_path / "data").symlink_to("v1")
    (tmp_path / "db").symlink_to("data/db")
    before = file.get(str(tmp_path / "db"))
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").rename(tmp_path / "data")

    assert (before, file.get(str(tmp_path / "db"))) == (Secret("v1"), Secret("v2"))


def test_r3_only_a_regular_file_is_read(tmp_path):
    """A pipe that nobody writes into is not waited for."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    assert refused(tmp_path) == f"{tmp_path} is a directory"
    assert refused(tmp_path / "pipe") == f"{tmp_path / 'pipe'} is no regular file"
    assert refused("/dev/null") == "/dev/null is no regular file"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_r4_a_file_that_is_open_to_others_is_refused(tmp_path, mode):
    """Its owner can mend that."""
    path = kept(tmp_path / "db", b"canary", mode)

    assert refused(path) == f"{path} is open to others (mode {mode:04o})\n  chmod 600 {path}"


def test_r4_what_nobody_can_change_is_read(tmp_path, monkeypatch):
    """Container platforms mount secrets read-only, and for all to read; somebody else's file is not ours to mend."""
    path = kept(tmp_path / "db", b"mounted", 0o444)
    monkeypatch.setattr(file, "_read_only", lambda handle: True)
    mounted = file.get(path)
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    assert (mounted, file.get(path)) == (Secret("mounted"), Secret("mounted"))


def test_r4_a_file_system_says_whether_it_is_read_only(tmp_path):
    """This one is not."""
    kept(tmp_path / "db", b"x")
    with (tmp_path / "db").open() as stream:
        assert file._read_only(stream.fileno()) is False


def test_r5_a_file_has_at_most_64_kib(tmp_path):
    """A secret is short; what has no end is not read to it."""
    most = kept(tmp_path / "most", b"x" * 65536)
    more = kept(tmp_path / "more", b"x" * 65537)

    assert len(file.get(most)) == 65536
    assert refused(more) == f"{more} has more than 64 KiB"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"pw", "pw"),
        (b"pw\n", "pw"),
        (b"pw\r\n", "pw"),
        (b"pw\n\n", "pw\n"),
        (b" pw ", " pw "),
        (b"\xc3\xa9\n", "é"),
        (b"a\nb\n", "a\nb"),
        (b"", None),
        (b"\n", None),
    ],
)
def test_r6_one_line_break_at_the_end_is_no_part_of_it(tmp_path, content, text):
    """Editors and ``echo`` write it; an empty file holds none."""
    found = file.get(kept(tmp_path / "db", content))

    assert found == (None if text is None else Secret(text))


def test_r6_what_is_no_text_is_refused(tmp_path):
    """The place is shown, the bytes are not; and no exception holds them."""
    path = kept(tmp_path / "db", b"canary\xff")

    with pytest.raises(SecretError) as raised:
        file.get(path)

    assert str(raised.value) == f"{path} is not UTF-8: byte 7"
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


def test_a_file_that_is_not_there_is_none(tmp_path):
    """It may come; what is in the way of it is not it."""
    kept(tmp_path / "file", b"x")
    (tmp_path / "dangling").symlink_to("nowhere")

    assert [file.get(str(tmp_path / name)) for name in ("gone", "file/below", "dangling")] == [None] * 3


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    """A circle of links, a name that is none."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    assert (
        refused(tmp_path / "one") == f"{tmp_path / 'one'} cannot be read: Too many levels of symbolic links"
    )
    assert refused(f"{tmp_path}/nul\0") == f"{f'{tmp_path}/nul' + chr(0)!r} is no name of a file"
    assert refused(f"{tmp_path}/{'x' * 300}").endswith("cannot be read: File name too long")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    """Which is no matter of the mode being too open."""
    path = kept(tmp_path / "db", b"x", 0)

    assert refused(path) == f"{path} may not be read by this user"


@settings(max_examples=60)
@given(st.binary(max_size=60))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    """Nothing else is raised, and what is refused is not shown."""
    path = kept(tmp_path_factory.mktemp("fuzz") / "db", content)
    try:
        found = file.get(path)
    except SecretError as error:
        assert "UTF-8" in str(error)
        return

    text = content.decode().removesuffix("\n").removesuffix("\r")
    assert found == (Secret(text) if text else None)


# --- adapter -------------------------------------------------------------------------------------------------------


class Vault:
    """A store of secrets."""

    def __init__(self):
        self.open = True

    async def get(self, name):
        assert self.open
        return None if name == "nothing" else Secret(f"{name} of the vault")

    async def aclose(self):
        self.open = False


class Other:
    """None."""


def secrets_from(run, source, *candidates, use=("secrets",), **more):
    """What comes of getting a secret of *source*: its text, or the error."""

    class Kit:
        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(Key.of("adapter", "vault"), "v", Vault)
            yield Candidate(Key.of("adapter", "other"), "o", Other)
            yield from candidates

    async def main():
        data = {"secrets": {"it": source}, **more}
        async with assemble(data, plugins=[Kit], environment=False) as runtime:
            try:
                return (await runtime.secrets.get("it")).reveal()
            except SecretError as error:
                return str(error).removeprefix(f"the secret 'it' ({source}) cannot be had: ")

    return run(main())


def test_an_adapter_gives_what_it_keeps(run):
    """It is activated for that, and used as anybody would; the name may be a path."""
    assert secrets_from(run, "adapter:vault#team/db#1") == "team/db#1 of the vault"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("adapter:vault", "it names no secret of an adapter\n  write adapter:KEY#NAME"),
        ("adapter:vault#", "it names no secret of an adapter\n  write adapter:KEY#NAME"),
        ("adapter:#db", "it names no secret of an adapter\n  write adapter:KEY#NAME"),
        ("adapter:vault#nothing", "adapter has no 'vault#nothing'"),
        ("adapter:other#db", "adapter:other keeps no secrets: Other has no get(name)"),
        ("adapter:valt#db", "no candidate fills adapter:valt\n  did you mean adapter:vault?"),
    ],
)
def test_what_an_adapter_cannot_give_is_said(run, source, says):
    """And what to do."""
    assert secrets_from(run, source) == says


def test_a_vault_that_does_not_come_up_is_the_reason(run):
    """As whoever used it would be told."""

    def broken():
        raise OSError("no route to the vault")

    said = secrets_from(run, "adapter:broken#db", Candidate(Key.of("adapter", "broken"), "b", broken))

    assert said.splitlines()[0] == (
        "adapter:broken: b did not come up at step create: OSError: no route to the vault"
    )


def test_nothing_is_left_open(run):
    """The vault is leased while it is asked, and closed with the runtime."""
    made = []

    class Counted(Vault):
        def __init__(self):
            super().__init__()
            made.append(self)

    secrets_from(run, "adapter:counted#db", Candidate(Key.of("adapter", "counted"), "c", Counted))

    assert [each.open for each in made] == [False]


def test_sources_are_plugins_that_may_be_left_out():
    """As all built-ins that guard nothing."""
    runtime = assemble({}, off=["secrets.file"], environment=False)

    assert sorted(runtime.secrets.schemes) == ["adapter", "env"]
