"""What streams of the tests name: factories that remember what they were made with."""

import os  # a thing that is not its own

import attrs


@attrs.frozen
class Settings:
    size: int = 5
    token: str = ""


class Part:
    """An adapter."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Task:
    """A task."""

    async def run(self, payload, context):
        return {"said": payload}


def plain() -> dict:
    """A factory that takes nothing."""
    return {"kind": "plain"}


def from_file(artifact) -> str:
    """A factory that reads its artifact."""
    with artifact.open() as file:
        return file.read().decode()


borrowed = os.system
