"""Whatever ends a command becomes a few lines on stderr, or one JSON object there, and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .context import Context

#: As the shell shows a process that SIGINT, SIGPIPE or SIGTERM ended.
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143


class Told(Exception):
    """Ends a command that has said everything already, with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def finish(run: Callable[[], None], context: Context) -> int:
    """Run a command; whatever it raises is reported.

    Returns:
        The exit code.
    """
    _tolerate_odd_streams()
    try:
        code = 0
        try:
            run()
        except click.exceptions.Exit as end:
            code = end.exit_code
        except Told as end:
            code = end.code
        context.flush()
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_on_stdout()
        return BROKEN_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        if context.options.json:
            words = f"{error.ctx.command_path} wants a command" if error.ctx else "there is no command"
            return _report(context, _Report("UsageError", words, "see --help", error.exit_code), error)
        click.echo(error.format_message(), err=True, color=context.color_err)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort, EOFError) as error:
        if context.terminated:
            return TERMINATED  # whoever sent it knows
        return _report(context, _Report("Interrupted", "interrupted", None, INTERRUPTED), error)
    except Exception as error:
        return _report(context, _describe(error, context.masked), error)
    return code


class _Report:
    def __init__(self, code: str, message: str, hint: str | None, exit_code: int, **more: Any) -> None:
        self.code, self.message, self.hint, self.exit, self.more = code, message, hint, exit_code, more

    def json(self, masked: Callable[[str], str]) -> str:
        from .output import mask

        facts = {"code": self.code, "message": self.message, "hint": self.hint, "exit": self.exit}
        return json.dumps({"schema": "oneiric/error/1", **mask({**facts, **self.more}, masked)})


def _describe(error: Exception, masked: Callable[[str], str]) -> _Report:
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        return _Report(type(error).__name__, error.format_message(), None, error.exit_code)
    # Whoever raised one of ours has imported it: what did not is not worth 30 milliseconds.
    contract = sys.modules.get("oneiric_hookspecs")
    if contract is not None and isinstance(error, contract.OneiricError):
        first, *rest = str(error).splitlines() or [type(error).__name__]
        hint = "\n".join(line.strip() for line in rest) or None
        more: dict[str, Any] = {}
        if isinstance(error, contract.SettingsError):
            more["problems"] = [
                {"path": each.path, "message": each.message, "where": each.where, "hint": each.hint}
                for each in error.problems
            ]
        return _Report(type(error).__name__, first, hint, error.exit_code, **more)
    if isinstance(error, OSError) and _place(error)[0] in (click.utils.__file__, __file__):
        _give_up_on_stdout()
        return _Report("OSError", f"cannot write the answer: {error.strerror}", None, 1)
    where = ":".join(map(str, _place(error)))
    return _Report(
        "Bug",
        f"a bug: {type(error).__name__}: {' '.join(masked(str(error)).split())[:300]} ({where})",
        "please report it, with what --debug prints",
        1,
    )


def _usage(error: click.UsageError) -> _Report:
    if isinstance(error, click.NoSuchOption):
        # In words of our own, since click's are others from version to version.
        meant = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        message = f"there is no option {error.option_name}{meant}"
    else:
        message = error.format_message().strip().rstrip(".")
        message = message[:1].lower() + message[1:]
    path = error.ctx.command_path if error.ctx is not None else "oneiric"
    return _Report("UsageError", " ".join(message.split()), f"see {path} --help", error.exit_code)


def _report(context: Context, report: _Report, error: BaseException) -> int:
    options = context.options
    if options.debug and report.exit != INTERRUPTED:
        import traceback

        trace = context.masked("".join(traceback.format_exception(error)))
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody is there to be told
            click.echo(trace, err=True, nl=False)
    if options.json:
        text = report.json(context.masked)
    elif report.exit == INTERRUPTED and report.hint is None:
        text = "interrupted"
    else:
        word = click.style("error:", fg="red", bold=True) if context.color_err else "error:"
        lines = [f"{word} {report.message}", *(f"  {line}" for line in (report.hint or "").splitlines())]
        text = context.masked("\n".join(lines))
    try:
        click.echo(text, err=True, color=context.color_err)
    except (OSError, ValueError, AttributeError):
        pass  # nobody is there to be told
    return report.exit


def _place(error: BaseException) -> tuple[str, int]:
    """The file and line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return ("nowhere", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def _tolerate_odd_streams() -> None:
    """A stream that cannot show a letter gets its number, and one that is closed is nowhere; neither is a traceback."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - open until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _give_up_on_stdout() -> None:
    """Whatever is left to be flushed at the end goes nowhere, instead of failing there."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass
