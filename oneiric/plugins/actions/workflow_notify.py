"""``action:workflow.notify``: tell somebody, by the adapter ``messaging`` where there is one, else by the log.

Where there is one and it fails, that is an error: it is not logged instead as if that were the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, ActionError, OneiricError, PluginContext, hookimpl

from oneiric.plugins._requests import unfit
from oneiric.plugins._walk import one_line

KEY = "workflow.notify"
Level = Literal["debug", "info", "warning", "error", "critical"]
#: The adapter, and the longest name of a channel or a recipient.
ADAPTER, _LONGEST = "messaging", 320


@attrs.frozen(eq=False, repr=False)
class Settings:
    """To whom, and how much.

    Args:
        channel: Where a request names none; empty for none.
        recipients: Who, where a request names nobody.
        channels: Those that a request may name; None for any.
        max_message: Characters that a message may have.
        max_recipients: How many there may be.
    """

    channel: str = ""
    recipients: tuple[str, ...] = ()
    channels: tuple[str, ...] | None = None
    max_message: int = attrs.field(default=10_000, validator=[ge(1), le(1_000_000)])
    max_recipients: int = attrs.field(default=100, validator=[ge(1), le(10_000)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to tell whom.

    Args:
        message: What.
        level: How much it matters.
        channel: Where: a room, a topic; None as the settings say.
        recipients: Whom; None as the settings say.
    """

    message: str
    level: Level = "info"
    channel: str | None = None
    recipients: tuple[str, ...] | None = None

    def __attrs_post_init__(self) -> None:
        if not self.message.strip():
            raise ValueError("message is empty")
        for name in (self.channel, *(self.recipients or ())):
            if name is not None and (not 1 <= len(name) <= _LONGEST or not name.isprintable()):
                raise ValueError(
                    f"a channel or recipient has 1 to {_LONGEST} characters, none of them a control character"
                )


@attrs.frozen(eq=False, repr=False)
class Result:
    """What became of it.

    Args:
        by: ``adapter``, or ``log`` where there is no adapter.
        provider: Which adapter; None for the log.
        id: What the adapter calls the message; None where it does not say.
        channel: Where it was told; empty for nowhere in particular.
        recipients: Who was told.
    """

    by: Literal["adapter", "log"]
    provider: str | None
    id: str | None
    channel: str
    recipients: tuple[str, ...]


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given; its host has the adapters.
    """

    def __init__(self, context: PluginContext) -> None:
        self._host, self._log = context.host, context.log

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(KEY, "Tell somebody", takes=Request, returns=Result, settings=Settings, run=self.run)

    async def run(self, request: Request, settings: Settings) -> Result:
        """Tell them.

        Raises:
            ActionError: It is too long, to too many, or to a channel that is not allowed; or the adapter failed.
        """
        channel = settings.channel if request.channel is None else request.channel
        recipients = settings.recipients if request.recipients is None else request.recipients
        if len(request.message) > settings.max_message:
            size, most = len(request.message), settings.max_message
            message = f"has {size:,} characters, and {most:,} are allowed"
            raise unfit(KEY, "message", message, setting="max_message")
        if len(recipients) > settings.max_recipients:
            message = f"are {len(recipients):,}, and {settings.max_recipients:,} are allowed"
            raise unfit(KEY, "recipients", message, setting="max_recipients")
        if settings.channels is not None and request.channel not in {None, *settings.channels}:
            message = f"{channel!r} is not allowed; allowed: {', '.join(settings.channels) or 'none'}"
            raise unfit(KEY, "channel", message, setting="channels")
        if ADAPTER not in self._host.keys("adapter"):
            to = "".join(
                (f" in {channel}" if channel else "", f" to {', '.join(recipients)}" if recipients else "")
            )
            level = logging.getLevelNamesMapping()[request.level.upper()]
            self._log.log(
                level, "%s", f"{one_line(request.message, settings.max_message)}{to and f' ({to[1:]})'}"
            )
            return Result("log", None, None, channel, recipients)
        provider = self._host.resolve("adapter", ADAPTER).provider
        sent = await self._sent(request, channel, recipients)
        return Result("adapter", provider, None if sent is None else str(sent), channel, recipients)

    async def _sent(self, request: Request, channel: str, recipients: tuple[str, ...]) -> Any:
        async with self._host.use("adapter", ADAPTER) as adapter:
            try:
                return await adapter.send(
                    request.message, level=request.level, channel=channel or None, recipients=recipients
                )
            except OneiricError:
                raise
            except Exception as error:
                said = " ".join(str(error).split())[:300]
                raise ActionError(
                    f"{KEY}: adapter:{ADAPTER} did not send it: {type(error).__name__}: {said}"
                ) from error
