"""Write docs/reference/ from the live objects: ``python docs/generate.py``.

The pages are kept in the repository, so that they can be read there; a test fails while one of them differs from what
this would write.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
from oneiric_hookspecs import OneiricError, Spec, errors, specs

from oneiric import settings

HERE = Path(__file__).parent / "reference"


def hooks() -> Iterator[str]:
    """Every hook, in the order of a part's life."""
    yield "# Hooks\n"
    yield "Written by `docs/generate.py` from `oneiric_hookspecs.specs`. The forms are explained in"
    yield "[the grammar](../explanation/plugins.md); `oneiric hooks` lists who implements what.\n"
    yield from table(
        ("hook", "form", "when"),
        (
            (
                f"[`{spec.name}`](#{spec.name})",
                f"{spec.form.value}{', async' if spec.is_async else ''}",
                first(spec),
            )
            for spec in _specs()
        ),
    )
    for spec in _specs():
        signature = inspect.signature(spec.function)
        parameters = ", ".join(parameter.name for parameter in signature.parameters.values())
        yield f"\n## {spec.name}\n"
        yield f"`{'async ' if spec.is_async else ''}{spec.name}({parameters})` · {spec.form.value}\n"
        yield _as_markdown(inspect.getdoc(spec.function) or "")


def _specs() -> list[Spec[..., Any, Any]]:
    return [each for each in vars(specs).values() if isinstance(each, Spec)]


def first(thing: object) -> str:
    """The first sentence of the docstring of a spec's function, or of a class."""
    doc = inspect.getdoc(thing.function if isinstance(thing, Spec) else thing) or ""
    return _inline(doc.split("\n\n", 1)[0].replace("\n", " "))


def _inline(text: str) -> str:
    """Markdown of a docstring's line: code in single backticks, and arguments as code, too."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"(?<![\w*])\*(\w+)\*(?![\w*])", r"`\1`", text)


def _as_markdown(doc: str) -> str:
    """A docstring in our sections, as markdown."""
    parts: list[str] = []
    for block in re.split(r"\n(?=(?:Args|Returns|Raises|Ordering|Since|Example):$)", doc, flags=re.MULTILINE):
        head, _, body = block.partition("\n")
        if head not in ("Args:", "Returns:", "Raises:", "Ordering:", "Since:", "Example:"):
            parts.append(_inline(block))
            continue
        body = inspect.cleandoc(body)
        if head == "Example:":
            code = inspect.cleandoc(body.split("::", 1)[1])
            parts.append(f"**Example**\n\n```py\n{code}\n```\n")
        elif head in ("Args:", "Raises:"):
            entries = re.sub(r"\n +", " ", body)
            listed = "\n".join(
                f"* `{name}`: {_inline(text)}" if text else f"* {_inline(name)}"
                for name, _, text in (entry.partition(": ") for entry in entries.splitlines())
            )
            parts.append(f"**{head[:-1]}**\n\n{listed}\n")
        else:
            parts.append(f"**{head[:-1]}** {_inline(' '.join(body.split()))}\n")
    return "\n".join(parts)


def the_errors() -> Iterator[str]:
    """Every error, and what a command exits with when it ends by it."""
    yield "# Errors\n"
    yield "Written by `docs/generate.py` from `oneiric_hookspecs.errors`. All of them can be imported from"
    yield "`oneiric_hookspecs`. An error keeps its facts as fields; its text says what, where, and what next.\n"
    yield from table(
        ("error", "is a", "exit", "when"),
        (
            (f"`{each.__name__}`", f"`{each.__bases__[0].__name__}`", str(each.exit_code), first(each))
            for each in vars(errors).values()
            if inspect.isclass(each) and issubclass(each, OneiricError) and each is not OneiricError
        ),
    )
    yield "\n## Exit codes\n"
    yield from table(
        ("code", "means"),
        (
            ("0", "done"),
            ("1", "a bug in Oneiric, or the demo broke a promise"),
            ("2", "the command was not understood"),
            ("3", "no such plugin, domain, key or provider"),
            ("4", "refused or rolled back; what served before still serves"),
            ("5", "the settings are not valid"),
            ("6", "unhealthy"),
            ("7", "not to be trusted"),
            ("8", "it took too long"),
            ("10", "a dry run would change something"),
            ("130", "interrupted"),
        ),
    )


def the_settings() -> Iterator[str]:
    """Every section and key that needs no plugin."""
    yield "# Settings\n"
    yield "Written by `docs/generate.py` from `oneiric.settings`. A file is `oneiric.toml`, found upward from the"
    yield "working directory, or what `ONEIRIC_CONFIG` or `--config` names. Unknown keys are errors; `x-` keys are free."
    yield "`ONEIRIC__SECTION__KEY` in the environment wins over the file.\n"
    for title, cls in (
        ("[app]", settings.App),
        ("[plugins]", settings.Plugins),
        ("[resolver]", settings.Resolver),
        ("[lifecycle]", settings.LifecycleSection),
        ('[lifecycle.keys."domain:name"]', settings.Lifecycle),
    ):
        yield f"## {title}\n"
        yield from table(("key", "default", "meaning"), _fields(cls))
        yield ""
    yield "## A section for each domain, by its plural\n"
    yield "```toml"
    yield "[adapters.selections]"
    yield 'cache = "disk"                 # this provider, whatever the order says'
    yield ""
    yield "[adapters.settings.cache.disk] # always with the provider"
    yield 'path = "cache.sqlite"          # a field of the candidate\'s settings class'
    yield "```"


def _fields(cls: type) -> Iterator[tuple[str, str, str]]:
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        body = (inspect.getdoc(base) or "").partition("Args:\n")[2]
        entries = re.sub(r"\n {8,}", " ", textwrap.dedent(body))
        for line in entries.splitlines():
            name, _, text = line.strip().partition(": ")
            if text:
                meanings[name] = _inline(text)
    for field in attrs.fields(cls):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        shown = (
            ""
            if default is None or default in ((), {}) or not isinstance(default, int | float | str | bool)
            else default
        )
        yield f"`{field.name}`", f"`{shown!r}`" if shown != "" else "", meanings.get(field.name, "")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table of markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "hooks.md": hooks,
    "errors.md": the_errors,
    "settings.md": the_settings,
}


def page(name: str) -> str:
    """The text of a page, as it should be."""
    return "\n".join(PAGES[name]()).rstrip() + "\n"


def main() -> int:
    """Write all pages."""
    HERE.mkdir(exist_ok=True)
    for name in PAGES:
        (HERE / name).write_text(page(name), encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
