"""``oneiric config schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from oneiric.cli.context import Context

from .common import plugged


class CannotWrite(click.ClickException):
    """The file cannot be written."""

    exit_code = 4


@click.command("schema")
@click.option("--output", metavar="FILE", help="Write it there.")
@click.pass_obj
def schema(context: Context, output: str | None) -> None:
    """Give the JSON Schema of the settings, for editors.

    Of what is plugged in, whether or not the settings are valid.  An editor takes it from the first line of a file,
    such as #:schema ./oneiric.schema.json.
    """
    from oneiric.settings.document import document_schema

    context.take(context.load(examine=True).without_domains())
    with context.assembled() as runtime:
        may_come = any(each.state != "on" for each in runtime.hooks.plugins)
        document = document_schema(*plugged(runtime), may_come=may_come)
    text = json.dumps(document, indent=2)
    if output is not None:
        try:
            Path(output).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise CannotWrite(f"{output} cannot be written: {error.strerror}") from None
    value: dict[str, Any] = {"output": output} if output is not None else {"document": document}
    context.show(
        value, "oneiric/config-schema/1", lambda _: text if output is None else f"written to {output}"
    )
