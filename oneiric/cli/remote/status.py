"""``oneiric remote-status``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context
from oneiric.cli.naming import NoSuch

if TYPE_CHECKING:
    from oneiric.remote.status import StreamStatus


@click.command("remote-status")
@click.argument("stream", required=False)
@click.pass_obj
def command(context: Context, stream: str | None) -> None:
    """Say what is in force of the streams of [remote], and how asking for them goes.

    Read from this machine; nothing is fetched.
    """
    from oneiric.remote.status import status_json

    with context.assembled() as runtime:
        if stream is not None and stream not in runtime.remote.names:
            raise NoSuch("stream", stream, runtime.remote.names)
        found = [each for each in runtime.remote.status() if stream in {None, each.stream}]

    def human(_: Any) -> str:
        if not found:
            return "[remote] names no stream"
        head = ["STREAM", "STATE", "VERSION", "ENTRIES", "EXPIRES", "CIRCUIT", "REFUSED", "URL"]
        table = context.table(head, [_row(context, each) for each in found])
        said = [
            f"{each.stream}: refused {each.refused['epoch']}.{each.refused['version']}: {each.refused['code']}: "
            f"{each.refused['detail']}"
            for each in found
            if each.refused
        ]
        return "\n".join([table, *said])

    context.show({"streams": [status_json(each) for each in found]}, "oneiric/remote-status/1", human)


def _row(context: Context, status: StreamStatus) -> list[Any]:
    return [
        status.stream,
        context.paint(status.condition),
        "" if status.version is None else f"{status.epoch}.{status.version}",
        sum(status.domains.values()),
        "" if status.expires is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(status.expires)),
        status.circuit + (f" ({status.failures})" if status.failures else ""),
        status.refused["code"] if status.refused else "",
        status.url,
    ]
