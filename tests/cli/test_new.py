"""``oneiric new``: a folder that is written whole, or not at all."""

import os
import stat
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneiric import assemble
from oneiric.cli.new.names import LONGEST, better
from oneiric.cli.new.plugin import EXAMPLES

#: Well-known keys for which there is no template.
TEMPLATELESS = {
    key: contract
    for key, contract in assemble({}, environment=False).snapshot.domains["adapter"].categories.items()
    if f"adapter.{key}" not in EXAMPLES
}
#: A process whose files have a limit, as those on a full disk.
LIMITED = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)); "
    "from oneiric.cli import main; main(sys.argv[1:])"
)
FILES = [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "oneiric_green_tea/__init__.py",
    "oneiric_green_tea/py.typed",
    "pyproject.toml",
    "tests/test_green_tea.py",
]


def tree(path):
    """Every file below *path*, hidden ones too."""
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def test_a_plugin_is_a_folder_like_every_other(folder):
    """It has the files of a kit and no other, and what comes next is said."""
    ended = folder.run("new", "plugin", "green-tea")

    assert (ended.code, ended.err, ended.out.splitlines()) == (
        0,
        "",
        [
            "wrote oneiric-green-tea",
            *(f"  {name}" for name in FILES),
            "next:",
            "  cd oneiric-green-tea",
            "  pip install -e '.[test]'",
            "  pytest",
        ],
    )
    assert tree(folder.path) == [f"oneiric-green-tea/{name}" for name in FILES]


def test_an_application_is_a_folder_that_runs(folder):
    """Settings, a plugin of its own, a program, a test."""
    ended = folder.run("new", "app", "tea-shop", "--json")

    assert ended.json == {
        "schema": "oneiric/new/1",
        "kind": "app",
        "name": "tea-shop",
        "folder": "tea-shop",
        "files": ["README.md", "main.py", "oneiric.toml", "tea_shop.py", "test_tea_shop.py"],
        "next": ["cd tea-shop", "oneiric list", "python main.py"],
        "written": True,
        "warnings": [],
    }
    assert tree(folder.path / "tea-shop") == ended.json["files"]
    explained = folder.run("-c", "tea-shop/oneiric.toml", "explain", "service", "greeter")
    assert explained.out.startswith("service:greeter is filled by tea-shop: the only candidate")


def test_a_plugin_goes_where_it_is_told(folder):
    """``--path`` is the folder itself, which need not be called like the distribution."""
    (folder.path / "contrib").mkdir()

    ended = folder.run(
        "new", "plugin", "tea", "--domain", "services", "--key", "kettle", "--path", "contrib/tea"
    )

    assert (ended.code, "  cd contrib/tea" in ended.out) == (0, True)
    text = (folder.path / "contrib/tea/oneiric_tea/__init__.py").read_text()
    assert 'Key.of("service", "kettle")' in text
    assert "[services.settings.kettle.tea]" in text


@pytest.mark.parametrize("words", [["test"], ["tea", "--key", "cache.test"], ["tea", "--domain", "service", "--key", "test"]], ids=" ".join)  # fmt: skip
def test_a_key_that_is_called_like_a_file_of_ours_is_one_like_every_other(words, folder):
    """The test of a template is no template."""
    ended = folder.run("new", "plugin", *words)

    assert (ended.code, ended.err) == (0, "")
    assert [each for each in tree(folder.path) if each.endswith(".test")] == []


def test_a_dry_run_writes_nothing(folder):
    """It says what would be written, and exits with 10."""
    ended = folder.run("new", "plugin", "green-tea", "--dry-run")

    assert (ended.code, ended.out.splitlines()) == (
        10,
        ["would write oneiric-green-tea", *(f"  {name}" for name in FILES)],
    )
    assert tree(folder.path) == []


def test_it_is_open_to_whom_the_umask_says(folder):
    """As a folder that is made by hand."""
    before = os.umask(0o027)
    try:
        ended = folder.run("new", "plugin", "green-tea")
    finally:
        os.umask(before)

    made = folder.path / "oneiric-green-tea"
    assert (ended.code, stat.S_IMODE(made.stat().st_mode)) == (0, 0o750)
    assert stat.S_IMODE((made / "pyproject.toml").stat().st_mode) == 0o640


def test_it_fills_the_folder_in_which_it_is_called(folder):
    """It may be there, if it is empty, and stays the same one, so the shell is still in it."""
    ended = folder.run("new", "app", "tea-shop", "--path", ".")

    assert (ended.code, folder.path.samefile(Path.cwd())) == (0, True)
    assert tree(folder.path) == ["README.md", "main.py", "oneiric.toml", "tea_shop.py", "test_tea_shop.py"]
    assert sorted(each.name for each in folder.path.iterdir()) == tree(folder.path)
    assert ended.out.splitlines()[-3:] == ["next:", "  oneiric list", "  python main.py"]


def occupied(folder):
    folder.write("oneiric-green-tea/notes.txt", "mine")


def a_file(folder):
    folder.write("oneiric-green-tea", "mine")


def a_link(folder):
    (folder.path / "oneiric-green-tea").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (occupied, "oneiric-green-tea is there, and not empty"),
        (a_file, "oneiric-green-tea is there, and no folder"),
        (a_link, "oneiric-green-tea is there, and no folder"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["really", "dry"])
def test_what_is_there_stays_as_it_is(prepare, said, dry, folder):
    """Nothing of the user's is overwritten, or added to."""
    prepare(folder)
    before = {each: each.read_bytes() for each in folder.path.rglob("*") if each.is_file()}

    ended = folder.run("new", "plugin", "green-tea", *dry)

    assert (ended.code, ended.out, ended.err.splitlines()[0]) == (4, "", f"error: {said}")
    assert {each: each.read_bytes() for each in folder.path.rglob("*") if each.is_file()} == before


def test_there_must_be_a_place_for_it(folder):
    """No folders are made above it."""
    ended = folder.run("new", "app", "tea-shop", "--path", "not/there")

    assert (ended.code, ended.err.splitlines()) == (
        4,
        [f"error: there is no folder {folder.path / 'not'}", "  make it first"],
    )


def test_no_permission_is_said(folder):
    """In a sentence; /proc takes no folders from anybody."""
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc on this system")

    ended = folder.run("new", "app", "tea-shop", "--path", "/proc/shop")

    assert (ended.code, ended.out, ended.err.splitlines()[0][:20]) == (4, "", "error: cannot write ")


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_a_disk_that_is_full_leaves_nothing(there, folder):
    """Files may be no larger than half a kilobyte: what was begun is gone again."""
    if there:
        (folder.path / "oneiric-green-tea").mkdir()
    limited = [sys.executable, "-P", "-B", "-c", LIMITED, *folder.command("new", "plugin", "green-tea")[4:]]
    done = subprocess.run(
        limited, cwd=folder.path, env=folder.environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, tree(folder.path)) == (4, "", [])
    assert done.stderr.splitlines() == [
        "error: cannot write oneiric-green-tea: File too large",
        "  nothing was written",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["plugin", "Green_Tea"], 2, "'Green_Tea' is no name of a plugin: did you mean green-tea?"),
        (["plugin", "greenTea"], 2, "'greenTea' is no name of a plugin: did you mean green-tea?"),
        (["plugin", "oneiric-tea"], 2, "'oneiric-tea' is no name of a plugin: did you mean tea? oneiric- is put before it"),
        (["plugin", "../tea"], 2, "'../tea' is no name of a plugin: did you mean tea?"),
        (["plugin", "茶"], 2, "'茶' is no name of a plugin: it is made of lower-case letters, digits and single hyphens, a letter first, at most 24"),
        (["app", "1shop"], 2, "'1shop' is no name of an application: did you mean shop?"),
        (["app", ""], 2, "'' is no name of an application: it is made of lower-case letters, digits and single hyphens, a letter first, at most 24"),
        (["app", "class"], 4, "the name class is taken: class is a keyword of Python"),
        (["app", "json"], 4, "the name json is taken: Python has a module json"),
        (["app", "main"], 4, "the name main is taken: the application has a module main already"),
        (["plugin", "probes"], 4, "the name probes is taken: a built-in plugin has it"),
        (["plugin", "tea", "--domain", "adaptr"], 3, "there is no domain adaptr"),
        (["plugin", "tea", "--key", "a__b"], 2, "'a__b' is not a key: a key is made of lower-case letters, digits and . _ - (at most 128, a letter or digit first, no '__')"),
    ],
    ids=lambda value: "-".join(value).encode("ascii", "replace").decode() if isinstance(value, list) else "",
)  # fmt: skip
def test_a_name_that_will_not_do(words, code, said, folder):
    """It says why, and which one would do."""
    ended = folder.run("new", *words)

    assert (ended.code, ended.out, ended.err.splitlines()[0]) == (code, "", f"error: {said}")
    assert tree(folder.path) == []


@pytest.mark.parametrize("key", sorted(TEMPLATELESS), ids=str)
def test_no_part_is_written_that_breaks_its_contract(key, folder):
    """A key whose contract no template satisfies is refused, with what to do."""
    ended = folder.run("new", "plugin", "tea", "--key", key)

    name = TEMPLATELESS[key].__name__
    assert (ended.code, ended.err.splitlines()[0]) == (
        3,
        f"error: there is nothing to begin with for adapter:{key}, whose contract is {name}",
    )


def test_what_is_installed_has_its_name(folder):
    """A second distribution of one name could not be installed beside the first, nor a plugin of one name be told from it."""
    folder.distribution("oneiric-tea", version="2.0")
    folder.distribution("tea-things", oneiric={"coffee": "tea_things"})

    found = [folder.spawn("new", "plugin", name) for name in ("tea", "coffee", "hookspecs")]

    assert [(each.code, each.err.splitlines()[0]) for each in found] == [
        (4, "error: the name tea is taken: oneiric-tea 2.0 is installed"),
        (4, "error: the name coffee is taken: the plugin of tea-things, which is installed, has it"),
        (4, "error: the name hookspecs is taken: oneiric-hookspecs 1.0.0 is installed"),
    ]


def test_an_application_is_not_hidden_by_what_is_installed(folder):
    """A module of that name would be imported in its place."""
    ended = folder.run("new", "app", "cattrs")

    assert (ended.code, ended.err.startswith("error: the name cattrs is taken: ")) == (4, True)


def test_settings_that_are_wrong_are_no_obstacle(folder):
    """What is written depends on nothing that is here."""
    folder.write("oneiric.toml", "this is no TOML")

    assert folder.run("new", "plugin", "tea").code == 0


@given(st.text(alphabet=string.printable + "äß茶", max_size=60))
def test_what_is_proposed_is_taken(name):
    """Whatever was typed, the name that was meant is one that works."""
    good = better(name, "oneiric-")

    assert better(good, "oneiric-") == good
    assert not good.startswith("oneiric-")
    assert len(good) <= LONGEST
    assert good == "" or set(good) <= set(string.ascii_lowercase + string.digits + "-")
