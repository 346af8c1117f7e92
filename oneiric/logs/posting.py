"""Records over http: queued, sent in batches by a thread, and never waited for by who logs.

P1  who logs waits for nothing but a lock that is held for the time of an append
P2  what waits is bounded, in records and in characters; the oldest make room, and are counted
P3  what was lost is told: on stderr now and then, and as a record of its own when something gets through again
P4  a batch that was not taken is tried again, ever more slowly; one that is refused for good is lost
P5  what this thread logs itself, or httpx for it, does not come back here
P6  the end waits so long and no longer
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .facts import THREAD
from .sinks import Trouble

if TYPE_CHECKING:
    import httpx

#: Characters that wait, at the most.
MOST = 32 * 1024 * 1024
#: Seconds before the first new try, and between two at the most.
FIRST, SLOWEST = 0.5, 60.0
#: Answers that mean: again, later.
_LATER = frozenset({401, 403, 408, 425, 429})


class Revealing(Protocol):
    """A secret."""

    def reveal(self) -> str:
        """What it holds."""


class Secrets(Protocol):
    """Who gives secrets, by their names, on the loop that runs."""

    def get(self, name: str, /) -> Awaitable[Revealing]:
        """One of them."""


class HttpSink(logging.Handler):
    """Posts records as JSON lines.

    Args:
        name: The sink's.
        url: Where to.
        batch: Records in a request.
        interval: Seconds until a batch goes that is not full.
        queue: Records that wait.
        timeout: Seconds for each step of a request.
        headers: Names of secrets, by header.
        secrets: Who gives them.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        batch: int = 100,
        interval: float = 1.0,
        queue: int = 10_000,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        secrets: Secrets | None = None,
        content_type: str = "application/x-ndjson",
    ) -> None:
        super().__init__()
        self.trouble = Trouble(name)
        self._url, self._batch, self._interval, self._most = url, batch, interval, queue
        self._timeout, self._type = timeout, content_type
        self._names = dict(headers or {})
        self._secrets = secrets
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        self._known: dict[str, str] | None = None if self._names else {}
        self._lines: deque[str] = deque()
        self._size = self._dropped = self._gone = 0
        self._wake = threading.Condition(threading.Lock())
        self._closing: float | None = None
        self._last = False
        self._thread: threading.Thread | None = None

    # --- who logs ----------------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Let it wait to be sent (P1, P2)."""
        if self._closing is not None or record.threadName == THREAD:  # P5
            return
        try:
            line = self.format(record)
        except Exception as error:
            self.trouble.tell(type(error).__name__)
            return
        with self._wake:
            self._lines.append(line)
            self._size += len(line)
            while len(self._lines) > self._most or (self._size > MOST and len(self._lines) > 1):
                self._size -= len(self._lines.popleft())
                self._dropped += 1
            # After a fork the thread is not there any more.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                self._thread.start()
            if len(self._lines) in (1, self._batch):
                self._wake.notify()

    def end(self, seconds: float = 5.0) -> None:
        """Take nothing more, and send what waits within *seconds*; nobody waits for that."""
        with self._wake:
            if self._closing is None:
                self._closing = time.monotonic() + seconds
            self._wake.notify()

    def close(self, seconds: float = 5.0) -> None:
        """The same, and wait so long and no longer (P6)."""
        self.end(seconds)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)
            if thread.is_alive():
                self.trouble.tell("the end did not wait for what was still to be sent", len(self._lines))
        super().close()

    # --- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        import httpx

        pause = FIRST
        try:
            timeout = httpx.Timeout(self._timeout)
            with httpx.Client(timeout=timeout, follow_redirects=False) as client:
                while True:
                    lines = self._next()
                    if not lines:
                        return
                    why, again = self._post(client, lines)
                    self._tell_dropped(why)
                    if not why:
                        pause = FIRST
                    elif again and self._return(lines):
                        if not self._sleep(pause):
                            self._give_up(why)
                            return
                        pause = min(pause * 2, SLOWEST)
                    else:
                        self._lost(why, len(lines))
        except Exception as error:  # nobody would see it, and the sink would be silent for ever
            self.trouble.tell(f"its thread failed: {type(error).__name__}", 0)

    def _next(self) -> list[str]:
        """The next batch, when it is full or its time has come; nothing at the end."""
        with self._wake:
            while not self._lines and self._closing is None:
                self._wake.wait()
            until = time.monotonic() + self._interval
            while len(self._lines) < self._batch and self._closing is None:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._wake.wait(left)
            late = self._closing is not None and time.monotonic() >= self._closing
            lines: list[str] = []
            if not late:
                lines = [self._lines.popleft() for _ in range(min(self._batch, len(self._lines)))]
                self._size -= sum(map(len, lines))
        if late:
            self._give_up("the end did not wait for what was still to be sent")
        return lines

    def _give_up(self, why: str) -> None:
        with self._wake:
            left, self._size = len(self._lines), 0
            self._lines.clear()
        if left:
            self.trouble.tell(why, left)

    def _post(self, client: httpx.Client, lines: list[str]) -> tuple[str, bool]:
        """Send them: why not, if not, and whether they may be sent again."""
        import httpx

        head = self._headers()
        if head is None:
            return "a secret for its headers cannot be had", True
        gone = self._gone
        if gone:
            lines = [*lines, self._note(gone)]
        body = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        try:
            with client.stream(
                "POST", self._url, content=body, headers=head | {"Content-Type": self._type}
            ) as answer:
                code = answer.status_code
        except httpx.HTTPError as error:
            return f"it cannot be reached: {type(error).__name__}", True
        except Exception as error:  # a header that cannot be sent, an address that is none
            return f"it cannot be asked: {type(error).__name__}", False
        if 200 <= code < 300:
            self._gone -= gone
            return "", False
        return f"it answered {code}", code >= 500 or code in _LATER

    def _headers(self) -> dict[str, str] | None:
        """Fetched for each batch, as one may be rotated; at the end, and on no loop, those that were last."""
        loop, secrets = self._loop, self._secrets
        if (
            not self._names
            or loop is None
            or secrets is None
            or self._closing is not None
            or not loop.is_running()
        ):
            return self._known

        async def fetched() -> dict[str, str]:
            return {header: (await secrets.get(name)).reveal() for header, name in self._names.items()}

        asked = fetched()
        try:
            future = asyncio.run_coroutine_threadsafe(asked, loop)
        except RuntimeError:  # it has closed since
            asked.close()
            return self._known
        until = time.monotonic() + self._timeout
        while time.monotonic() < until and self._closing is None:
            try:
                self._known = future.result(0.2)
            except TimeoutError:
                if future.done():  # the source's own
                    break
                continue
            except Exception:
                break  # it is asked again for the next batch
            return self._known
        future.cancel()
        return self._known

    def _return(self, lines: list[str]) -> bool:
        """Put a batch back to the front, as far as there is room (P4)."""
        with self._wake:
            if self._closing is not None and time.monotonic() >= self._closing:
                return False
            while lines and len(self._lines) < self._most:
                line = lines.pop()
                self._lines.appendleft(line)
                self._size += len(line)
            self._dropped += len(lines)
            return True

    def _sleep(self, pause: float) -> bool:
        """Wait before the next try; whether there is one."""
        until = time.monotonic() + pause
        with self._wake:
            while self._closing is None and (left := until - time.monotonic()) > 0:
                self._wake.wait(left)
            if self._closing is None:
                return True
            # At the end there is one more try, and no others.
            self._last, again = True, not self._last
            return again

    def _tell_dropped(self, why: str) -> None:
        with self._wake:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._lost(why or "more was logged than could be sent", dropped)

    def _lost(self, why: str, count: int) -> None:
        self._gone += count
        self.trouble.tell(why, count)

    def _note(self, count: int) -> str:
        """P3"""
        text = f"{count} records before this one were lost on their way"
        if self._type == "application/x-ndjson":
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            note: Mapping[str, Any] = {
                "time": when,
                "level": "warning",
                "logger": "oneiric.logs",
                "message": text,
            }
            return json.dumps(note)
        return f"WARNING oneiric.logs: {text}"
