"""``oneiric manifest``: what a publisher of a stream does, and what a reader can look at."""

from __future__ import annotations

import click

from .bodies import build, diff
from .keyrings import group as keyrings
from .keyrings import keygen
from .readers import distrust, inspect, verify
from .releases import bundle, publish, sign


@click.group("manifest")
def command() -> None:
    """Publish a stream of candidates: keys, bodies, signatures; and verify what others published."""


for each in (keygen, keyrings, build, sign, verify, inspect, diff, publish, bundle, distrust):
    command.add_command(each)
