"""``oneiric action``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host

from oneiric.plugins.domains._words import payload, takes_input, with_host

from .invoking import Actions


@click.group("action")
def command() -> None:
    """List actions, tell what they take, invoke them."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the actions there are."""

    async def run(host: Host) -> None:
        face: Actions = host.domain("action")
        found = []
        for name in host.keys("action"):
            winner = host.explain("action", name).winner
            summary = face.get(name).summary if winner is not None else "(nobody fills it)"
            found.append({"action": name, "plugin": winner and winner.provider, "summary": summary})
        context.show({"actions": found} if context.json else found, "oneiric/actions/1")

    with_host(context, run)


@command.command("info")
@click.argument("name")
@click.pass_obj
def info(context: CommandContext, name: str) -> None:
    """Tell what the action NAME takes and gives, and its settings: as JSON Schema."""

    async def run(host: Host) -> None:
        action = host.domain("action").get(name)
        schemas = {
            what: None if cls is None else host.schema(cls)
            for what, cls in (
                ("takes", action.takes),
                ("returns", action.returns),
                ("settings", action.settings),
            )
        }
        if context.json:
            facts = {
                "action": name,
                "summary": action.summary,
                "plugin": host.resolve("action", name).provider,
                "idempotent": action.idempotent,
                "timeout": action.timeout,
            }
            context.show({**facts, **schemas}, "oneiric/action/1")
        else:
            rows = [row for what, schema in schemas.items() for row in _fields(what, schema)]
            click.echo(context.masked(f"{name}: {action.summary}"))
            context.show(rows, "oneiric/action/1")

    with_host(context, run)


@command.command("invoke")
@click.argument("name")
@takes_input
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="How long it may take."
)
@click.pass_obj
def invoke(
    context: CommandContext, name: str, source: str | None, params: Sequence[str], timeout: float | None
) -> None:
    """Invoke the action NAME, and show what it gives."""

    async def run(host: Host) -> None:
        face: Actions = host.domain("action")
        request = payload(source, params, _texts(host, face.get(name).takes))
        result = await face.call(name, request, timeout=timeout)
        if context.json:
            context.show({"action": name, "result": result}, "oneiric/action-result/1")
        elif isinstance(result, dict):
            context.show({key: _shown(value) for key, value in result.items()}, "oneiric/action-result/1")
        else:
            click.echo(context.masked(_shown(result)))

    with_host(context, run)


def _texts(host: Host, cls: Any) -> frozenset[str]:
    """The fields that take nothing but a text, whose values need no quotes on the command line."""
    properties = host.schema(cls).get("properties", {})
    return frozenset(name for name, schema in properties.items() if schema.get("type") == "string")


def _fields(what: str, schema: dict[str, Any] | None) -> list[dict[str, Any]]:
    if schema is None:
        return []
    required = schema.get("required", ())
    return [
        {
            "part": what,
            "field": name,
            "type": _type(field),
            "default": "(required)" if name in required else _shown(field.get("default", "")),
            "about": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(_shown(each) for each in schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind is not None:
        return str(kind)
    return " | ".join(_type(each) for each in schema.get("anyOf", ())) or "any"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
