"""The working folder of the tests of the command line, and a runtime whose parts have secrets."""

import asyncio
import logging
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import attrs
import pytest
from oneiric_hookspecs import Candidate, Key, Secret, SecretSource, hookimpl

from oneiric import assemble

_spec = spec_from_file_location("cli_conftest", Path(__file__).parents[1] / "cli" / "conftest.py")
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
folder = _module.folder


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """The root logger as a process begins with it; and as it was, whatever a command did to it."""
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    yield
    root.setLevel(level)
    logging.disable(logging.NOTSET)


@attrs.frozen
class Settings:
    """Of the candidates of a shop."""

    password: Secret
    size: int = 1


class Thing:
    """What its candidates make."""

    def __init__(self, settings):
        self.settings, self.closed = settings, False

    @property
    def password(self):
        return self.settings.password.reveal()

    def reconfigure(self, settings):
        self.settings = settings

    async def aclose(self):
        self.closed = True


class Shop:
    """A plugin with candidates that want a password, and a source ``vault`` of it.

    Attributes:
        made: What was made.
        asked: What the source was asked for.
        answer: What it answers: called with what stands behind the colon; may be async.
    """

    def __init__(self):
        self.made, self.asked = [], []
        self.answer = lambda text: f"the {text}"
        self.store = None

    def candidates(self):
        async def create(*, settings):
            self.made.append(Thing(settings))
            return self.made[-1]

        for name in ("db", "mail"):
            for provider in ("one", "two"):
                yield Candidate(Key.of("adapter", name), provider, create, settings_class=Settings)

    def ask(self, text):
        self.asked.append(text)
        return self.answer(text)

    async def ask_later(self, text):
        self.asked.append(text)
        answer = self.answer(text)
        return await answer if asyncio.iscoroutine(answer) else answer

    @hookimpl
    def oneiric_candidates(self):
        return list(self.candidates())

    @hookimpl
    def oneiric_secret_sources(self):
        yield SecretSource("vault", self.ask_later)
        yield SecretSource("slow", self.ask)

    def runtime(self, *plugins, secrets=None, lifecycle=None, settings=None, selections=None):
        """A runtime whose ``adapter:db`` of ``one`` has the secret ``db``, and that of ``two`` the secret ``other``."""
        data = {
            "secrets": secrets or {"db": "vault:db", "other": "vault:other", "slow": "slow:db"},
            "lifecycle": lifecycle or {},
            "adapters": {
                "selections": selections or {"db": "one"},
                "settings": settings
                or {
                    "db": {"one": {"password": {"$secret": "db"}}, "two": {"password": {"$secret": "other"}}},
                },
            },
        }
        return assemble(data, plugins=[self, *plugins], environment=False)


@pytest.fixture
def shop():
    return Shop()
