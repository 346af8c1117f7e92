"""``action:data.transform``: choose, leave out, rename and fill in, in this order.

Paths have dots between the names of tables, and lead through tables only: a list is one value.  Everything is taken out
before anything is put back, so two names can change places.  What would be overwritten is an error, and nothing is lost
silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, Problem, hookimpl

from oneiric.plugins._paths import MISSING, parse, shown
from oneiric.plugins._requests import unfit, unfit_all
from oneiric.plugins._walk import MAX_DEPTH, Unwalkable, measure

KEY = "data.transform"
Path = tuple[str, ...]


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How strict, and how much.

    Args:
        missing: What it means that ``include`` or ``rename`` names what is not there, where a request does not say.
        max_depth: How many tables and lists may stand in one another.
        max_values: How many values there may be, tables and lists counted too.
        max_paths: How many paths a request may name, all together.
    """

    missing: Literal["ignore", "error"] = "ignore"
    max_depth: int = attrs.field(default=64, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=1_000_000, validator=ge(1))
    max_paths: int = attrs.field(default=1000, validator=[ge(1), le(10_000)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to make of which data.

    Args:
        data: A table.
        include: Only this is kept, with all that is below; None keeps everything.
        exclude: This is left out of it.
        rename: The new path of each old one; a new one may lead into tables that are not there yet.
        defaults: What is put where nothing is then, by path; null counts as something.
        missing: None is as the settings say.
    """

    data: dict[str, Any]
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = attrs.field(factory=dict)
    defaults: dict[str, Any] = attrs.field(factory=dict)
    missing: Literal["ignore", "error"] | None = None


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was made.

    Args:
        data: The new table.
        missing: Paths of ``include`` and ``rename`` at which there was nothing.
    """

    data: dict[str, Any]
    missing: tuple[str, ...]


async def run(request: Request, settings: Settings) -> Result:
    """Make it.  Raises: ActionError, with everything that is wrong."""
    _measure(request, settings)
    problems: list[Problem] = []
    include = _parsed("include", request.include or (), problems)
    exclude = _parsed("exclude", request.exclude, problems)
    old = _parsed("rename", request.rename, problems, keys=True)
    new = _parsed("rename", request.rename.values(), problems, keys=True, names=list(request.rename))
    filled = _parsed("defaults", request.defaults, problems, keys=True)
    if problems:
        raise unfit_all(KEY, problems)
    missing: list[str] = []
    data = _copy(request.data)
    if request.include is not None:
        data = _included(data, include, missing)
    for path in exclude:
        _take(data, path)
    data = _renamed(data, list(zip(old, new, strict=True)), missing, problems)
    for path, value in zip(filled, request.defaults.values(), strict=True):
        if _find(data, path) is MISSING and not _put(data, path, _copy(value)):
            problems.append(Problem(f"defaults.{_as_key(path)}", "leads through what is no table"))
    if (request.missing or settings.missing) == "error":
        problems += [Problem("data", f"there is nothing at {path}") for path in missing]
    if problems:
        raise unfit_all(KEY, problems)
    return Result(data, tuple(dict.fromkeys(missing)))


def _measure(request: Request, settings: Settings) -> None:
    for field in ("data", "defaults"):
        try:
            measure(getattr(request, field), depth=settings.max_depth, values=settings.max_values, at=field)
        except Unwalkable as error:
            raise unfit(KEY, error.path, str(error)) from None
    for field in ("include", "exclude", "rename", "defaults"):
        if (count := len(getattr(request, field) or ())) > settings.max_paths:
            message = f"names {count:,} paths, and {settings.max_paths:,} are allowed"
            raise unfit(KEY, field, message, setting="max_paths")


def _parsed(
    field: str,
    texts: Iterable[str],
    problems: list[Problem],
    *,
    keys: bool = False,
    names: list[str] | None = None,
) -> list[Path]:
    found = []
    for place, text in enumerate(texts):
        try:
            found.append(parse(text))
        except ValueError as error:
            name = text if names is None else names[place]
            problems.append(Problem(f"{field}.{name[:80]}" if keys else f"{field}[{place}]", str(error)))
    return found


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def _find(data: Any, path: Path) -> Any:
    """As ``_paths.find``, through tables only."""
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return MISSING
        data = data[part]
    return data


def _put(data: dict[str, Any], path: Path, value: Any) -> bool:
    """Put *value* at *path*, where nothing is; False where the path leads through what is no table."""
    *tables, name = path
    table: Any = data
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            return False
    table[name] = value
    return True


def _take(data: dict[str, Any], path: Path) -> Any:
    table = _find(data, path[:-1])
    return table.pop(path[-1], MISSING) if isinstance(table, dict) else MISSING


def _included(data: dict[str, Any], paths: list[Path], missing: list[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    # Shorter ones first: what is below them has come along already.
    for path in sorted(paths, key=len):
        value = _find(data, path)
        if value is MISSING:
            missing.append(shown(path))
        elif _find(kept, path) is MISSING:
            _put(kept, path, value)
    return _ordered(kept, data)


def _ordered(kept: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """*kept*, its names in the order they have in *data*."""
    return {
        name: _ordered(kept[name], item) if isinstance(item, dict) else kept[name]
        for name, item in data.items()
        if name in kept
    }


def _renamed(
    data: dict[str, Any], pairs: list[tuple[Path, Path]], missing: list[str], problems: list[Problem]
) -> dict[str, Any]:
    olds, news = {old for old, _ in pairs}, {new for _, new in pairs}
    for old, new in pairs:
        path = f"rename.{_as_key(old)}"
        if above := _above(old, olds):
            problems.append(Problem(path, f"is below {shown(above)}, which is renamed too"))
        if above := _above(new, news):
            problems.append(Problem(path, f"{shown(new)} is below {shown(above)}, which is a new name too"))
    if problems:
        return data
    taken = []
    for old, new in pairs:
        value = _take(data, old)
        if value is MISSING:
            missing.append(shown(old))
        else:
            taken.append((old, new, value))
    for old, new, value in taken:
        path = f"rename.{_as_key(old)}"
        if _find(data, new) is not MISSING:
            problems.append(Problem(path, f"there is something at {shown(new)} already"))
        elif not _put(data, new, value):
            problems.append(Problem(path, f"{shown(new)} leads through what is no table"))
    return data


def _above(path: Path, others: set[Path]) -> Path | None:
    """The one of *others* that is a table around *path*."""
    return next((path[:end] for end in range(1, len(path)) if path[:end] in others), None)


def _as_key(path: Path) -> str:
    text = shown(path)
    return text if "." not in text and '"' not in text else '"' + text.replace('"', '\\"') + '"'


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Choose, leave out, rename and fill in data",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
