"""Settings that are not valid are applied not at all: neither what is wrong in them, nor what is right."""

import attrs
import pytest
from oneiric_hookspecs import SettingsError, hookimpl

from oneiric import assemble
from oneiric.settings import Flag, load


@attrs.frozen
class Sized:
    size: int = 1


class Log:
    """A plugin with settings."""

    @attrs.frozen
    class Settings:
        level: int = 0

    def __init__(self, context):
        self.level = context.settings.level

    @hookimpl
    def oneiric_started(self):
        """Nothing."""


RIGHT = """
[adapters.selections]
store = "b"
[adapters.settings.store.a]
size = 9
[resolver]
stack_order = "app:9"
[lifecycle]
max_probes = 3
"""

WRONG = {
    "a section": "[app]\nnam = 1\n",
    "a limit": '[lifecycle.keys."adapter:store"]\ncreate_timeout = 0\n',
    "a section nobody declares": "[adaptors]\n",
    "a table of a candidate": "[adapters.settings.store.b]\nsiez = 1\n",
    "a selection": "[adapters.selections.x]\ny = 1\n",
    "a table of a plugin": '[plugins.settings.Log]\nlevel = "high"\n',
    "a profile that is not chosen": "[profile.prod.app]\nnam = 1\n",
    "a table of a profile that is not chosen": "[profile.prod.adapters.settings.store.a]\nsize = true\n",
    "no TOML": "a = \n",
}


def everything_about(runtime):
    """What an operator could see change."""
    slots = {
        str(each.key): (each.bound.provider, each.bound.number)
        for each in runtime.status().slots
        if each.bound
    }
    return (
        runtime.settings,
        runtime.snapshot,
        slots,
        [each.key for each in runtime.status().slots if each.pending],
    )


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_of_it_is_applied(shop, run, tmp_path, wrong):
    """Settings, decisions, instances and what is pending are the very same afterwards; and so says the plan."""
    file = tmp_path / "new.toml"
    file.write_text(RIGHT + WRONG[wrong])
    candidates = [shop.candidate("store", provider, settings_class=Sized) for provider in ("b", "a")]

    async def main():
        async with shop.runtime(*candidates, plugins=[Log]) as runtime:
            async with runtime.use("adapter", "store"):
                pass
            before = everything_about(runtime)
            for attempt in (runtime.plan, runtime.apply):
                with pytest.raises(SettingsError) as caught:
                    answer = attempt(file)
                    if answer is not None and hasattr(answer, "__await__"):
                        await answer
                assert len(caught.value.problems) == 1
                assert caught.value.problems[0].where.startswith(str(file))
                now = everything_about(runtime)
                assert all(one is other for one, other in zip(now[:2], before[:2], strict=True))
                assert now[2:] == before[2:]
            await runtime.apply(_right(tmp_path))
            assert everything_about(runtime)[2] != before[2]

    run(main())


def test_other_settings_are_read_with_the_same_profile_and_options(tmp_path):
    """Those that the runtime was assembled with, whatever the environment says."""
    file = tmp_path / "shop.toml"
    file.write_text(
        '[adapters.selections]\ncache = "memory"\n[profile.prod.adapters.selections]\ncache = "disk"\n'
    )
    settings = load(file, profile="prod", flags=[Flag("-p no:x", ("plugins", "off"), "x")], environ={})

    runtime = assemble(settings, environment=False)

    assert runtime.plan(file) == []
    bound = runtime.bind(file)
    assert (bound.profile, bound.plugins.off) == ("prod", ("x",))
    assert [each.after for each in runtime.plan(load(file, environ={}))] == ["memory"]


def _right(folder):
    file = folder / "right.toml"
    file.write_text(RIGHT)
    return file
