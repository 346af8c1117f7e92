"""``oneiric bisect``: which plugin breaks a command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from oneiric.cli.context import Context
from oneiric.cli.output import cut, plain, width
from oneiric.cli.pasteable import pasteable

#: Exit status where no plugin is to blame.
NOBODY = 3


@click.command("bisect", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--bad-exit",
    multiple=True,
    type=click.IntRange(0, 255),
    metavar="CODE",
    help="Only this exit status is bad, others are good; may be repeated.  Else all but 0 are bad.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="A run that takes longer is killed, and bad.",
)
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
@click.pass_context
def command(
    ctx: click.Context, bad_exit: tuple[int, ...], timeout: float | None, cmd: tuple[str, ...]
) -> None:
    """Find which plugin breaks CMD, by switching off half of them again and again.

    CMD is run with all installed plugins that are on, which must be bad, and with none, which must be good; then with
    fewer and fewer.  It may be anything that assembles a runtime in its process or below it, such as pytest.  Exits
    with 0 if the culprits are found, with 3 if no plugin is to blame.

    With -v what CMD writes goes to stderr.
    """
    context: Context = ctx.obj
    # What stands behind CMD is CMD's, even without the two dashes.
    context.options.json = _given(ctx, "global_json")
    context.options.debug = _given(ctx, "global_debug")

    from .plugins import those_that_are_on
    from .search import Search

    plugins, off = those_that_are_on(context)
    trials = Trials(context, [str(word) for word in cmd], plugins, off, bad_exit, timeout)
    search = trials.search = Search(plugins, trials.bad)
    try:
        found = search.find()
    finally:
        trials.close()
    answer = trials.answer(found)
    context.show(answer, "oneiric/bisect/1", lambda _: trials.said(found, answer))
    if found.outcome != "found":
        ctx.exit(NOBODY)


def _given(ctx: click.Context | None, name: str) -> bool:
    while ctx is not None:
        if ctx.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT):
            return True
        ctx = ctx.parent
    return False


class Trials:
    """The runs of one search, told as they end."""

    def __init__(
        self,
        context: Context,
        cmd: list[str],
        plugins: Sequence[Any],
        off: Sequence[str],
        bad_exit: Sequence[int],
        timeout: float | None,
    ) -> None:
        self.context, self.cmd, self.plugins, self._off = context, cmd, plugins, off
        self.bad_exit, self.timeout = bad_exit, timeout
        self.runs: list[dict[str, Any]] = []
        self.search: Any = None
        self._tells = not context.options.json and context.options.verbosity >= 0
        self._moves = self._tells and sys.stderr.isatty()
        self._shown = False

    def bad(self, on: Sequence[Any]) -> bool:
        """Run the command with *on*, and no other of the plugins."""
        from oneiric.hooks.switching import BISECT

        from .running import run

        number, left = len(self.runs) + 1, self.search.left
        which = f"run {number}: {len(on)} of {len(self.plugins)} plugins on"
        more = f", about {left - 1} more" if left is not None and left > 1 else ""
        self._progress(f"{which} ...{more}")
        off = [*self._off, *(each.token for each in self.plugins if each not in on)]
        environment = {**os.environ, BISECT: ",".join(off)}
        done = run(self.cmd, environment, self.timeout, show=self.context.options.verbosity > 0)
        bad = done.exit is None or (done.exit in self.bad_exit if self.bad_exit else done.exit != 0)
        self.runs.append(
            {
                "on": [each.name for each in on],
                "bad": bad,
                "exit": done.exit,
                "timed_out": done.exit is None,
                "seconds": round(done.seconds, 3),
                "said": list(done.said),
            }
        )
        self._tell(f"{which}: {'bad' if bad else 'good'} ({done}, {done.seconds:.1f} s){more}")
        return bad

    def close(self) -> None:
        """Take away what shows the progress."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def _progress(self, text: str) -> None:
        if self._moves:
            self.close()
            sys.stderr.write(cut(text, width() - 1))
            sys.stderr.flush()
            self._shown = True

    def _tell(self, text: str) -> None:
        self.close()
        if self._tells:
            click.echo(text, err=True, color=self.context.color_err)

    # --- the answer --------------------------------------------------------------------------------------------

    def answer(self, found: Any) -> dict[str, Any]:
        """As plain data."""
        return {
            "command": self.cmd,
            "outcome": found.outcome,
            "plugins": len(self.plugins),
            "culprits": [[each.facts for each in group] for group in found.groups],
            "off": [each.name for each in found.off],
            "mend": self._mend(found.off),
            "runs": self.runs,
        }

    def said(self, found: Any, answer: dict[str, Any]) -> str:
        """For people."""
        first, cmd = self.runs[0], shlex.join(self.cmd)
        count = f"{len(self.plugins)} installed plugin{'s' * (len(self.plugins) != 1)}"
        if found.outcome == "good":
            said = (
                f"{cmd} ends well ({_ended(first)}) with every plugin on ({count}): there is nothing to find"
            )
            return said if self.bad_exit else f"{said}\nto look for another exit status: --bad-exit CODE"
        if found.outcome == "not plugins":
            return "\n".join(
                [
                    f"no plugin is to blame: {cmd} is bad ({_ended(self.runs[1])}) with none on, too ({count} tried)",
                    *_tail(self.runs[1]),
                ]
            )
        lines = [line for group in found.groups for line in self._blamed(group)]
        if found.outcome == "unsteady":
            lines += [
                f"{cmd} is bad with all plugins on, and was not bad again with any few of them",
                "it may end differently from run to run: run this again, or see the runs with --json",
            ]
            return "\n".join(lines)
        off = ", ".join(each.name for each in found.off)
        lines += ["", f"without {off} it is good, all others on:", f"  {answer['mend']}"]
        return "\n".join(lines)

    def _mend(self, off: Sequence[Any]) -> str | None:
        if not off:
            return None
        return pasteable(self.context, "plugins", "off", *(each.switch for each in off))

    def _blamed(self, group: Sequence[Any]) -> list[str]:
        names = {each.name for each in group}
        run = next(run for run in self.runs if set(run["on"]) == names)
        if len(group) == 1:
            return [f"culprit: {group[0]}; bad ({_ended(run)}) with it alone", *_tail(run)]
        return [
            f"culprits, bad ({_ended(run)}) only together:",
            *(f"  {each}" for each in group),
            *_tail(run),
        ]


def _ended(run: dict[str, Any]) -> str:
    return "timed out" if run["timed_out"] else f"exit {run['exit']}"


def _tail(run: dict[str, Any]) -> list[str]:
    return [f"  | {line[: len(line) - len(line.lstrip(' '))]}{plain(line)}" for line in run["said"]]
