"""Rules about the classes that plain data is structured into: settings, and what actions take and give."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
from oneiric_hookspecs import Action, Key, OneiricError, Secret, SettingsError

from .kit import Kit
from .outcome import Broken, Skip
from .places import of_field, where
from .running import run


@attrs.frozen
class Shape:
    """A class of the kit that plain data is structured into.

    Args:
        cls: The class.
        whose: What it belongs to, for messages.
        table: What the kit is tested with; None where nothing was given.
    """

    cls: Any
    whose: str
    table: Mapping[str, Any] | None = None

    def sample(self) -> dict[str, Any] | None:
        """Plain data that it takes; None where nobody can guess any."""
        from oneiric.settings import structure

        table = dict(self.table or {})
        for field in attrs.fields(self.cls):
            name = field.alias or field.name
            if field.init and field.default is attrs.NOTHING and name not in table:
                if (guess := _guess(field.type)) is None:
                    return None
                table[name] = guess
        try:
            structure(self.cls, table, "")
        except SettingsError:
            return None
        return table


def settings_of(kit: Kit) -> list[Shape]:
    """The settings classes of the kit, each once."""
    found: dict[type, Shape] = {}
    for candidate in kit.registered.candidates:
        if candidate.settings_class is not None:
            table = kit.registered.tables[candidate.key, candidate.provider]
            shape = Shape(candidate.settings_class, f"{candidate.key} {candidate.provider}", table)
            before = found.get(candidate.settings_class)
            if before is None or before.table is None:
                found[candidate.settings_class] = shape
    of_plugin = inspect.getattr_static(kit.plugin, "Settings", None) if inspect.isclass(kit.plugin) else None
    if of_plugin is not None and attrs.has(of_plugin):
        table = kit.settings.get("plugins", {}).get("settings", {}).get(kit.name)
        found[of_plugin] = Shape(of_plugin, f"the plugin {kit.name}", table)
    return list(found.values())


def requests_of(kit: Kit) -> list[Shape]:
    """What the actions of the kit take."""
    return [Shape(action.takes, f"the request of {action.name}") for action in kit.actions]


# --- strictness ----------------------------------------------------------------------------------------------------


def settings_are_strict(kit: Kit) -> Iterator[Broken]:
    """Settings come back from plain data as they were, defaults fit their types, and nothing passes unread."""
    shapes = settings_of(kit)
    if not shapes:
        raise Skip("it has no settings")
    for shape in shapes:
        yield from _typed(shape)
        yield from _defaults(shape)
        yield from _round_trip(shape)


def _typed(shape: Shape) -> Iterator[Broken]:
    from oneiric.settings import structure

    for field in attrs.fields(shape.cls):
        if field.init and field.type is None:
            yield Broken(
                f"{shape.cls.__name__}.{field.name} of {shape.whose} has no type, so anything passes",
                of_field(shape.cls, field.name),
                "annotate it",
            )
    sample = shape.sample()
    if sample is None:
        return
    for wrong in ({"no_such_key": 1}, *_wrong(shape.cls)):
        try:
            structure(shape.cls, {**sample, **wrong}, "")
        except SettingsError:
            continue
        name = next(iter(wrong))
        yield Broken(
            f"{shape.cls.__name__} of {shape.whose} takes {name} = {wrong[name]!r}",
            of_field(shape.cls, name),
            "let its annotation say what it takes",
        )


def _wrong(cls: Any) -> Iterator[dict[str, Any]]:
    """A value for each field of a plain type that is not of it."""
    wrong = {int: True, float: True, bool: 1, str: 5}
    for field in attrs.fields(cls):
        arms = [each for each in _arms(field.type) if each is not types.NoneType]
        if field.init and len(arms) == 1 and arms[0] in wrong:
            yield {field.alias or field.name: wrong[arms[0]]}


def _defaults(shape: Shape) -> Iterator[Broken]:
    for field in attrs.fields(shape.cls):
        if isinstance(field.default, (list, dict, set, bytearray)):
            kind = type(field.default).__name__
            yield Broken(
                f"the default of {shape.cls.__name__}.{field.name} of {shape.whose} is one {kind} for all",
                of_field(shape.cls, field.name),
                f"attrs.field(factory={kind}), or a value that does not change",
            )


def _round_trip(shape: Shape) -> Iterator[Broken]:
    from oneiric.settings import structure

    place = where(shape.cls)
    if shape.table is None and _required(shape.cls):
        table = shape.sample()
        if table is None:
            return  # nobody gave values; the candidate's own rules say which are missing
    else:
        table = dict(shape.table or {})
    try:
        one = structure(shape.cls, table, "")
    except SettingsError as error:
        problem = error.problems[0]
        hint = problem.hint or "a default has to pass the validators too"
        yield Broken(
            f"{shape.cls.__name__} of {shape.whose} cannot be made: {problem.path or 'it'}: {problem.message}",
            of_field(shape.cls, problem.path) if problem.path else place,
            hint,
        )
        return
    written = plain(one)
    try:
        again = structure(shape.cls, written, "")
    except SettingsError as error:
        for problem in error.problems:
            yield Broken(
                f"{shape.cls.__name__}.{problem.path} of {shape.whose} does not take its own value: {problem.message}",
                of_field(shape.cls, problem.path),
                problem.hint or "its default and its type do not agree",
            )
        return
    if again != one:
        yield Broken(
            f"{shape.cls.__name__} of {shape.whose} made twice from the same data is not equal",
            place,
            "let attrs compare it; unequal settings look changed, and what was built from them is built anew",
        )


def _required(cls: Any) -> list[str]:
    return [
        each.alias or each.name for each in attrs.fields(cls) if each.init and each.default is attrs.NOTHING
    ]


# --- schemas -------------------------------------------------------------------------------------------------------


def schemas_can_be_made(kit: Kit) -> Iterator[Broken]:
    """A JSON Schema can be made of every settings class, and of what every action takes and gives."""
    shapes = settings_of(kit) + requests_of(kit)
    for action in kit.actions:
        if action.returns is not None:
            shapes.append(Shape(action.returns, f"the result of {action.name}"))
        if action.settings is not None:
            shapes.append(Shape(action.settings, f"the settings of {action.name}"))
    if not shapes:
        raise Skip("it has neither settings nor actions")
    seen: set[type] = set()
    with kit.assembled() as runtime:
        for shape in shapes:
            if shape.cls in seen:
                continue
            seen.add(shape.cls)
            try:
                runtime.schema(shape.cls)
                for field in attrs.fields(shape.cls):
                    yield from _fillable(runtime, shape, field)
            except Exception as error:
                said = (str(error) or type(error).__name__).splitlines()[0][:200]
                yield Broken(
                    f"no JSON Schema can be made of {shape.cls.__name__}, {shape.whose}: {said}",
                    where(shape.cls),
                    "annotate its fields with what TOML and JSON can hold",
                )


def _fillable(runtime: Any, shape: Shape, field: attrs.Attribute[Any]) -> Iterator[Broken]:
    """No arm of its type is one that plain data never becomes."""
    for arm in _arms(field.type) if field.init and field.type is not None else ():
        schema = runtime.schema(arm)
        if schema.get("not") == {}:
            yield Broken(
                f"{shape.cls.__name__}.{field.name} of {shape.whose} is a {getattr(arm, '__name__', arm)}, "
                "which plain data never becomes",
                of_field(shape.cls, field.name),
                "annotate it with what TOML and JSON can hold; or keep it out: attrs.field(init=False)",
            )


# --- secrets -------------------------------------------------------------------------------------------------------

_CANARY = "canary-8f21-do-not-show"
_SECRETIVE = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "credentials",
)


def secrets_stay_hidden(kit: Kit) -> Iterator[Broken]:
    """No secret shows in the representation of settings or requests."""
    settings = settings_of(kit)
    shapes = settings + requests_of(kit)
    if not shapes:
        raise Skip("it has neither settings nor actions")
    for shape in shapes:
        for field in attrs.fields(shape.cls):
            name, arms = field.alias or field.name, _arms(field.type)
            if Secret in arms:
                yield from _shown(shape, name)
            elif shape not in settings:
                continue  # requests have tokens that are no secret, such as the next page's
            elif str in arms and field.repr and name.lower().endswith(_SECRETIVE):
                yield Broken(
                    f"{shape.cls.__name__}.{name} of {shape.whose} is a text, and shows itself",
                    of_field(shape.cls, field.name),
                    "annotate it with oneiric_hookspecs.Secret; or keep it out of repr: attrs.field(repr=False)",
                )


def _shown(shape: Shape, name: str) -> Iterator[Broken]:
    from oneiric.settings import structure

    sample = shape.sample()
    if sample is None:
        return
    try:
        one = structure(shape.cls, {**sample, name: _CANARY}, "")
    except SettingsError as error:
        shown, how = str(error), "an error about it"
    else:
        shown, how = f"{one!r} {one}", "its repr"
    if _CANARY in shown:
        yield Broken(
            f"{shape.cls.__name__}.{name} of {shape.whose} shows in {how}",
            of_field(shape.cls, name),
            "leave it a Secret: no converter that reveals it, no repr of your own that does",
        )


# --- actions -------------------------------------------------------------------------------------------------------


def actions_refuse_bad_requests(kit: Kit) -> Iterator[Broken]:
    """A request that does not fit is refused before the action runs."""
    if not kit.actions:
        raise Skip("it has no actions")
    for action in kit.actions:
        yield from _typed(Shape(action.takes, f"the request of {action.name}"))
        yield from _runs(action)
        yield from _refuses(kit, action)


#: Requests that no action takes.
_UNFIT: tuple[Any, ...] = ({"no_such_field": 1}, [], "text", 5)


def _runs(action: Action) -> Iterator[Broken]:
    try:
        inspect.signature(action.run).bind(None, None)
    except TypeError:
        yield Broken(
            f"{action.name} is not run by run(request, settings), but {inspect.signature(action.run)}",
            where(action.run),
            "take the request, and the settings, which are None where it has none",
        )
    except ValueError:
        return  # it is written in C, and does not tell


def _refuses(kit: Kit, action: Action) -> Iterator[Broken]:
    accepted: list[Any] = []

    with kit.assembled() as runtime:
        winner = runtime.explain("action", action.name, provider=None).winner
        if winner is None or (action.settings is not None and _required(action.settings)):
            return

        async def main() -> None:
            async with runtime:
                for request in _UNFIT:
                    try:
                        await runtime.call("action", action.name, request)
                    except OneiricError:
                        continue
                    accepted.append(request)

        run(kit, main)
    for request in accepted:
        yield Broken(f"{action.name} takes {request!r}", where(action.run), "let its class say what it takes")


# --- plain data ----------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """*value* as TOML or JSON would hold it."""
    if attrs.has(type(value)):
        return {
            each.alias or each.name: plain(getattr(value, each.name))
            for each in attrs.fields(type(value))
            if each.init
        }
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, (Path, Key)):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    return value


def _arms(kind: Any) -> tuple[Any, ...]:
    """The types that a field may have."""
    if get_origin(kind) is typing.Annotated:
        return _arms(get_args(kind)[0])
    if get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(arm for each in get_args(kind) for arm in _arms(each))
    return (kind,)


def _guess(kind: Any) -> Any:
    """A value for a field that has no default; None where nobody can guess one."""
    guesses: dict[Any, Any] = {
        str: "sample",
        int: 1,
        float: 1.0,
        bool: False,
        Secret: "sample",
        Path: "sample",
        Any: "sample",
    }
    for arm in _arms(kind):
        if get_origin(arm) is Literal:
            return get_args(arm)[0]
        if isinstance(arm, type) and issubclass(arm, enum.Enum):
            return next(iter(arm)).value
        if arm in guesses:
            return guesses[arm]
        if get_origin(arm) in (list, tuple, set, frozenset):
            return []
        if get_origin(arm) is dict:
            return {}
    return None
