"""Write docs/reference/ from the live objects: ``python docs/generate.py``.

The pages are kept in the repository, so that they can be read there; a test fails while one of them differs from what
this would write.
"""

import ast
import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
from oneiric_hookspecs import OneiricError, Spec, errors, specs

from oneiric import settings
from oneiric.cli.doctor import checking
from oneiric.cli.config.common import as_toml
from oneiric.settings.environment import PLAIN
from oneiric.settings.layers import leaves
from oneiric.settings.logged import LoggingSection, Sink
from oneiric.settings.plain import path_text
from oneiric.settings.profiles import BUILT_IN

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
    yield "Written by `docs/generate.py` from `oneiric.settings`; [the how-to](../how-to/settings.md) shows it at work."
    yield "Unknown keys are errors; `x-` keys are free.\n"
    yield "## Layers\n"
    yield "The weakest first. Tables are merged, table by table; a value or a list takes the place of what was there.\n"
    yield from table(
        ("layer", "is"),
        (
            (
                "defaults",
                "those of the sections, and of the classes of settings that plugins and candidates bring",
            ),
            (
                "files",
                "`--config FILE`, again for each; else those of `ONEIRIC_CONFIG`, separated as in `PATH`; else the "
                "nearest `oneiric.toml`, from the working directory upward",
            ),
            (
                "profile",
                "`--profile NAME`, else `ONEIRIC_PROFILE`, else `default`: the built-in one, then `[profile.NAME]`",
            ),
            ("environment", "`ONEIRIC__SECTION__KEY`, and the names below"),
            ("command line", "`-p no:NAME` adds to `plugins.off`, `-p MODULE` to `app.plugins`"),
        ),
    )
    yield ""
    for title, cls in (
        ("[app]", settings.App),
        ("[plugins]", settings.Plugins),
        ("[resolver]", settings.Resolver),
        ("[state]", settings.StateSection),
        ("[lifecycle]", settings.LifecycleSection),
        ('[lifecycle.keys."domain:name"]', settings.Lifecycle),
        ("[remote.NAME]", settings.Stream),
        ("[logging]", LoggingSection),
        ("[logging.sinks.NAME]", Sink),
    ):
        yield f"## {title}\n"
        yield from table(("key", "default", "meaning"), _fields(cls))
        yield ""
    yield "## [secrets]\n"
    yield "Where each secret comes from, by its name, as `SCHEME:WHERE`; [the how-to](../how-to/secrets.md) says more.\n"
    yield "```toml"
    yield "[secrets]"
    yield 'db = "env:DB_PASSWORD"         # a field that is a Secret refers to it: { "$secret" = "db" }'
    yield "```\n"
    yield "## [profile.NAME]\n"
    yield "A layer over the files: its tables are those of a whole file. These are built in, and a file's lies over them.\n"
    yield from table(
        ("profile", "sets"),
        (
            (
                f"`{name}`",
                ", ".join(f"`{path_text(path)} = {as_toml(value)}`" for path, value in leaves(tables))
                or "nothing",
            )
            for name, tables in BUILT_IN.items()
        ),
    )
    yield ""
    yield "## A section for each domain, by its plural\n"
    yield "```toml"
    yield "[adapters.selections]"
    yield 'cache = "disk"                 # this provider, whatever the order says'
    yield ""
    yield "[adapters.settings.cache.disk] # always with the provider"
    yield 'path = "cache.sqlite"          # a field of the candidate\'s settings class'
    yield ""
    yield '[actions.settings."http.fetch"] # of actions without the provider, and a name with dots in quotes'
    yield "```\n"
    yield "## Variables of the environment\n"
    yield "`ONEIRIC__` and the path of a setting in upper case; every other character is `_`, and `__` separates."
    yield "Yes is `1 true yes on`, no is `0 false no off`, and lists are separated by commas. One that names no setting is an"
    yield "error. `oneiric config env` lists them. These have a name of their own:\n"
    yield from table(("variable", "is"), ((f"`{name}`", about) for name, about in PLAIN.items()))


def _fields(cls: type) -> Iterator[tuple[str, str, str]]:
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        body = (inspect.getdoc(base) or "").partition("Args:\n")[2]
        body = textwrap.dedent(body)
        # A line that goes on stands deeper than the first one.
        entries = re.sub(r"\n {8,}" if body.startswith(" ") else r"\n {4,}", " ", body)
        for line in entries.splitlines():
            name, _, text = line.strip().partition(": ")
            if text:
                meanings[name] = _inline(text)
    for field in attrs.fields(cls):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        shown = (
            "required"
            if default is attrs.NOTHING
            else ""
            if default is None or default in ((), {}) or not isinstance(default, int | float | str | bool)
            else default
        )
        said = shown if default is attrs.NOTHING else f"`{shown!r}`" if shown != "" else ""
        yield f"`{field.name}`", said, meanings.get(field.name, "")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table of markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def the_doctor() -> Iterator[str]:
    """Every finding of the doctor."""
    yield "# What the doctor finds\n"
    yield "Written by `docs/generate.py` from the checks of `oneiric doctor`. Ids stay the same; a finding of severity"
    yield "`fail` makes the exit code 6. [The how-to](../how-to/find-a-bad-plugin.md) shows how to use it.\n"
    rows = [
        (f"`{each.id}`", each.severity, _inline(each.looks_for), _inline(each.mends))
        for each in checking.all_checks()
    ]
    bug = (f"`{checking.BUG}`", "fail", "A check itself went wrong; the others went on", "a report to us")
    yield from table(("id", "severity", "finds", "mended by"), [*rows, bug])


def the_testing() -> Iterator[str]:
    """What every kit promises, and what authors test with."""
    from oneiric import testing
    from oneiric.testing.conformance import RULES
    from oneiric.testing.services import ServiceConformance

    yield "# Testing\n"
    yield "Written by `docs/generate.py` from `oneiric.testing` and `pytest_oneiric`;"
    yield "[the how-to](../how-to/test-a-plugin.md) shows them at work.\n"
    yield "## What every kit promises\n"
    yield "Each rule is a test of `oneiric.testing.KitConformance`, and a rule of `oneiric check`. A rule about candidates"
    yield "is held against each of them, actions too.\n"
    yield from table(
        ("rule", "of", "promise"),
        (
            (
                f"`test_{rule.name}`",
                f"the {rule.each}" if rule.each == "kit" else "each candidate",
                _inline(rule.promise),
            )
            for rule in RULES
        ),
    )
    yield "\n## Attributes of `KitConformance`\n"
    about = (inspect.getdoc(testing.KitConformance) or "").partition("Attributes:\n")[2]
    yield from table(("attribute", "is"), _entries(about))
    yield "\n## What every service promises\n"
    yield "Each is a test of `oneiric.testing.services.ServiceConformance`; override `open`, which makes one.\n"
    promises = [(name, each) for name, each in vars(ServiceConformance).items() if name.startswith("test_")]
    yield from table(("test", "promise"), ((f"`{name}`", first(each)) for name, each in promises))
    yield ""
    about = (inspect.getdoc(ServiceConformance) or "").partition("Attributes:\n")[2]
    yield from table(("attribute", "is"), _entries(about))
    yield "\n## Fixtures\n"
    folder = Path(__file__).parents[1] / "pytest_oneiric"
    for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield f"### {node.name}\n"
            yield _inline(ast.get_docstring(node) or "") + "\n"
            yield from _methods(*_MADE_BY_FIXTURES[node.name])
    yield "## Time\n"
    for thing in (
        testing.run_virtual,
        testing.VirtualClock,
        testing.VirtualLoop,
        testing.LeftBehind,
        testing.Stuck,
    ):
        yield f"### {thing.__name__}\n"
        yield _as_markdown(inspect.getdoc(thing) or "").rstrip() + "\n"


_MADE_BY_FIXTURES = {
    "oneiric_runtime": ("pytest_oneiric.runtimes", "Runtimes", "oneiric_runtime", ("__call__",)),
    "oneiric_cli": ("pytest_oneiric.command", "CommandLine", "oneiric_cli", ("__call__", "write")),
    "oneiric_clock": ("pytest_oneiric.clock", "Clock", "oneiric_clock", ("run", "time", "advance")),
    "oneiric_project": (
        "pytest_oneiric.project",
        "ProjectFolder",
        "oneiric_project",
        ("write", "kit", "install", "oneiric", "python", "pytest"),
    ),
}


def _methods(module: str, cls: str, fixture: str, names: Iterable[str]) -> Iterator[str]:
    found = getattr(importlib.import_module(module), cls)
    for name in names:
        method = getattr(found, name)
        arguments = ", ".join(
            _argument(each) for each in list(inspect.signature(method).parameters.values())[1:]
        )
        yield f"`{fixture}{'' if name == '__call__' else '.' + name}({arguments})`\n"
        yield _as_markdown(inspect.getdoc(method) or "").rstrip() + "\n"


def _argument(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{star}{parameter.name}{default}"


def _entries(body: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\n {4,}", " ", textwrap.dedent(body)).splitlines():
        name, _, text = line.partition(": ")
        yield f"`{name}`", _inline(text)


def the_actions() -> Iterator[str]:
    """Every built-in action, with its schemas."""
    from oneiric import assemble

    runtime = assemble({}, environment=False)
    names = runtime.keys("action")
    actions = [runtime.resolve("action", name).factory.action for name in names]
    yield "# Actions\n"
    yield "Written by `docs/generate.py` from what the built-in plugins declare; [the how-to](../how-to/actions.md) shows them"
    yield "at work. `oneiric action info NAME --json` gives the same as JSON Schema, of actions of other plugins too. Settings"
    yield 'stand in `[actions.settings."NAME"]`. Each is a plugin of its own, and is switched off by its name.\n'
    yield from table(
        ("action", "does"),
        ((f"[`{each.name}`](#{each.name.replace('.', '')})", each.summary) for each in actions),
    )
    for action in actions:
        yield f"\n## {action.name}\n"
        module = inspect.getmodule(action.takes)
        about = (inspect.getdoc(module) or "").partition(": ")[2]
        yield _starless(about[:1].upper() + about[1:])
        if action.idempotent:
            yield "\nIt may be invoked again where nobody knows whether it was."
        shown: set[str] = set()
        for what, cls in (
            ("Request", action.takes),
            ("Result", action.returns),
            ("Settings", action.settings),
        ):
            if cls is not None:
                schema = runtime.schema(cls)
                yield f"\n**{what}.** {_starless(schema.get('description', ''))}\n"
                yield from _schema_table(schema)
                for title, inner in _inner(schema):
                    if title not in shown:
                        yield f"\n**{title}.** {_starless(inner.get('description', ''))}\n"
                        yield from _schema_table(inner)
                        shown.add(title)
    runtime.hooks.close()


def the_adapters() -> Iterator[str]:
    """Every contract of a well-known adapter key, and the built-in providers of it."""
    from oneiric import assemble

    runtime = assemble({}, environment=False)
    categories = runtime.snapshot.domains["adapter"].categories
    yield "# Adapters\n"
    yield "Written by `docs/generate.py` from `oneiric_hookspecs` and what the built-in plugins declare;"
    yield "[the how-to](../how-to/embedded-adapters.md) shows those that need no server at work. What fills one of these keys"
    yield "has these methods. Settings stand in `[adapters.settings.KEY.PROVIDER]`.\n"
    yield from table(("key", "is"), ((f"[`{key}`](#{key})", _gist(cls)) for key, cls in categories.items()))
    for key, cls in categories.items():
        yield f"\n## {key}\n"
        yield _as_markdown(inspect.getdoc(cls) or "")
        yield ""
        methods = {name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name))}
        order = [name for each in reversed(cls.__mro__) for name in vars(each) if name in methods]
        yield from table(
            ("method", "does"),
            (
                (
                    f"`{name}({', '.join(list(inspect.signature(getattr(cls, name)).parameters)[1:])})`",
                    first(getattr(cls, name)),
                )
                for name in dict.fromkeys(order)
            ),
        )
        rows = runtime.explain("adapter", key).rows if key in runtime.keys("adapter") else ()
        for candidate in (row.candidate for row in rows):
            made = importlib.import_module(candidate.factory.__module__)
            about = inspect.getdoc(inspect.get_annotations(made.create, eval_str=True)["return"]) or ""
            yield f"\n### {key} {candidate.provider}\n"
            yield f"{candidate.summary[:1].upper()}{candidate.summary[1:]}.\n"
            yield _as_markdown(about.partition("\nArgs:\n")[0]).replace("*   ", "* ").rstrip() + "\n"
            yield from table(("setting", "default", "meaning"), _fields(candidate.settings_class))
    runtime.hooks.close()


def _gist(cls: type) -> str:
    """What stands behind the name in the first sentence of a contract."""
    return first(cls).partition(": ")[2]


def _starless(text: str) -> str:
    """*text*, whose stars mean themselves."""
    parts = re.split(r"(``[^`]+``)", text)
    return "".join(f"`{part[2:-2]}`" if part.startswith("``") else part.replace("*", "\\*") for part in parts)


def _schema_table(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield from table(
        ("field", "is", "default", "meaning"),
        (
            (
                f"`{name}`",
                _kind(field),
                _default(field, name in required),
                _starless(field.get("description", "")),
            )
            for name, field in schema.get("properties", {}).items()
        ),
    )


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = field.get("default")
    return "" if default in (None, "", [], {}) else f"`{json.dumps(default, ensure_ascii=False)}`"


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a word or two."""
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if "$ref" in schema or "title" in schema:
        return schema.get("title") or schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
        if any("$secret" in each.get("properties", {}) for each in kinds):
            return "secret"
        return " or ".join(dict.fromkeys(map(_kind, kinds)))
    kind = schema.get("type", "any")
    if kind == "array" and "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"table of {_kind(schema['additionalProperties'])}"
    names = {"array": "list", "object": "table", "string": "text"}
    return " or ".join(
        names.get(each, each) for each in ([kind] if isinstance(kind, str) else kind) if each != "null"
    )


def _inner(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    """The tables with names of their own that stand inside of one."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    while waiting:
        each = waiting.pop(0)
        if "title" in each and "properties" in each and each["title"] not in found:
            found[each["title"]] = each
            waiting += each["properties"].values()
        waiting += [
            each[name] for name in ("items", "additionalProperties") if isinstance(each.get(name), dict)
        ]
        waiting += each.get("anyOf", ())
    return list(found.items())


def the_telemetry() -> Iterator[str]:
    """What is told to OpenTelemetry and to the log, and the words that stand in it."""
    from oneiric_hookspecs.remote import Code

    from oneiric.plugins._metrics import METRICS
    from oneiric.plugins.telemetry.spans import ATTRIBUTES, SPANS
    from oneiric.plugins.telemetry.syncs import EVENT

    yield "# Telemetry\n"
    yield "Written by `docs/generate.py` from the plugin `telemetry`; [the how-to](../how-to/observe.md) shows it at work. It"
    yield "tells the API of OpenTelemetry, scope `oneiric`; an application that sets up an SDK sees it, and without one nothing"
    yield "of OpenTelemetry is imported. Attributes are bounded: names of the registry, outcomes, codes; no address, no"
    yield "payload, no text of an error. What is told is chosen in [`[telemetry]`](settings.md).\n"
    yield "## Metrics\n"
    yield "Histograms are in milliseconds. `key` is empty in a domain of more than `max_keys` keys, and for what nobody"
    yield "registered.\n"
    yield from table(
        ("metric", "kind", "by", "is"),
        (
            (f"`{name}`", kind, ", ".join(f"`{each}`" for each in attributes), about)
            for name, (kind, attributes, about) in METRICS.items()
        ),
    )
    yield ""
    yield "## Spans\n"
    yield from table(("span", "is"), ((f"`{name}`", about) for name, about in SPANS.items()))
    yield ""
    yield "One of an operation is a root, with a link to the span of whoever asked; inside of another operation it is a"
    yield "child of that. Its steps are events, and what a factory does is below it. The status of a sync is an error, with"
    yield "the code, where nothing was accepted.\n"
    yield from table(
        ("attribute of operations", "is"), ((f"`{name}`", about) for name, about in ATTRIBUTES.items())
    )
    yield ""
    yield "## Events of the log\n"
    yield f"`{EVENT}`, on the logger `oneiric.remote`: one for each sync, with the fields of the span. A warning where"
    yield "nothing was accepted, and one of its own where a sync takes longer than `latency_budget`.\n"
    yield "## Codes of streams\n"
    yield "Why a sync accepted nothing: in reports, in metrics, in `oneiric remote-status`.\n"
    yield ", ".join(f"`{code}`" for code in get_args(Code)) + "."


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "hooks.md": hooks,
    "errors.md": the_errors,
    "settings.md": the_settings,
    "doctor.md": the_doctor,
    "testing.md": the_testing,
    "actions.md": the_actions,
    "adapters.md": the_adapters,
    "telemetry.md": the_telemetry,
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
