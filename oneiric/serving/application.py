"""What is answered, as an ASGI application: health, status, and what plugins declare.

R1  only GET and HEAD
R2  at an address of this machine, only who asks for this machine: a page in a browser can name any host that leads here
R3  nothing is to be kept by anybody on the way
R4  no answer holds a secret, or a traceback
R5  health is what is known; asking for it probes nothing
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from oneiric_hookspecs import HealthSummary, Key, OneiricError, nearest

from .asking import Asking, Declared, Late, by_path
from .places import host_of, is_loopback

log = logging.getLogger("oneiric.serving")

HOW_TO = "docs/how-to/serve-health.md"
HEALTH, STATUS = "/health", "/status"
#: Seconds that a route may take.
SECONDS = 10.0
#: In the words of the format ``application/health+json``.
_WORDS = {"ok": "pass", "degraded": "warn", "unknown": "fail", "failed": "fail"}
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"connection", b"close"),
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Served(Protocol):
    """What is asked; an ``Orchestrator`` is one."""

    def live(self) -> HealthSummary:
        """Whether the process should go on."""

    def ready(self) -> HealthSummary:
        """Whether work should be sent to it."""

    def summary(self, group: str, /) -> HealthSummary:
        """How a group of parts is.  Raises: OneiricError, KeyError, there is none of that name."""

    def status(self) -> Mapping[str, Any]:
        """All that is known, as plain data."""


class Application:
    """Answers requests.

    Args:
        served: What is asked for health and status.
        routes: What plugins declare, with their names.
        masked: Takes the secrets out of a text.
        local: Whether only who asks for this machine is answered.
        seconds: How long a route may take.
    """

    def __init__(
        self,
        served: Served,
        routes: Iterable[Declared] = (),
        *,
        masked: Callable[[str], str] = str,
        local: bool = True,
        seconds: float = SECONDS,
    ) -> None:
        self._served, self._masked, self._local = served, masked, local
        self._routes = by_path(routes, (HEALTH, STATUS))
        self._asking = Asking(seconds)

    def hurry(self) -> None:
        """Wait for no route any more."""
        self._asking.hurry()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise RuntimeError(f"nothing is served but http, and this is {scope['type']}")
        try:
            status, kind, body = await self._answer(scope)
        except Exception as error:
            log.exception("%s could not be answered", scope["path"])
            status, kind, body = self._told(
                500, f"a bug: {type(error).__name__}", "its traceback is in the log"
            )
        headers = [*_HEADERS, (b"content-type", kind.encode("ascii", "replace"))]
        headers.append((b"content-length", str(len(body)).encode()))
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: MutableMapping[str, Any]) -> tuple[int, str, bytes]:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if self._local and not all(is_loopback(host_of(value.decode("latin-1"))) for value in hosts):  # R2
            return self._told(421, "only requests for this machine are answered here", "ask for localhost")
        if scope["method"] not in ("GET", "HEAD"):  # R1
            return self._told(405, "there is nothing here but to read", "use GET or HEAD")
        path: str = scope["path"]
        if path == STATUS:
            return self._json(200, {"schema": "oneiric/status/1", **self._served.status()})
        if path.startswith(f"{HEALTH}/"):
            return self._health(path.removeprefix(f"{HEALTH}/"))
        if path in self._routes:
            return await self._declared(path)
        return self._nothing(path)

    # --- health ------------------------------------------------------------------------------------------------

    def _health(self, group: str) -> tuple[int, str, bytes]:
        served = self._served
        try:
            if group in ("live", "ready"):
                summary = served.live() if group == "live" else served.ready()
            else:
                summary = served.summary(group)
        except KeyError:
            return self._nothing(f"{HEALTH}/{group}")
        except OneiricError as error:
            first, *more = str(error).splitlines() or [type(error).__name__]
            return self._told(404, first, " ".join(" ".join(more).split()))
        # Who is ended for being down would not be helped by waiting for what it depends on: that is not known yet, or
        # bad, and this process lives all the same.
        ill = ("failed",) if group == "live" else ("failed", "unknown")
        body = {
            "schema": "oneiric/health/1",
            "status": "fail"
            if summary.status in ill
            else "warn"
            if summary.status == "unknown"
            else _WORDS[summary.status],
            "health": summary.status,
            "group": group,
            "reasons": list(summary.reasons),
            "members": {
                str(key): {"health": health.status, "reason": health.reason, "kind": health.kind}
                for key, health in sorted(summary.members.items(), key=lambda item: str(item[0]))
            },
        }
        return self._json(503 if summary.status in ill else 200, body, "application/health+json")

    # --- routes ------------------------------------------------------------------------------------------------

    async def _declared(self, path: str) -> tuple[int, str, bytes]:
        declared = self._routes[path]
        if len(declared) > 1:
            names = " and ".join(sorted(name for name, _ in declared))
            return self._told(
                500, f"the plugins {names} both declare {path}", "leave one of them out: -p no:NAME"
            )
        [(plugin, route)] = declared
        try:
            body = await self._asking.ask(route.get)
        except Late:
            return self._told(504, f"{path} of the plugin {plugin} gave nothing in time", "")
        except Exception as error:
            log.warning("plugin %s: the route %s failed", plugin, path, exc_info=error)
            said = f"{path} of the plugin {plugin} failed: {type(error).__name__}"
            return self._told(500, said, "its traceback is in the log")
        kind = route.content_type
        if kind.startswith("text/") and "charset" not in kind:
            kind += "; charset=utf-8"
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return 200, kind, body  # what is no text has no secret that could be found
        masked = self._masked(text)
        return 200, kind, body if masked == text else masked.encode()

    def _nothing(self, path: str) -> tuple[int, str, bytes]:
        there = [f"{HEALTH}/live", f"{HEALTH}/ready", f"{HEALTH}/all", STATUS, *sorted(self._routes)]
        near = nearest(path, there)
        if path == "/metrics":
            hint = "a plugin brings it: pip install oneiric-otel"
        else:
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(there)}"
        return self._told(404, f"there is nothing at {path[:200]}", f"{hint} (see {HOW_TO})")

    # --- answers -----------------------------------------------------------------------------------------------

    def _told(self, status: int, message: str, hint: str) -> tuple[int, str, bytes]:
        return self._json(status, {"schema": "oneiric/error/1", "message": message, "hint": hint or None})

    def _json(self, status: int, value: Any, kind: str = "application/json") -> tuple[int, str, bytes]:
        return status, kind, json.dumps(self._plain(value)).encode() + b"\n"

    def _plain(self, value: Any) -> Any:
        """Plain data, without secrets; what JSON has no word for becomes a text."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return {str(name): self._plain(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and not isinstance(value, Key):
            return [self._plain(item) for item in value]
        return self._masked(str(value))
