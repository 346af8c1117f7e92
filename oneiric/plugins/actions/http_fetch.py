"""``action:http.fetch``: ask a server something, inside limits.

An answer is a result, whatever its status, unless the settings say otherwise; that there is none is an error.  Private
addresses are not connected to unless the settings allow it, also where a name or a redirect leads there.  The
environment is not asked: no proxy, no ``.netrc``.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs
from oneiric_hookspecs import Action, ActionError, ActionTimeout, PluginContext, Retirement, hookimpl

from oneiric.plugins._http.clients import Clients
from oneiric.plugins._http.errors import HttpError, TookTooLong, Unfit
from oneiric.plugins._http.messages import Answer, Asked, check_headers, pairs
from oneiric.plugins._http.policy import Policy
from oneiric.plugins._requests import from_base64, setting_path, unfit, utf8

KEY = "http.fetch"
#: Those that mean texts; Python knows others, which take long or mean something else.
# fmt: off
_CHARSETS = frozenset({
    "utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "utf-32", "iso-8859-1",
    "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-15", "windows-1250",
    "windows-1251", "windows-1252", "windows-1253", "windows-1254", "koi8-r", "koi8-u", "shift_jis",
    "euc-jp", "iso-2022-jp", "euc-kr", "big5", "gbk", "gb2312", "gb18030", "macintosh",
})
# fmt: on


@attrs.frozen(eq=False, repr=False)
class Settings(Policy):
    """Where requests may go, with what, and how much may come of them.

    Args:
        raise_for_status: Whether an answer of another status than 200 to 299 is an error.
        max_sent: Bytes that a request's body may have.
    """

    raise_for_status: bool = False
    max_sent: int = attrs.field(default=10 * 1024 * 1024, validator=attrs.validators.ge(0))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What is asked of whom.

    Args:
        method: What is to be done.
        url: Of whom: ``https://shop.example/orders``.
        path: In place of it: what is added to the ``base_url`` of the settings.
        params: What is added to the query: texts, numbers, true, false, or lists of these.
        headers: Over those of the settings.
        json: The body: plain data, sent as JSON.
        data: The body: fields of a form.
        text: The body: a text, sent in UTF-8.
        base64: The body: bytes.
        timeout: Seconds for everything; at most, and without it, those of the settings.
        idempotent: Whether it may be done again where nobody knows whether it was; None is by the method, so not for
            POST and PATCH.
    """

    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: str | None = None
    path: str | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    json: Any = None
    data: Mapping[str, Any] | None = None
    text: str | None = None
    base64: str | None = None
    timeout: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    idempotent: bool | None = None

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.path is None):
            raise ValueError("give one of url and path")
        bodies = [name for name in ("json", "data", "text", "base64") if getattr(self, name) is not None]
        if len(bodies) > 1:
            raise ValueError(f"there is one body, found {' and '.join(bodies)}")


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was answered.

    Args:
        status: The number.
        ok: Whether that is 200 to 299.
        headers: By names in lower case; several of one name with commas between them.
        cookies: What was to be kept as cookies, and is not: the values of Set-Cookie.
        text: The body, where it is a text.
        base64: The body, where it is not.
        bytes: How long it is.
        url: Who answered: where redirects led.
        redirects: What was asked before, in order.
        attempts: How often it was tried.
        seconds: How long everything took.
        version: Of HTTP.
    """

    status: int
    ok: bool
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    text: str | None
    base64: str | None
    bytes: int
    url: str
    redirects: tuple[str, ...]
    attempts: int
    seconds: float
    version: str


class Plugin:
    """The plugin; it keeps a client for each generation of settings.

    Args:
        context: What every plugin is given.
    """

    def __init__(self, context: PluginContext) -> None:
        self._clients = Clients(context.host)

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(
            KEY, "Ask a server, inside limits", takes=Request, returns=Result, settings=Settings, run=self.run
        )

    @hookimpl
    async def oneiric_retired(self, retirement: Retirement) -> None:
        """Let go of the connections that nobody uses now, also when the runtime closes."""
        if str(retirement.key) == f"action:{KEY}":
            await self._clients.close_idle()

    async def run(self, request: Request, settings: Settings) -> Result:
        """Ask.

        Raises:
            ActionError: It is nothing that could be asked, it may not be, or there was no answer that may be taken.
            ActionTimeout: It took longer than it may.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = _asked(request, settings)
        if request.timeout is not None and request.timeout > settings.timeout:
            message = f"is at most {settings.timeout:g} seconds, found {request.timeout:g}"
            raise unfit(KEY, "timeout", message, setting="timeout")
        try:
            answer = await self._clients.of(settings).request(asked, timeout=request.timeout)
        except Unfit as error:
            field = "path" if request.path is not None and error.field == "url" else error.field
            raise unfit(KEY, field, error.message) from None
        except HttpError as error:
            setting = None if error.setting is None else setting_path(KEY, error.setting)
            kind = ActionTimeout if isinstance(error, TookTooLong) else ActionError
            raise kind(f"{KEY}: {error}", setting=setting) from error
        if settings.raise_for_status and not 200 <= answer.status <= 299:
            from oneiric.plugins._http.urls import origin

            raise ActionError(
                f"{KEY}: {origin(answer.url)} answered {answer.status}",
                setting=setting_path(KEY, "raise_for_status"),
            )
        return _result(answer, loop.time() - began)


def _asked(request: Request, settings: Settings) -> Asked:
    url = request.path if request.url is None else request.url
    assert url is not None
    if request.url is not None and "://" not in url[:20]:
        raise unfit(KEY, "url", "begins with http:// or https://; give a path as path")
    if request.path is not None:
        url = f"/{url.lstrip('/')}"
    try:
        check_headers(request.headers)
        body, kind = _body(request)
        params = pairs(request.params, "params")
    except Unfit as error:
        raise unfit(KEY, error.field, error.message) from None
    if len(body) > settings.max_sent:
        message = f"is {len(body):,} bytes long, and {settings.max_sent:,} are allowed"
        raise unfit(KEY, "body", message, setting="max_sent")
    headers = dict(request.headers)
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return Asked(request.method, url, params, headers, body, request.idempotent)


def _body(request: Request) -> tuple[bytes, str]:
    """The body, and what kind it is."""
    if request.json is not None:
        try:
            text = json.dumps(request.json, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, TypeError, RecursionError):
            raise Unfit("json", "cannot be written as JSON") from None
        return utf8(KEY, "json", text), "application/json"
    if request.data is not None:
        from urllib.parse import urlencode

        try:
            return urlencode(pairs(request.data, "data")).encode("ascii"), "application/x-www-form-urlencoded"
        except UnicodeEncodeError:
            raise Unfit("data", "holds half a surrogate pair, which UTF-8 cannot write") from None
    if request.text is not None:
        return utf8(KEY, "text", request.text), "text/plain; charset=utf-8"
    if request.base64 is not None:
        return from_base64(KEY, "base64", request.base64), "application/octet-stream"
    return b"", ""


def _result(answer: Answer, seconds: float) -> Result:
    text = _text(answer)
    names = dict.fromkeys(name for name, _ in answer.headers if name != "set-cookie")
    return Result(
        status=answer.status,
        ok=200 <= answer.status <= 299,
        headers={name: answer.header(name) for name in names},
        cookies=tuple(value for name, value in answer.headers if name == "set-cookie"),
        text=text,
        base64=base64.b64encode(answer.body).decode("ascii") if text is None else None,
        bytes=len(answer.body),
        url=answer.url,
        redirects=answer.redirects,
        attempts=answer.attempts,
        seconds=round(seconds, 3),
        version=answer.version,
    )


def _text(answer: Answer) -> str | None:
    """The body as a text, where it is one in the charset that it says, else in UTF-8."""
    _, _, after = answer.header("content-type").lower().partition("charset=")
    charset = after.partition(";")[0].strip().strip("\"'") or "utf-8"
    if charset not in _CHARSETS:
        return None
    try:
        return answer.body.decode(charset)
    except ValueError:
        return None
