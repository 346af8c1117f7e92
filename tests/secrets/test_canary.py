"""Every command there is, on a project full of secrets that leak wherever they can: none comes out.

A secret may come out of a plugin's code as a text: revealed, and put into a message.  What the command line prints is
searched for that, too.
"""

import asyncio
import io
import json
import logging
import os
import traceback

import attrs
import click
import pytest
from oneiric_hookspecs import OneiricError

from oneiric import assemble
from oneiric.cli import COMMANDS, kits, main

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

#: In every secret of the project, and nowhere else.
CANARY = "kanari"
ENV, FILE, VAULT, PLAIN, BARE = (
    f"{CANARY}-env-{'x' * 60}",
    f"{CANARY} of \"the\" file \\ 'é'\nand {CANARY} on a second line",
    f"{CANARY}-vault",
    f"{CANARY}-plain",
    f"{CANARY}-bare",
)

SHOP = f'''
import asyncio
import logging
import attrs
import click
from oneiric_hookspecs import (
    Action, Candidate, Fetcher, FetchError, Health, Key, NoCandidate, Objection, PluginContext, PluginError, Secret,
    SecretSource, Verifier, VerifyError, hookimpl,
)

log = logging.getLogger("oneiric.shop")
known = set()


def tell():
    """All the secrets that were seen, in one text."""
    return " | ".join(sorted(known))


def says_too_much(instance, field, value):
    known.add(value.reveal())
    log.debug("validating %s", value.reveal())


def refuses(instance, field, value):
    raise ValueError(f"{{value.reveal()}} is not good enough")


@attrs.frozen
class Settings:
    password: Secret = attrs.field(validator=says_too_much)
    second: Secret | None = None
    several: list[Secret] = attrs.field(factory=list)
    named: dict[str, Secret] = attrs.field(factory=dict)


@attrs.frozen
class Picky:
    password: Secret = attrs.field(validator=refuses)


class Vault:
    async def get(self, name):
        return Secret("{VAULT}")


async def vault():
    return Vault()


async def broken(*, settings: Settings):
    password = settings.password
    table = attrs.asdict(settings)
    raise RuntimeError(f"cannot connect with {{password.reveal()}} and {{tell()}}")


async def quiet(*, settings: Settings):
    password = settings.password
    table = attrs.asdict(settings)
    raise RuntimeError(f"cannot connect with {{password}} and {{table}}")


class Ill:
    def __init__(self, settings):
        self.settings = settings

    def health(self):
        return Health("failed", f"refused {{self.settings.password.reveal()}}", details={{"all": tell()}})


async def ill(*, settings: Settings):
    return Ill(settings)


def leak(text):
    raise RuntimeError(f"{CANARY} read from {{text}}")


class Till:
    async def run(self):
        await asyncio.sleep(1000)

    def status(self):
        return {{"all": tell(), tell(): [tell()]}}


class Leaky(Till):
    async def run(self):
        await asyncio.sleep(0.01)
        raise RuntimeError("x" * 290 + tell())

    def health(self):
        raise ValueError(tell())


class Mute(Till):
    def status(self):
        raise RuntimeError("x" * 290 + tell())


class Gives:
    async def run(self, payload, context):
        return {{"all": tell(), "many": [tell()]}}


class Fails:
    async def run(self, payload, context):
        raise ValueError(tell())


class Kit:
    """A plugin class that keeps nothing to itself."""

    Settings = Settings

    def __init__(self, context: PluginContext):
        self.settings = context.settings
        for each in (self.settings.password, self.settings.second):
            if each is not None:
                known.add(each.reveal())
        context.log.warning("made with %s", tell())
        print("made with", self.settings)

    @hookimpl
    def oneiric_candidates(self):
        yield Candidate(Key.of("adapter", "vault"), "v", vault, summary="a vault")
        yield Candidate(Key.of("adapter", "db"), "ill", ill, settings_class=Settings, summary=f"uses {{tell()}}", version="1")
        yield Candidate(Key.of("adapter", "db"), "broken", broken, settings_class=Settings, metadata={{"about": tell()}})
        yield Candidate(Key.of("adapter", "quiet"), "quiet", quiet, settings_class=Settings)
        yield Candidate(Key.of("adapter", "picky"), "picky", quiet, settings_class=Picky)
        yield Candidate(Key.of("adapter", "stores"), "broken", broken, settings_class=Settings)
        for name, service in (("till", Till), ("leaky", Leaky), ("mute", Mute)):
            yield Candidate(Key.of("service", name), name, service, summary=f"tells {{tell()}}")
        for name, task in (("gives", Gives), ("fails", Fails)):
            yield Candidate(Key.of("task", name), name, task, summary=f"tells {{tell()}}")
            graph = {{"nodes": [{{"id": "a", "task": name}}, {{"id": "b", "task": name, "args": [{{"$result": "a.many"}}], "after": ["a"]}}]}}
            yield Candidate.ready(Key.of("workflow", name), name, graph, summary=f"tells {{tell()}}")

    @hookimpl
    def oneiric_secret_sources(self):
        yield SecretSource("leaky", leak, f"leaks {{tell()}}")

    @hookimpl
    def oneiric_fetchers(self):
        yield Fetcher("leak", self.open, f"leaks {{tell()}}")

    def open(self, spec):
        known.add(spec.credential.reveal())
        return self

    def get(self, path, sink, *, etag=None):
        raise FetchError(f"{{path}} is not to be had with {{tell()}}", hint=f"not {{tell()}}")

    @hookimpl
    def oneiric_verifiers(self):
        yield Verifier("leaky", self.pull, summary=f"leaks {{tell()}}")

    def pull(self, asked):
        if asked.stream == "fetched":
            return asked.io.get("head.json", limit=100)
        raise VerifyError(f"not signed with {{tell()}}", code="signature", hint=f"not {{tell()}}")

    @hookimpl
    def oneiric_synced(self, report):
        raise RuntimeError(f"{{report.detail}} {{tell()}}")

    @hookimpl
    def oneiric_check_eligible(self, candidate):
        if candidate.provider == "broken" and candidate.key.name == "db":
            yield Objection(f"not with {{tell()}}", remedy=f"with another than {{tell()}}")
        if candidate.provider == "quiet":
            raise RuntimeError(f"a fault with {{tell()}}")

    @hookimpl
    def oneiric_actions(self):
        async def shout(request, settings):
            raise ValueError(f"no: {{tell()}}")

        yield Action("text.shout", f"says {{tell()}}", takes=Words, returns=Words, run=shout)

    @hookimpl
    async def oneiric_started(self, host):
        log.info("started with %s", tell())
        raise RuntimeError(f"started with {{tell()}}")


@attrs.frozen
class Words:
    words: str = ""


class Failing:
    """A plugin class that does not come up."""

    Settings = Settings

    def __init__(self, context: PluginContext):
        password = context.settings.password
        raise RuntimeError(f"failed with {{password.reveal()}}")

    @hookimpl
    def oneiric_candidates(self):
        return ()


class Declares:
    """One whose declaration is wrong."""

    Settings = Settings

    def __init__(self, context: PluginContext):
        self.password = context.settings.password.reveal()

    @hookimpl
    def oneiric_candidates(self):
        raise PluginError(f"wrong: {{self.password}}", hint=f"not {{self.password}}")


@click.command("poke")
@click.argument("what")
@click.pass_obj
def poke(context, what):
    """Let out what there is, in one of the ways there are."""
    import asyncio

    async def run():
        async with context.host() as host:
            log.warning("poked: %s", tell())
            if what == "show":
                context.show({{"all": tell(), "deep": [{{"it": tell()}}]}}, "shop/poke/1")
            elif what == "rows":
                context.show([{{"name": "x", "all": tell()}}], "shop/poke/1")
            elif what == "warn":
                context.warn(f"careful: {{tell()}}", f"not {{tell()}}")
                context.show({{"done": True}}, "shop/poke/1")
            elif what == "bug":
                raise RuntimeError("x" * 290 + tell())
            elif what == "usage":
                raise click.UsageError(f"not {{tell()}}")
            elif what == "chain":
                try:
                    raise ValueError(tell())
                except ValueError as error:
                    raise KeyError(tell()) from error
            else:
                async with host.use("adapter", what):
                    pass
                context.show(str(host.explain("adapter", what)), "shop/poke/1")
    asyncio.run(run())
'''

TOML = """
[app]
name = "shop"
plugins = ["shop:Kit", "shop:Failing", "shop:Declares"]

[secrets]
env = "env:SHOP_ENV"
file = "file:{folder}/secret"
vault = "adapter:vault#x"
gone = "env:NOT_THERE"
leaky = "leaky:x"
circle = "adapter:stores#x"

[remote.fetched]
url = "leak:there"
keyring = "shop.py"
verifier = "leaky"
auth = "env"

[remote.verified]
url = "leak:there"
keyring = "shop.py"
verifier = "leaky"
auth = "file"

[plugins.settings."shop:Kit"]
password = {{ "$secret" = "env" }}
second = {{ "$secret" = "file" }}

[plugins.settings."shop:Failing"]
password = "{plain}"

[plugins.settings."shop:Declares"]
password = {{ "$secret" = "file" }}

[adapters.settings.db.ill]
password = {{ "$secret" = "vault" }}
second = "{plain}"
several = ["{bare}", {{ "$secret" = "env" }}]
named = {{ one = "{bare}", two = {{ "$secret" = "file" }} }}

[adapters.settings.db.broken]
password = "{plain}"

[adapters.settings.quiet.quiet]
password = {{ "$secret" = "env" }}
second = "{plain}"

[adapters.settings.picky.picky]
password = {{ "$secret" = "env" }}

[adapters.settings.stores.broken]
password = {{ "$secret" = "env" }}
second = {{ "$secret" = "vault" }}

[lifecycle]
startup_timeout = 0.2
"""

#: What to call each command with; every one that there is has to stand here, or below.
WORDS = {
    "list": ["", "--shadowed", "--domain adapter"],
    "explain": [
        "adapter db",
        "adapter db --why-not broken",
        "adapter db --provider broken",
        "adapter quiet",
        "adapter nothing",
        "--hook oneiric_check_eligible",
    ],
    "plan": ["", "other.toml", "broken.toml"],
    "schedules list": [""],
    "schedules preview": ["nightly"],
    "plugins": ["", "--hooks", "--slow", "--require nothing", "--require shop:Failing"],
    "plugins info": ["shop:Kit", "shop:Failing", "shop:Declares"],
    "plugins off": ["nothing"],
    "plugins on": ["nothing"],
    "hooks": ["", "oneiric_secret_sources"],
    "remote-status": ["", "fetched"],
    "remote-sync": ["", "fetched", "--dry-run"],
    "secrets list": ["", "--check"],
    "config check": ["", "other.toml", "broken.toml"],
    "config env": [""],
    "config path": [""],
    "config schema": [""],
    "config show": ["", "--origin", "adapters.settings", "secrets", "plugins"],
    "swap": [
        "adapter db ill --dry-run",
        "adapter db ill",
        "adapter db broken",
        "adapter db",
        "adapter db --reload",
    ],
    "rollback": ["adapter db"],
    "pin": ["adapter db ill", "adapter quiet"],
    "unpin": ["adapter db"],
    "hold": ["adapter db"],
    "pause": ["adapter"],
    "drain": ["adapter db"],
    "resume": ["adapter"],
    "note": ["adapter db hello"],
    "activity": [""],
    "status": ["", "--key db"],
    "health": ["", "--live", "--probe", "--group nothing"],
    "history": [""],
    "secrets rotate": ["", "env", "nothing"],
    "doctor": [""],
    "completion": ["bash"],
    "manifest build": ["broken.toml --out made --stream shop"],
    "manifest distrust": ["key --stream shop"],
    "manifest verify": ["broken.toml --keyring shop.py"],
    "event list": [""],
    "event emit": ["shop.told"],
    "event dead list": [""],
    "event dead redeliver": ["1"],
    "event dead drop": ["1"],
    "service list": [""],
    "service status": ["", "till --start --for 0", "mute --start --for 0", "--start --for 0.05"],
    "task list": [""],
    "task run": ["gives", "fails", "nothing"],
    "task runs": [""],
    "task show": ["1"],
    "task cancel": ["1"],
    "task resume": ["1"],
    "workflow list": [""],
    "workflow plan": ["gives", "gives --dot", "gives --mermaid", "nothing"],
    "workflow run": ["gives", "fails", "nothing"],
    "workflow runs": [""],
    "workflow show": ["1"],
    "workflow cancel": ["1"],
    "workflow resume": ["1", "--all"],
    "action list": [""],
    "action info": ["text.shout"],
    "action invoke": ["text.shout", "nothing"],
    "poke": ["show", "rows", "warn", "bug", "usage", "chain", "db", "quiet", "picky", "stores", "vault"],
}

#: Commands that read no settings, and so know no secret; and those that have something to show in none of these.
LEFT_OUT = {
    "check": "imports a kit in a process of its own, without settings",
    "new app": "writes files from templates",
    "new plugin": "writes files from templates",
    "bisect": "runs another command, and shows its exit code",
    **dict.fromkeys(
        (
            "manifest bundle",
            "manifest diff",
            "manifest inspect",
            "manifest keygen",
            "manifest keyring init",
            "manifest keyring rotate",
            "manifest keyring sign",
            "manifest publish",
            "manifest sign",
        ),
        "reads and writes files of a stream, without settings; tests/cli/test_manifest_words.py looks for their secrets",
    ),
    "demo": "runs a project of its own",
    "schedules run": "runs what is due, until it is interrupted",
    "orchestrate": "goes on until it is ended; tests/operating/test_logging.py looks for secrets in what it logs",
    "event listen": "shows what other processes have put into the state store, until it is interrupted",
}


def leaves(command=main, path=()):
    """The words of every command that can be run."""
    ctx = click.Context(main)
    if not isinstance(command, click.Group):
        return [" ".join(path)]
    found = [" ".join(path)] if path and command.invoke_without_command else []
    for name in command.list_commands(ctx):
        found += leaves(command.get_command(ctx, name), (*path, name))
    return found


@pytest.fixture
def shop(folder, monkeypatch):
    """The project, and a word of its own."""
    folder.write("shop.py", SHOP)
    folder.write("secret", FILE + "\n").chmod(0o600)
    toml = TOML.format(folder=folder.path, plain=PLAIN, bare=BARE)
    folder.write("oneiric.toml", toml)
    folder.write(
        "other.toml", toml.replace(PLAIN, f"{CANARY}-another") + '[adapters.selections]\ndb = "broken"\n'
    )
    folder.write(
        "broken.toml",
        toml.replace(
            "[lifecycle]", f'[lifecycle]\nnot_there = 1\n[adapters.settings.db.x]\npassword = "{CANARY}"\n'
        )
        .replace(f'password = "{PLAIN}"', "password = 5")
        .replace(
            'gone = "env:NOT_THERE"',
            f'gone = "{CANARY}"\nodd = "vult:{CANARY}"\nodder = "postgres://me:{CANARY}@db"',
        ),
    )
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path)
    folder.distribution("shop", oneiric_commands={"poke": "shop:poke"})
    monkeypatch.syspath_prepend(str(folder.path / "site"))
    monkeypatch.syspath_prepend(str(folder.path))
    monkeypatch.setenv("SHOP_ENV", ENV)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(folder.path / "state"))
    monkeypatch.delenv("NOT_THERE", raising=False)
    kits._words.cache_clear()
    yield folder
    kits._words.cache_clear()


def test_every_command_is_covered(shop):
    """A new one is to be listed here, with how it is called or why it need not be."""
    there = set(leaves())

    assert there - {"hello"} == WORDS.keys() | LEFT_OUT.keys()
    assert {word.split()[0] for word in WORDS.keys() | LEFT_OUT.keys()} >= COMMANDS.keys()


WAYS = {
    "narrow": ["--debug", "-q"],
    "loud": ["-v", "-v", "--debug"],
    "loud json": ["--json", "-v", "-v", "--debug"],
    "strict": ["--strict", "--debug"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("words", [f"{word} {more}".strip() for word, each in WORDS.items() for more in each])
def test_no_secret_comes_out_of_a_command(shop, monkeypatch, words, way):
    """Neither on stdout, nor on stderr, nor into a log; whatever becomes of the command."""
    monkeypatch.setenv("COLUMNS", "60" if way == "narrow" else "160")

    ended = shop.run(*words.split(), *WAYS[way])

    assert CANARY not in ended.out
    assert CANARY not in ended.err
    assert ended.out or ended.err
    if "--json" in WAYS[way] and ended.code == 0 and not words.startswith(("completion", "config schema")):
        assert ended.json["schema"]


@pytest.mark.parametrize(
    "words", ["poke chain", "poke db", "secrets list --check", "plugins", "plugins --json", "poke warn"]
)
def test_nor_in_a_process_of_its_own(shop, words):
    """With everything that is only set up there: the log, what is printed while it ends."""
    ended = shop.spawn(
        *words.split(), "-v", "-v", "--debug", SHOP_ENV=ENV, ONEIRIC_STATE_DIR=str(shop.path / "state")
    )

    assert CANARY not in ended.out + ended.err
    assert "***" in ended.out + ended.err


def test_what_is_masked_was_there(shop):
    """The project does leak: the same command shows secrets where nobody masks them."""
    from oneiric.cli.context import Context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Context, "masked", lambda self, text: text)
        ended = shop.run("poke", "show", "-v", "-v")

    assert all(each in ended.out for each in (ENV, f"{CANARY} of "))
    assert "made with" in ended.err
    assert CANARY in ended.err


# --- the library ---------------------------------------------------------------------------------------------------


def everything(error):
    """All that can be said of an exception and those it came from, with the locals of all their frames."""
    said = []
    seen = set()
    todo = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        todo += [each.__cause__, each.__context__]
        said += [str(each), repr(each), repr(each.args), repr(vars(each))]
        said += traceback.TracebackException.from_exception(each, capture_locals=True, compact=False).format()
    if isinstance(error, OneiricError):
        said += [str(error.twin()), repr(error.twin())]
    return "\n".join(said)


def test_no_secret_comes_out_of_the_library(shop):
    """Of settings, status, reasons, plans, errors and their tracebacks, while no plugin reveals one itself."""
    lines, sections, keep = (shop.path / "oneiric.toml").read_text().splitlines(), [], True
    for line in lines:
        if line.startswith("["):
            keep = line in {"[app]", "[secrets]", "[lifecycle]"} or line.startswith(
                "[adapters.settings.quiet"
            )
        if keep:
            sections.append(line)
    mine = "\n".join(sections).replace('["shop:Kit", "shop:Failing", "shop:Declares"]', '["quiet"]')
    mine += f'\n[adapters.settings.fine.fine]\npassword = "{PLAIN}"\nsecond = {{ "$secret" = "vault" }}\n'
    shop.write("quiet.toml", mine)
    shop.write("changed.toml", mine.replace(PLAIN, f"{CANARY}-another"))
    shop.write("wrong.toml", mine.replace(f'"{PLAIN}"', f'["{PLAIN}"]').replace("env:", f"vult:{CANARY}"))
    shop.write(
        "quiet.py",
        """
        from oneiric_hookspecs import Candidate, Key, SecretSource, hookimpl
        from shop import Settings, Vault, leak, quiet, vault
        import attrs
        from oneiric_hookspecs import Secret

        @attrs.frozen
        class Quiet:
            password: Secret
            second: Secret | None = None

        async def broken(*, settings: Quiet):
            password, table = settings.password, attrs.asdict(settings)
            raise RuntimeError(f"cannot connect with {password} and {table}")

        async def fine(*, settings: Quiet):
            return settings

        @hookimpl
        def oneiric_candidates():
            yield Candidate(Key.of("adapter", "quiet"), "quiet", broken, settings_class=Quiet)
            yield Candidate(Key.of("adapter", "fine"), "fine", fine, settings_class=Quiet)
            yield Candidate(Key.of("adapter", "vault"), "v", vault)

        @hookimpl
        def oneiric_secret_sources():
            yield SecretSource("leaky", leak)
        """,
    )
    stream = io.StringIO()
    logging.basicConfig(stream=stream, level=logging.DEBUG, force=True)
    said = []

    async def run():
        runtime = assemble("quiet.toml", environment=False)
        async with runtime:
            for words in (("adapter", "quiet"),):
                try:
                    async with runtime.use(*words):
                        pass
                except OneiricError as error:
                    said.append(everything(error))
            for name in runtime.settings.secrets:
                try:
                    said.append(repr(await runtime.secrets.get(name)))
                except OneiricError as error:
                    said.append(everything(error))
            async with runtime.use("adapter", "fine") as settings:
                said.append(f"{settings} {json.dumps(attrs.asdict(settings), default=str)}")
                assert (settings.password.reveal(), settings.second.reveal()) == (PLAIN, VAULT)
            said.append(repr(runtime.status()))
            said.append(repr(runtime.settings) + str(runtime.settings.warnings) + repr(runtime.secrets))
            said.append(repr(runtime.secrets.known()) + repr(vars(runtime.secrets).keys()))
            said.append(repr(runtime.plan()) + repr(runtime.plan("changed.toml")))
            said.append(repr(runtime.explain("adapter", "fine")) + repr(runtime.snapshot))
            said.extend(
                runtime.settings.written(key, each.provider)
                for key in runtime.snapshot.keys()
                for each in [runtime.resolve(*key)]
            )
            said.append(repr([vars_of(slot) for slot in runtime.engine("test").slots.values()]))
            try:
                await runtime.apply("wrong.toml")
            except OneiricError as error:
                said.append(everything(error))
        said.append(repr(await runtime.close()))
        said.append(repr(runtime.hooks.plugins) + repr(runtime.hooks.faults))

    asyncio.run(run(), debug=True)

    # What the program holds in its own constants is not what it said.
    assert CANARY not in "\n".join(said).replace(f'f"{CANARY} read', "")
    assert CANARY not in stream.getvalue()


def vars_of(thing):
    """What an object with slots or without holds."""
    names = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
    return {name: getattr(thing, name, None) for name in names} | getattr(thing, "__dict__", {})
