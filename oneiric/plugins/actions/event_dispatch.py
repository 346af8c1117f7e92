"""``action:event.dispatch``: tell handlers and webhooks that something has happened.

D1  Nothing is sent unless the settings, or the request, say that it is meant: a dry run tells what would be.
D2  Webhooks are those of the settings, by name; a request cannot bring another.
D3  What becomes of one changes nothing for the others, nor for the handlers.
D4  A body is signed together with the time, in the way that ``action:security.signature`` verifies.
D5  An event has one id, and one body, over all attempts: so a hook can tell that it has it already, and it may be
    sent again where nobody knows whether it arrived.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs
from attrs.validators import ge, le, matches_re
from oneiric_hookspecs import (
    Action,
    Envelope,
    Host,
    NothingToCall,
    OneiricError,
    PluginContext,
    PluginError,
    Problem,
    Retirement,
    Secret,
    a_few,
    hookimpl,
    nearest,
)

from oneiric.plugins._cloudevents import to_cloudevent
from oneiric.plugins._http.clients import Clients
from oneiric.plugins._http.errors import HttpError
from oneiric.plugins._http.messages import Asked, check_headers
from oneiric.plugins._http.policy import Policy
from oneiric.plugins._plain import plain
from oneiric.plugins._requests import unfit, unfit_all
from oneiric.plugins._topics import matches

KEY = "event.dispatch"
_PATTERN = re.compile(r"([A-Za-z0-9_-]+|\*\*?)(\.([A-Za-z0-9_-]+|\*\*?))*", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#@\\]+([/?][^\s#]*)?", re.IGNORECASE)
Outcome = Literal["told", "failed", "would_tell"]


def _patterns(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError(f"{attribute.name} names no topic; write ** for all")
    for pattern in value:
        if _PATTERN.fullmatch(pattern) is None:
            raise ValueError(f"{pattern!r} is no pattern of topics; write order.paid, order.* or order.**")


def _a_url(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if _URL.fullmatch(value) is None:
        raise ValueError(f"{attribute.name} is http:// or https:// with a host, and nobody's password in it")


def _headers(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    check_headers(value)


@attrs.frozen(eq=False, repr=False)
class Hook:
    """A webhook: a server that wants to be told.

    Args:
        url: Where it is told.
        topics: What it wants to know: a topic, with ``*`` for one segment and ``**`` for any number of them.
        secret: What bodies are signed with, by HMAC-SHA256; None signs nothing.
        header: In which the signature is sent, in hex; the time is sent in the one that adds ``-Timestamp``.
        headers: Sent along.
        secret_headers: The same, of which nobody is to see the value.
    """

    url: str = attrs.field(validator=_a_url)
    topics: tuple[str, ...] = attrs.field(default=("**",), validator=_patterns)
    secret: Secret | None = None
    header: str = attrs.field(default="X-Signature", validator=matches_re(r"[A-Za-z0-9-]{1,100}"))
    headers: Mapping[str, str] = attrs.field(factory=dict, validator=_headers)
    secret_headers: Mapping[str, Secret] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.secret is not None and not self.secret:
            raise ValueError("secret is empty")
        check_headers({name: value.reveal() for name, value in self.secret_headers.items()})


@attrs.frozen(eq=False, repr=False)
class Settings(Policy):
    """Who is told, and how.

    Args:
        hooks: The webhooks, by name.
        handlers: Whether the handlers of the domain ``event`` are told, too.
        dry_run: Whether it is only told what would be sent, where a request does not say.
        concurrency: How many webhooks are told at once.
        source: Who tells, where a request does not say.
        max_event: Bytes that an event may have.
        redirects: How many are followed; a webhook should need none.
    """

    hooks: Mapping[str, Hook] = attrs.field(factory=dict)
    handlers: bool = True
    dry_run: bool = True
    concurrency: int = attrs.field(default=5, validator=[ge(1), le(100)])
    source: str = attrs.field(default="oneiric", validator=matches_re(r"[!-~]{1,500}"))
    max_event: int = attrs.field(default=1024 * 1024, validator=ge(1))
    redirects: int = attrs.field(default=0, validator=[ge(0), le(20)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What has happened.

    Args:
        topic: What: ``order.paid``.
        payload: Plain data.
        source: Who tells; None as the settings say.
        id: Of the event, unique in its source; None makes one.
        headers: Further attributes, texts by names of 1 to 20 lower-case letters and digits.
        hooks: Only these webhooks, by name; None is all that want to know.
        dry_run: Whether it is only told what would be sent; None as the settings say.
    """

    topic: str
    payload: Any = None
    source: str | None = None
    id: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    hooks: tuple[str, ...] | None = None
    dry_run: bool | None = None


@attrs.frozen(eq=False, repr=False)
class Told:
    """What became of telling one.

    Args:
        name: Which webhook, or which handler.
        outcome: ``told``; ``failed``: it was not, as far as is known; ``would_tell``, in a dry run.
        status: What a webhook answered; None where it did not, and for handlers.
        attempts: How often it was tried.
        error: Why it failed; empty where it did not.
    """

    name: str
    outcome: Outcome
    status: int | None = None
    attempts: int = 0
    error: str = ""


@attrs.frozen(eq=False, repr=False)
class Result:
    """What became of it.

    Args:
        id: Of the event.
        dry_run: Whether nothing was sent.
        ok: Whether nothing failed.
        hooks: The webhooks that want to know, in the order of the settings.
        handlers: The handlers that want to know, the highest priority first.
        event: What is sent, as CloudEvents has it; only in a dry run.
    """

    id: str
    dry_run: bool
    ok: bool
    hooks: tuple[Told, ...]
    handlers: tuple[Told, ...]
    event: Mapping[str, Any] | None = None


class Plugin:
    """The plugin; it keeps a client for each generation of settings.

    Args:
        context: What every plugin is given; its host has the handlers.
        now: Seconds since 1970 (UTC).
    """

    def __init__(self, context: PluginContext, now: Callable[[], float] = time.time) -> None:
        self._host: Host = context.host
        self._now = now
        self._clients = Clients(context.host)

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(
            KEY,
            "Tell handlers and webhooks that something has happened",
            takes=Request,
            returns=Result,
            settings=Settings,
            run=self.run,
        )

    @hookimpl
    async def oneiric_retired(self, retirement: Retirement) -> None:
        """Let go of the connections that nobody uses now, also when the runtime closes."""
        if str(retirement.key) == f"action:{KEY}":
            await self._clients.close_idle()

    async def run(self, request: Request, settings: Settings) -> Result:
        """Tell them, or tell who would be.

        Raises:
            ActionError: The event is not well formed or too large, or a webhook that is named is none.
        """
        envelope = _envelope(request, settings)
        event, body = _written(envelope, settings)
        hooks = {name: settings.hooks[name] for name in _chosen(request, settings)}
        dry = settings.dry_run if request.dry_run is None else request.dry_run
        turns = asyncio.Semaphore(settings.concurrency)
        tell = self._would_tell if dry else self._tell
        handlers, told = await asyncio.gather(
            self._handlers(envelope, dry=dry) if settings.handlers else _nobody(),
            asyncio.gather(*(tell(name, hook, body, settings, turns) for name, hook in hooks.items())),
        )
        ok = all(each.outcome != "failed" for each in (*told, *handlers))
        return Result(envelope.id, dry, ok, tuple(told), handlers, event if dry else None)

    async def _handlers(self, envelope: Envelope, *, dry: bool) -> tuple[Told, ...]:
        try:
            events = self._host.domain("event")
        except NothingToCall:
            return ()  # it is switched off, and nobody can have asked to be told
        if dry:
            names = events.whom(envelope.topic, envelope.payload)
            return tuple(Told(name, "would_tell") for name in names)
        try:
            deliveries = await events.send(envelope)
        except OneiricError as error:  # D3
            return (Told("**", "failed", error=_line(error)),)
        return tuple(
            Told(each.handler, "told", attempts=each.attempts)
            if each.outcome == "handled"
            else Told(each.handler, "failed", attempts=each.attempts, error=each.error)
            for each in deliveries
        )

    async def _would_tell(
        self, name: str, hook: Hook, body: bytes, settings: Settings, turns: asyncio.Semaphore
    ) -> Told:
        try:
            self._clients.of(settings).check(self._asked(hook, body))
        except (HttpError, ValueError) as error:
            return Told(name, "failed", error=_line(error))
        return Told(name, "would_tell")

    async def _tell(
        self, name: str, hook: Hook, body: bytes, settings: Settings, turns: asyncio.Semaphore
    ) -> Told:
        async with turns:
            try:
                answer = await self._clients.of(settings).request(self._asked(hook, body))
            except HttpError as error:
                return Told(name, "failed", attempts=error.attempts, error=_line(error))
            except Exception as error:  # D3
                return Told(name, "failed", error=_line(error))
        if 200 <= answer.status <= 299:
            return Told(name, "told", answer.status, answer.attempts)
        return Told(name, "failed", answer.status, answer.attempts, f"it answered {answer.status}")

    def _asked(self, hook: Hook, body: bytes) -> Asked:
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", **hook.headers}
        headers |= {name: value.reveal() for name, value in hook.secret_headers.items()}
        if hook.secret is not None:  # D4
            now = int(self._now())
            headers[hook.header] = hmac.digest(hook.secret.encode(), b"%d." % now + body, "sha256").hex()
            headers[f"{hook.header}-Timestamp"] = str(now)
        return Asked("POST", hook.url, headers=headers, body=body, repeatable=True)  # D5


def _envelope(request: Request, settings: Settings) -> Envelope:
    more: dict[str, Any] = {} if request.id is None else {"id": request.id}
    source = settings.source if request.source is None else request.source
    try:
        return Envelope(request.topic, request.payload, source=source, headers=request.headers, **more)
    except PluginError as error:
        said = (
            error.message if len(error.message) <= 300 else f"{error.message[:60]}...{error.message[-200:]}"
        )
        raise unfit_all(KEY, [Problem("", said, hint=error.hint)]) from None


def _written(envelope: Envelope, settings: Settings) -> tuple[dict[str, Any], bytes]:
    """The event in the names of CloudEvents, and its bytes."""
    try:
        event = plain(to_cloudevent(envelope))
        text = json.dumps(event, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        body = text.encode()
    except (ValueError, TypeError, RecursionError):
        raise unfit(KEY, "payload", "cannot be written as JSON in UTF-8") from None
    if len(body) > settings.max_event:
        message = f"is {len(body):,} bytes long as an event, and {settings.max_event:,} are allowed"
        raise unfit(KEY, "payload", message, setting="max_event")
    return event, body


def _chosen(request: Request, settings: Settings) -> list[str]:
    """The names of the hooks that want to know.  Raises: ActionError."""
    problems = []
    for place, name in enumerate(request.hooks or ()):
        if name not in settings.hooks:  # D2
            near = nearest(name, settings.hooks)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(settings.hooks)}"
            problems.append(Problem(f"hooks[{place}]", f"there is no webhook {name[:60]!r}", hint=hint))
    if problems:
        raise unfit_all(KEY, problems, setting="hooks")
    return [
        name
        for name, hook in settings.hooks.items()
        if (request.hooks is None or name in request.hooks)
        and any(matches(pattern, request.topic) for pattern in hook.topics)
    ]


async def _nobody() -> tuple[Told, ...]:
    return ()


def _line(error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    return (
        said
        if isinstance(error, (OneiricError, HttpError, ValueError))
        else f"{type(error).__name__}: {said}"
    )
