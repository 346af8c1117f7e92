"""The TAB key: words from an index, without importing a plugin, and nothing at all where something is wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oneiric.cli.completion import index

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once


@pytest.fixture
def shell(folder, monkeypatch):
    """A project whose plugins say so when they are imported, and a cache of its own."""
    folder.environment["XDG_CACHE_HOME"] = str(folder.path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.path / "cache"))
    folder.write("oneiric.toml", '[app]\nplugins = ["shop"]\n')
    loud = "print('imported ' + __name__)"
    folder.plugin(
        "shop",
        'Candidate(Key.of("service", "mail"), "smtp", create)',
        'Candidate(Key.of("service", "mail"), "local", create)',
        'Candidate(Key.of("adapter", "spool"), "rabbit", create)',
        before=loud,
    )
    folder.write(
        "site/loud_kit.py",
        f"{loud}\nimport click\nfrom oneiric_hookspecs import hookimpl\n\n"
        "@hookimpl\ndef oneiric_candidates():\n    return ()\n\n@click.command()\n@click.option('--size')\ndef command(size): 'Loud.'\n",
    )
    folder.distribution(
        "loud-kit", oneiric={"loud": "loud_kit"}, oneiric_commands={"loud": "loud_kit:command"}
    )
    return folder


def tab(folder, line, **environment):
    """What is offered at the end of *line*."""
    words = line.split(" ")
    ended = folder.spawn(
        _ONEIRIC_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(words),
        COMP_CWORD=str(len(words) - 1),
        **environment,
    )
    assert ended.err == ""
    return [word.partition(",")[2] for word in ended.out.splitlines() if word]


def indexes(folder):
    return sorted((folder.path / "cache" / "oneiric" / "completion").glob("*"))


@pytest.fixture
def seen(shell):
    """The same, after a command has looked."""
    assert shell.spawn("completion", "bash").code == 0
    assert shell.spawn("list").code == 0
    return shell


OFFERED = [
    ("oneiric exp", ["explain"]),
    ("oneiric explain serv", ["service", "services"]),
    ("oneiric explain service ", ["mail"]),
    ("oneiric explain adapters ", ["cache", "database", "greeter", "http", "queue", "spool", "storage"]),
    ("oneiric explain adapter spo", ["spool"]),
    ("oneiric explain service mail --provider l", ["local"]),
    ("oneiric explain service mail --why-not sm", ["smtp"]),
    ("oneiric explain --hook oneiric_swa", ["oneiric_swapped"]),
    ("oneiric hooks oneiric_roll", ["oneiric_rollback", "oneiric_rolled_back"]),
    ("oneiric plugins off cache.d", ["cache.disk"]),
    ("oneiric config show lifecycle.probat", ["lifecycle.probation"]),
    ("oneiric action info debug.con", ["debug.console"]),
    ("oneiric list --domain ad", ["adapter", "adapters"]),
    ("oneiric plugins info sh", ["shop"]),
    ("oneiric plugins --require lo", ["loud"]),
    ("oneiric list -p no:cache.", ["no:cache.disk", "no:cache.memory"]),
    ("oneiric -p no:sh", ["no:shop"]),
    ("oneiric explain nothing ", []),
    ("oneiric completion f", ["fish"]),
    ("oneiric list --color a", ["auto", "always"]),
    ("oneiric explain service mail --wh", ["--why-not"]),
    ("oneiric lou", ["loud"]),
    ("oneiric loud --si", []),
]


@pytest.mark.parametrize(("line", "words"), OFFERED, ids=[line for line, _ in OFFERED])
def test_words_are_offered(seen, line, words):
    """Commands, options, domains, keys, providers, plugins and hooks; of a kit's word only that it is there."""
    offered = tab(seen, line)

    assert [word for word in offered if word != "greeter"] == [word for word in words if word != "greeter"]


def test_files_are_left_to_the_shell(seen):
    """It knows how to complete them."""
    ended = seen.spawn(_ONEIRIC_COMPLETE="bash_complete", COMP_WORDS="oneiric -c on", COMP_CWORD="2")

    assert ended.out == "file,on\n"


@pytest.mark.parametrize(
    "line", ["oneiric ", "oneiric explain service ", "oneiric loud ", "oneiric plugins info "]
)
def test_no_plugin_is_imported(seen, line):
    """Neither a kit's, nor the application's, nor a kit's command."""
    see = (
        "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
        "from oneiric.cli import main; main()"
    )
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-P", "-c", see],
        cwd=seen.path,
        env=seen.environment
        | {"_ONEIRIC_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        capture_output=True,
        text=True,
        check=True,
    )

    modules = set(done.stderr.split())
    assert not modules & {"loud_kit", "shop", "cattrs", "oneiric.runtime", "oneiric.assembly"}
    assert "imported" not in done.stdout


# --- the index ------------------------------------------------------------------------------------------------------


def test_who_does_not_use_it_has_none(shell):
    """No command makes a file in the cache of somebody who never pressed TAB."""
    assert shell.spawn("list").code == 0

    assert not (shell.path / "cache").exists()


def test_pressing_tab_begins_it(shell):
    """Whoever got the script from elsewhere is served from the next command on."""
    assert tab(shell, "oneiric explain service ") == []
    shell.spawn("explain", "service", "mail")

    assert tab(shell, "oneiric explain service ") == ["mail"]


def test_it_is_written_when_it_changes(seen):
    """The same names leave the file alone; a new plugin does not."""
    (file,) = indexes(seen)
    before = file.stat()
    seen.spawn("list")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    seen.write("oneiric.toml", '[app]\nplugins = ["shop", "more"]\n')
    seen.plugin("more", 'Candidate(Key.of("service", "print"), "lpr", create)')
    seen.spawn("list")

    assert indexes(seen) == [file]
    assert tab(seen, "oneiric explain service ") == ["mail", "print"]


def test_what_is_plugged_in_once_is_not_kept(seen):
    """A plugin of -p is not there the next time."""
    seen.plugin("more", 'Candidate(Key.of("service", "print"), "lpr", create)')
    seen.spawn("list", "-p", "more")

    assert tab(seen, "oneiric explain service ") == ["mail"]


def test_each_project_has_its_own(seen, monkeypatch):
    """By the settings file: the nearest, or the one of -c."""
    seen.plugin("other/stall", 'Candidate(Key.of("service", "print"), "lpr", create)')
    seen.write("other/oneiric.toml", '[app]\nplugins = ["stall"]\n')
    seen.spawn("-c", "other/oneiric.toml", "list")

    assert len(indexes(seen)) == 2
    assert tab(seen, "oneiric explain service ") == ["mail"]
    assert tab(seen, "oneiric -c other/oneiric.toml explain service ") == ["print"]
    assert tab(seen, "oneiric explain service ", ONEIRIC_CONFIG="other/oneiric.toml") == ["print"]


def test_it_is_of_the_settings_that_are_read(folder, monkeypatch):
    """The file that TAB looks for is the one that the settings find."""
    from oneiric.settings import load

    (folder.path / "a" / "b").mkdir(parents=True)
    file = folder.write("a/oneiric.toml", "")
    for place in (folder.path / "a" / "b", folder.path / "a"):
        monkeypatch.chdir(place)
        assert index.subject(None) == str(load().file) == str(file)


DAMAGE = {
    "empty": lambda text: "",
    "cut": lambda text: text[:100],
    "not JSON": lambda text: "{]",
    "not UTF-8": lambda text: b"\xff\xfe",
    "a list": lambda text: "[]",
    "deep": lambda text: "[" * 100_000,
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "another version": lambda text: text.replace('"oneiric": "', '"oneiric": "9'),
    "another Python": lambda text: text.replace('"prefix": "', '"prefix": "/other'),
    "of another project": lambda text: text.replace("oneiric.toml", "oneiric2.toml"),
    "domains are a list": lambda text: json.dumps(json.loads(text) | {"domains": [1]}),
    "keys are numbers": lambda text: json.dumps(
        json.loads(text) | {"keys": {"service": {"mail": 3}, "x": 4}, "domains": {}}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_index_that_is_no_good_offers_nothing(seen, damage):
    """Stale, damaged or somebody else's: no words, no error; and the next command puts it right."""
    (file,) = indexes(seen)
    bad = DAMAGE[damage](file.read_text())
    file.write_bytes(bad if isinstance(bad, bytes) else bad.encode())

    assert tab(seen, "oneiric explain service ") == []
    assert tab(seen, "oneiric explain ") == []
    assert seen.spawn("list").code == 0
    assert tab(seen, "oneiric explain service ") == ["mail"]


def test_missing_index(seen):
    """No words."""
    shutil.rmtree(seen.path / "cache")

    assert tab(seen, "oneiric explain service ") == []


def test_names_that_would_harm_a_shell_are_left_out(seen):
    """Whatever stands in the file: line ends, spaces, escapes."""
    (file,) = indexes(seen)
    data = json.loads(file.read_text())
    data["plugins"] = ["good.one", "a b", "x\ny", "\x1b[2J", "$(rm)", "`id`", "", 3, None]
    file.write_text(json.dumps(data))

    assert tab(seen, "oneiric plugins info ") == ["good.one"]


@pytest.mark.parametrize("place", ["a file", "not writable"])
def test_what_cannot_be_written_fails_nothing(shell, place):
    """The cache is a file, or belongs to somebody else: the command works, and says nothing about it."""
    cache = shell.path / "cache"
    if place == "a file":
        cache.write_text("")
    else:
        (cache / "oneiric" / "completion").mkdir(parents=True)
        (cache / "oneiric" / "completion").chmod(0o500)

    ended = shell.spawn("list", "--json")

    assert (ended.code, ended.json["warnings"]) == (0, [])
    assert tab(shell, "oneiric exp") == ["explain"]


def test_room_is_made(shell):
    """Projects come and go: the oldest files are removed, and no half-written one stays."""
    cache = shell.path / "cache" / "oneiric" / "completion"
    cache.mkdir(parents=True)
    for number in range(index.MOST_FILES + 10):
        (cache / f"{number:08x}.json").write_text("{}")
        os.utime(cache / f"{number:08x}.json", (number, number))
    shell.spawn("list")

    left = {file.name for file in indexes(shell)}
    assert len(left) == index.MOST_FILES
    assert f"{index.MOST_FILES + 9:08x}.json" in left
    assert "00000000.json" not in left


# --- the shells -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_what_click_makes(shell, name):
    """And nothing else is on stdout."""
    ended = shell.spawn("completion", name)

    assert (ended.code, ended.err) == (0, "")
    assert f"_ONEIRIC_COMPLETE={name}_complete" in ended.out


def test_another_shell(shell):
    """Which there are is said."""
    ended = shell.spawn("completion", "tcsh")

    assert (ended.code, ended.out) == (2, "")
    assert "'bash', 'zsh', 'fish'" in ended.err


def _on_path(folder):
    folder.write("bin/oneiric", f'#!/bin/sh\nexec {sys.executable} -P -m oneiric "$@"\n').chmod(0o755)
    return folder.environment | {"PATH": f"{folder.path / 'bin'}:{os.environ['PATH']}"}


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_itself(seen):
    """The script in a real bash, asked as the TAB key asks."""
    script = """
    eval "$(oneiric completion bash)"
    COMP_WORDS=(oneiric explain service ma)
    COMP_CWORD=3
    _oneiric_completion oneiric ma service
    printf '%s\\n' "${COMPREPLY[@]}"
    complete -p oneiric
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=_on_path(seen), cwd=seen.path, capture_output=True, text=True
    )

    assert (done.stderr, done.stdout.splitlines()[0]) == ("", "mail")
    assert done.stdout.splitlines()[1].startswith("complete ")


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_words_for_other_shells(seen, name):
    """Each is answered in its form."""
    words = {"COMP_WORDS": "oneiric explain service", "COMP_CWORD": "3"} | (
        {"COMP_CWORD": "ma"} if name == "fish" else {"COMP_WORDS": "oneiric explain service ma"}
    )
    out = seen.spawn(_ONEIRIC_COMPLETE=f"{name}_complete", **words).out

    assert out == {"zsh": "plain\nmail\n_\n", "fish": "plain,mail\n"}[name]


@pytest.mark.parametrize("instruction", ["nonsense", "bash_nonsense", "tcsh_complete", "bash_complete"])
def test_a_shell_that_asks_wrongly(shell, instruction):
    """It hears nothing: whatever was said would stand in the middle of what is being typed."""
    ended = shell.spawn(_ONEIRIC_COMPLETE=instruction)

    assert (ended.code, ended.out, ended.err) == (1, "", "")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_reads_it(seen):
    """The script has no error of syntax."""
    file = seen.path / "script.zsh"
    file.write_text(seen.spawn("completion", "zsh").out)

    assert subprocess.run(["zsh", "-n", file], check=False).returncode == 0


def test_help_says_how_to_install_it(folder):
    """A line for each shell, as it is to be pasted."""
    out = folder.run("completion", "--help").out

    assert "oneiric completion bash > ~/.local/share/bash-completion/completions/oneiric\n" in out
    assert "oneiric completion fish > ~/.config/fish/completions/oneiric.fish\n" in out
    assert Path(index.__file__).is_file()
