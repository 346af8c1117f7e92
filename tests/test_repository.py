"""The repository keeps its own rules: names, folders, requirements, floors."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
KITS = sorted(path.parent for path in ROOT.glob("contrib/*/pyproject.toml"))
every_kit = pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)


def metadata(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def not_generated(folder: Path) -> set[str]:
    return {
        path.name
        for path in folder.iterdir()
        if path.name not in {"build", "dist", "__pycache__"}
        and not path.name.startswith(".")
        and path.suffix != ".egg-info"
    }


# Rules: each takes a folder and returns what is wrong with it -----------------------------------------------------


def misspellings(kit: Path) -> list[str]:
    """One name, spelled four ways: folder, distribution, import, entry point."""
    about = metadata(kit)["project"]
    module = f"oneiric_{kit.name.replace('-', '_')}"
    target = about.get("entry-points", {}).get("oneiric", {}).get(kit.name, "")
    return [
        complaint
        for wrong, complaint in [
            (kit.name != canonicalize_name(kit.name), f"folder {kit.name} is not in normal form"),
            (about["name"] != f"oneiric-{kit.name}", f"distribution {about['name']}"),
            (not (kit / module / "__init__.py").is_file(), f"no package {module}"),
            (target.partition(":")[0].partition(".")[0] != module, f"entry point {kit.name} = {target!r}"),
        ]
        if wrong
    ]


def strays(kit: Path) -> list[str]:
    """A kit's folder holds these and no other; what is absent matters."""
    module = f"oneiric_{kit.name.replace('-', '_')}"
    test = f"test_{kit.name.replace('-', '_')}.py"
    expected = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", module, "tests"}
    inside = {f"{module}/__init__.py", f"{module}/py.typed", f"tests/{test}"}
    never = {"tests/__init__.py", "tests/conftest.py"}
    return sorted(
        [f"unexpected {name}" for name in not_generated(kit) - expected]
        + [f"missing {name}" for name in (expected | inside) if not (kit / name).exists()]
        + [f"unexpected {name}" for name in never if (kit / name).exists()]
    )


def kernel_imports(kit: Path) -> list[str]:
    """A kit imports the contract; the kernel is for its tests."""
    return sorted(
        f"{path.relative_to(kit)}:{line} imports {name}"
        for path in kit.glob("oneiric_*/**/*.py")
        for line, name in imports(path)
        if name.split(".")[0] == "oneiric"
    )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def requirements(folder: Path) -> Iterator[Requirement]:
    about = metadata(folder)
    project = about["project"]
    groups = [
        about["build-system"]["requires"],
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *about.get("dependency-groups", {}).values(),
    ]
    yield from (Requirement(line) for group in groups for line in group if isinstance(line, str))


def floorless(folder: Path) -> list[str]:
    """An index has an ``oneiric`` 0.17 that is somebody else's: no requirement of ours may admit it."""
    return [
        str(requirement)
        for requirement in requirements(folder)
        if canonicalize_name(requirement.name).partition("-")[0] == "oneiric"
        and not any(clause.operator == ">=" and clause.version == "1.0" for clause in requirement.specifier)
    ]


def kernel_dependencies(kit: Path) -> list[str]:
    """A kit depends on the contract, in its whole first series, and never on the kernel."""
    lines = [Requirement(line) for line in metadata(kit)["project"].get("dependencies", [])]
    found = {canonicalize_name(line.name): str(line.specifier) for line in lines}
    return [
        complaint
        for wrong, complaint in [
            ("oneiric" in found, "depends on the kernel"),
            (found.get("oneiric-hookspecs") != "<2,>=1.0", "does not depend on oneiric-hookspecs>=1.0,<2"),
        ]
        if wrong
    ]


RULES = [misspellings, strays, kernel_imports, floorless, kernel_dependencies]

# The tree ---------------------------------------------------------------------------------------------------------


@every_kit
@pytest.mark.parametrize("rule", RULES)
def test_kit_keeps_the_rule(rule: Callable[[Path], list[str]], kit: Path) -> None:
    """Every kit is laid out like every other."""
    assert rule(kit) == []


@pytest.mark.parametrize("folder", [ROOT, ROOT / "hookspecs"], ids=["oneiric", "oneiric-hookspecs"])
def test_own_requirements_have_a_floor(folder: Path) -> None:
    """Nobody is handed another project's ``oneiric``."""
    assert floorless(folder) == []


def test_requirements_are_the_folders() -> None:
    """One installer call installs every distribution of the tree, by path."""
    expected = ["-e ./hookspecs", "-e .", *(f"-e ./contrib/{kit.name}" for kit in KITS)]

    assert (ROOT / "requirements.txt").read_text().splitlines() == expected


def test_every_folder_of_contrib_is_a_kit() -> None:
    """A folder without metadata would be neither installed nor tested, and nobody would notice."""
    folders = [path for path in ROOT.glob("contrib/*/") if not_generated(path)]

    assert sorted(folders) == KITS


def test_tests_are_no_package() -> None:
    """Each file is imported by its path; an __init__.py would change what `import` means in it."""
    assert [*ROOT.glob("tests/**/__init__.py"), *ROOT.glob("contrib/*/tests/**/__init__.py")] == []


def test_contract_requires_two_libraries() -> None:
    """A plugin author installs the contract and gets little else."""
    lines = metadata(ROOT / "hookspecs")["project"]["dependencies"]

    assert sorted(Requirement(line).name for line in lines) == ["attrs", "pluggy"]


# The rules themselves, on a sample --------------------------------------------------------------------------------


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    kit = tmp_path / "object-store"
    (kit / "oneiric_object_store").mkdir(parents=True)
    (kit / "tests").mkdir()
    for name in ["README.md", "CHANGELOG.md", "LICENSE", "oneiric_object_store/py.typed"]:
        (kit / name).touch()
    (kit / "oneiric_object_store/__init__.py").write_text("import oneiric_hookspecs\n")
    (kit / "tests/test_object_store.py").write_text("import oneiric\n")
    (kit / "pyproject.toml").write_text(
        """
        build-system.requires = ["setuptools>=77"]
        [project]
        name = "oneiric-object-store"
        dependencies = ["oneiric-hookspecs>=1.0,<2", "minio"]
        optional-dependencies.test = ["oneiric>=1.0"]
        entry-points.oneiric.object-store = "oneiric_object_store:Plugin"
        """
    )
    return kit


@pytest.mark.parametrize("rule", RULES)
def test_rule_accepts_the_sample(rule: Callable[[Path], list[str]], sample: Path) -> None:
    """A kit as it should be is left in peace."""
    assert rule(sample) == []


@pytest.mark.parametrize(
    ("rule", "old", "new", "complaint"),
    [
        (misspellings, 'name = "oneiric-', 'name = "', "distribution object-store"),
        (misspellings, "oneiric.object-store", "oneiric.store", "entry point object-store = ''"),
        (
            misspellings,
            '"oneiric_object',
            '"oneiric_objekt',
            "entry point object-store = 'oneiric_objekt_store:Plugin'",
        ),
        (floorless, "oneiric>=1.0", "oneiric", "oneiric"),
        (floorless, "oneiric>=1.0", "oneiric>=0.1", "oneiric>=0.1"),
        (floorless, "hookspecs>=1.0,<2", "hookspecs", "oneiric-hookspecs"),
        (kernel_dependencies, '"minio"', '"oneiric>=1.0"', "depends on the kernel"),
        (kernel_dependencies, "<2", "<1.1", "does not depend on oneiric-hookspecs>=1.0,<2"),
    ],
)
def test_rule_notices_metadata(
    rule: Callable[[Path], list[str]], old: str, new: str, complaint: str, sample: Path
) -> None:
    """Each way to spell a kit wrong is named."""
    about = sample / "pyproject.toml"
    about.write_text(about.read_text().replace(old, new))

    assert rule(sample) == [complaint]


@pytest.mark.parametrize(
    "name", ["tox.ini", "requirements.txt", "setup.cfg", "tests/conftest.py", "tests/__init__.py"]
)
def test_rule_notices_a_stray(name: str, sample: Path) -> None:
    """One place says how a kit is tested and built."""
    (sample / name).touch()

    assert strays(sample) == [f"unexpected {name}"]


@pytest.mark.parametrize("name", ["LICENSE", "oneiric_object_store/py.typed", "tests/test_object_store.py"])
def test_rule_notices_a_gap(name: str, sample: Path) -> None:
    """A kit without its licence, its types or its test is not finished."""
    (sample / name).unlink()

    assert strays(sample) == [f"missing {name}"]


def test_rule_notices_the_kernel(sample: Path) -> None:
    """A kit that imports the kernel would be tied to each of its releases."""
    (sample / "oneiric_object_store/client.py").write_text("def f():\n    from oneiric.hooks import Relay\n")

    assert kernel_imports(sample) == ["oneiric_object_store/client.py:2 imports oneiric.hooks"]


# Interpreters -----------------------------------------------------------------------------------------------------


def test_toxfile_adds_what_pyenv_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters that are installed but not switched on are found, after those that are."""
    (tmp_path / "versions/3.12.1/bin").mkdir(parents=True)
    (tmp_path / "versions/2.7.18/bin").mkdir(parents=True)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/first")

    runpy.run_path(str(ROOT / "toxfile.py"))

    assert os.environ["PATH"].split(os.pathsep) == ["/first", str(tmp_path / "versions/3.12.1/bin")]


def test_toxfile_finds_every_installed_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this very machine no version that is installed is skipped."""
    installed = sorted(
        Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob("versions/3.*/bin/python3.[0-9]*")
    )
    names = {path.name for path in installed if path.name.removeprefix("python3.").isdigit()}
    if not names:
        pytest.skip("no interpreter of pyenv on this machine")
    monkeypatch.setenv("PATH", "/nowhere")

    runpy.run_path(str(ROOT / "toxfile.py"))

    assert {name for name in names if shutil.which(name) is None} == set()


# Floors -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The packages and the contracts, where a break may be planted."""
    litter = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in ["oneiric", "hookspecs/oneiric_hookspecs"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=litter)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    command = shutil.which(
        "lint-imports", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if command is None:
        pytest.skip("import-linter is not installed: pip install import-linter")
    path = os.pathsep.join([str(tree), str(tree / "hookspecs")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
    outcome = subprocess.run(
        [command, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    outcome.stdout = re.sub(r"\x1b\[[0-9;]*m", "", outcome.stdout)  # tox asks every tool for colours
    return outcome


def plant(tree: Path, module: str, statement: str) -> None:
    """Add *statement* to *module*, which need not exist and may be a package."""
    path = tree / (module.replace(".", "/") + ".py")
    package = path.with_suffix("") / "__init__.py"
    path = package if package.is_file() else path
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    with path.open("a") as file:
        file.write(f"\n{statement}\n")


def test_floors_hold(tree: Path) -> None:
    """The architecture on paper is the one in the code."""
    outcome = lint_imports(tree)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract", "named"),
    [
        ("oneiric.registry", "import oneiric.plugins", "The kernel knows no plugin", "oneiric.registry"),
        ("oneiric.cli", "import oneiric.plugins", "The kernel knows no plugin", "oneiric.cli"),
        ("oneiric.registry", "import oneiric.resolution", "Imports descend", "oneiric.registry -> oneiric.resolution"),
        ("oneiric.swap", "import oneiric.remote", "Imports descend", "oneiric.swap -> oneiric.remote"),
        ("oneiric.remote", "import oneiric.swap", "Imports descend", "oneiric.remote -> oneiric.swap"),
        ("oneiric.remote", "import oneiric.activation", "What comes from outside", "oneiric.remote -> oneiric.activation"),
        ("oneiric.clock", "import oneiric.settings", "Imports descend", "oneiric.clock -> oneiric.settings"),
        ("oneiric.planted", "", "Imports descend", "oneiric.planted"),
        ("oneiric.plugins.planted", "import oneiric.clock", "Imports descend", "oneiric.plugins.planted -> oneiric.clock"),
        ("oneiric.plugins.planted", "import oneiric", "The lazy face", "oneiric.plugins.planted -> oneiric"),
        ("oneiric_hookspecs.planted", "import oneiric.clock", "The contract knows nobody", "oneiric_hookspecs.planted -> oneiric.clock"),
    ],
)  # fmt: skip
def test_floors_refuse(module: str, statement: str, contract: str, named: str, tree: Path) -> None:
    """An import that climbs is refused, by the name of the floor and of the module."""
    for target in ["oneiric.plugins", "oneiric.settings", *statement.split()[1:]]:
        if target != "oneiric":
            plant(tree, target, "")
    folder, _, _ = module.partition(".")
    plant(tree / "hookspecs" if folder == "oneiric_hookspecs" else tree, module, statement)

    outcome = lint_imports(tree)

    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    broken = [line for line in outcome.stdout.splitlines() if line.rstrip().endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), outcome.stdout
    assert named in outcome.stdout
