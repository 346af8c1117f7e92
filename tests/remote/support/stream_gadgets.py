"""A module a stream's settings may name, with what must not be reached through it."""

import os
from pathlib import Path  # noqa: F401 - it is there to be named
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import Secret

if TYPE_CHECKING:
    from somewhere import Nothing

system = os.system
version = "1.0"


@attrs.frozen
class Options:
    url: str
    size: int = 5
    password: Secret | None = None


class Own:
    Settings = Options

    def __init__(self, settings):
        self.settings = settings


def annotated(settings: "Options", other: "Nothing | None" = None):
    return Own(settings)


def optional(settings: Options | None = None):
    return Own(settings)


def unreadable(settings: "Nothing"):
    return Own(settings)


def reads(artifact):
    with artifact.open() as file:
        return Text(file.read())


def demands(nobody):
    return nobody


def outer():
    def inner():
        return None

    return inner


inner = outer()
lambda_ = lambda: None  # noqa: E731


@attrs.frozen
class Text:
    data: bytes


class _Private:
    pass


class Task:
    async def run(self, payload, context):
        return payload


class Handler:
    async def handle(self, envelope):
        return envelope.payload
