"""``action:serialization.encode``: plain data to a text, and back.

JSON and TOML, and where their libraries are installed YAML (pyyaml) and MessagePack (msgpack).  Only plain data come
out: no format here can name a class or run code.  YAML's anchors are refused, since a few lines of them mean gigabytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import attrs
from attrs.validators import ge, in_, le, optional
from oneiric_hookspecs import Action, ActionError, hookimpl

from oneiric.plugins._json import no_constant, once
from oneiric.plugins._requests import (
    allowed,
    encoded,
    given_bytes,
    only_for,
    some_of,
    unfit,
    utf8,
    within,
)
from oneiric.plugins._walk import MAX_DEPTH, Unwalkable, measure

KEY = "serialization.encode"
Format = Literal["json", "toml", "yaml", "msgpack"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Bytes of YAML that are read: its parser takes some seconds for each MiB.
YAML_BYTES = 1024 * 1024


@attrs.frozen(eq=False, repr=False)
class Settings:
    """Which formats, and how much.

    Args:
        format: Where a request names none.
        formats: Those that a request may name.
        roots: Folders whose files a request may name to be decoded; links that lead out of them are not followed.
            Relative ones count from the working directory.
        max_bytes: Bytes that the encoded form may have.
        max_depth: How many tables and lists may stand in one another.
        max_values: How many values there may be, tables and lists counted too.
    """

    format: Format = "json"
    formats: tuple[Format, ...] = attrs.field(default=FORMATS, validator=some_of(FORMATS))
    roots: tuple[Path, ...] = ()
    max_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=[ge(1), le(1024**3)])
    max_depth: int = attrs.field(default=64, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=1_000_000, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to do with what.

    Args:
        operation: Whether to encode ``data``, or to decode one of ``text``, ``base64`` and ``path``.
        format: None is the one of the settings.
        data: Plain data, to be encoded.
        text: What is to be decoded.
        base64: The same, in base64; so is MessagePack.
        path: The same, in a file in one of the folders of the settings.
        indent: Spaces for each level of JSON; None is one line.
        sort_keys: Whether names are sorted; they keep their order otherwise.
    """

    operation: Literal["encode", "decode"] = "encode"
    format: Format | None = None
    data: Any = None
    text: str | None = None
    base64: str | None = None
    path: str | None = None
    indent: int | None = attrs.field(default=None, validator=optional(in_(range(9))))
    sort_keys: bool = False

    def __attrs_post_init__(self) -> None:
        only_for(self, "encode", "data", "indent")
        only_for(self, "decode", "text", "base64", "path")
        sources = [each for each in (self.text, self.base64, self.path) if each is not None]
        if self.operation == "decode" and len(sources) != 1:
            raise ValueError("give one of text, base64 and path, to be decoded")


@attrs.frozen(eq=False, repr=False)
class Result:
    """The other form.

    Args:
        format: The one that was used.
        text: What was encoded; None for MessagePack, and where it was decoded.
        base64: What was encoded as MessagePack; None for others, and where it was decoded.
        data: What was decoded; None where it was encoded.
    """

    format: str
    text: str | None = None
    base64: str | None = None
    data: Any = None


def run(request: Request, settings: Settings) -> Result:
    """Encode or decode.  Raises: ActionError."""
    kind = request.format or settings.format
    allowed(KEY, "format", kind, settings.formats, "formats")
    if request.operation == "decode":
        return Result(kind, data=_decoded(request, settings, kind))
    _measure(request.data, settings, "data")
    made = _encoded(request, kind)
    if isinstance(made, str):
        within(KEY, "data", len(utf8(KEY, "data", made)), settings.max_bytes, setting="max_bytes")
        return Result(kind, text=made)
    within(KEY, "data", len(made), settings.max_bytes, setting="max_bytes")
    return Result(kind, base64=encoded(made, "base64"))


def _measure(data: Any, settings: Settings, at: str, others: tuple[type, ...] = ()) -> None:
    try:
        measure(data, depth=settings.max_depth, values=settings.max_values, at=at, others=others)
    except Unwalkable as error:
        raise unfit(KEY, error.path, str(error)) from None


# --- to a text -----------------------------------------------------------------------------------------------------


def _encoded(request: Request, kind: str) -> str | bytes:
    data = _sorted(request.data) if request.sort_keys else request.data
    if kind == "json":
        return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=request.indent)
    if kind == "toml":
        import tomli_w

        if not isinstance(data, Mapping):
            raise unfit(KEY, "data", "is a table in TOML")
        _without_null(data)
        return tomli_w.dumps(data)
    if kind == "yaml":
        dumped: str = _yaml().safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=False)
        return dumped
    try:
        packed: bytes = _msgpack().packb(data)
    except (OverflowError, ValueError) as error:
        raise unfit(KEY, "data", f"cannot be written as MessagePack: {error}") from None
    return packed


def _sorted(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {name: _sorted(data[name]) for name in sorted(data)}
    return [_sorted(item) for item in data] if isinstance(data, (list, tuple)) else data


def _without_null(data: Any, path: str = "data") -> None:
    if data is None:
        raise unfit(KEY, path, "is null, which TOML cannot write")
    if isinstance(data, Mapping):
        for name, item in data.items():
            _without_null(item, f"{path}.{name}")
    elif isinstance(data, (list, tuple)):
        for place, item in enumerate(data):
            _without_null(item, f"{path}[{place}]")


# --- from a text ---------------------------------------------------------------------------------------------------


def _decoded(request: Request, settings: Settings, kind: str) -> Any:
    import datetime as dt

    field, raw = _source(request, settings)
    parse = _PARSERS[kind]
    if kind == "yaml" and len(raw) > YAML_BYTES:
        raise unfit(KEY, field, f"is {len(raw):,} bytes long, and YAML is read up to {YAML_BYTES:,}")
    given: str | bytes = raw
    if kind != "msgpack":
        try:
            given = raw.decode("utf-8-sig" if field == "path" else "utf-8")
        except UnicodeDecodeError as error:
            raise unfit(KEY, field, f"is no text in UTF-8: byte {error.start}") from None
    try:
        data = parse(given)
    except RecursionError:
        raise unfit(KEY, field, f"is nested deeper than {settings.max_depth}", setting="max_depth") from None
    except ActionError:
        raise
    except Exception as error:  # each library has errors of its own
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise unfit(KEY, field, f"is no {_NAMES[kind]}: {said}") from None
    others = (dt.date, dt.time) if kind in {"toml", "yaml"} else ()
    _measure(
        data, settings, field, (*others, *((bytes,) if kind in {"msgpack", "yaml"} else ()), dt.datetime)
    )
    return data


_NAMES = {"json": "JSON", "toml": "TOML", "yaml": "YAML", "msgpack": "MessagePack"}


def _source(request: Request, settings: Settings) -> tuple[str, bytes]:
    if request.path is None:
        field = "text" if request.text is not None else "base64"
        return field, given_bytes(KEY, request.text, request.base64, settings.max_bytes, setting="max_bytes")
    from oneiric.plugins._files import Refused, open_inside

    try:
        with open_inside(request.path, settings.roots) as file:
            raw = file.read(settings.max_bytes + 1)
    except Refused as error:
        raise unfit(KEY, "path", str(error), setting="roots") from None
    except OSError as error:
        raise unfit(KEY, "path", f"cannot be read: {error.strerror}") from None
    if len(raw) > settings.max_bytes:
        raise unfit(KEY, "path", f"is longer than {settings.max_bytes:,} bytes", setting="max_bytes")
    return "path", raw


def _json(text: str) -> Any:
    """Strict JSON: a name stands once in an object, and numbers are finite."""
    return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _unpacked(raw: bytes) -> Any:
    def refuse(code: int, _: bytes) -> NoReturn:
        raise ValueError(f"extension type {code} is not understood")

    return _msgpack().unpackb(raw, raw=False, strict_map_key=True, timestamp=3, ext_hook=refuse)


def _from_yaml(text: str) -> Any:
    yaml = _yaml()

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined, misc]
        """Only plain data, each written out where it stands."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("an alias (*name) is not followed; write it out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)]
            if len(set(names)) != len(names):
                raise ValueError("a name is given twice in one table")
            return super().construct_mapping(node, deep=deep)

    loader = Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "json": _json,
    "toml": _toml,
    "yaml": _from_yaml,
    "msgpack": _unpacked,
}


def _yaml() -> Any:
    return _library("yaml", "pyyaml")


def _msgpack() -> Any:
    return _library("msgpack", "msgpack")


def _library(module: str, distribution: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise ActionError(
            f"{KEY}: the format needs a library that is not installed", hint=f"pip install {distribution}"
        ) from None


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Encode plain data, and decode them",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
