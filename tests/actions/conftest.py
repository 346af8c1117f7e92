"""Actions, invoked through a runtime that is assembled from a settings file."""

import asyncio
from textwrap import dedent

import pytest
from oneiric_hookspecs import ActionError

from oneiric import assemble


class Kits:
    """The built-in kits, under settings from a file."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "oneiric.toml"
        self.options = {"environment": False}
        self.settings("")

    def settings(self, text):
        """What the file says; gives the kits back."""
        state = f'[app]\nstate_dir = "{self.folder / "state"}"\n[state]\nurl = "memory:"\n'
        self.file.write_text(state + dedent(text), encoding="utf-8")
        return self

    def run(self, scenario):
        """What ``await scenario(runtime)`` gives."""

        async def main():
            async with assemble(self.file, **self.options) as runtime:
                return await scenario(runtime)

        return asyncio.run(main())

    def call(self, name, **request):
        """What the action *name* gives, as plain data."""
        return self.calls(name, [request])[0]

    def calls(self, name, requests):
        """The same for several requests, one after the other."""

        async def scenario(runtime):
            return [await runtime.call("action", name, request) for request in requests]

        return self.run(scenario)

    def refusals(self, name, requests):
        """What is said of each request, which must be refused; one that is not gives its result."""

        async def scenario(runtime):
            said = []
            for request in requests:
                try:
                    said.append(await runtime.call("action", name, request))
                except ActionError as error:
                    said.append(str(error))
            return said

        return self.run(scenario)

    def refused(self, name, **request):
        """What is said of a request that does not fit, in lines: the first, which names the action, is left out."""
        [said] = self.refusals(name, [request])
        assert isinstance(said, str), said
        first, *lines = said.splitlines()
        assert first == f"the request does not fit {name}", said
        hint = f"see oneiric action info {name}"
        return [line.strip() for line in lines if line.strip() != hint]


@pytest.fixture
def kits(tmp_path):
    """The kits, with their default settings."""
    return Kits(tmp_path)
