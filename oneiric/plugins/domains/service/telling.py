"""How services are: the face of the domain."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

from oneiric_hookspecs import Host, NotServing, ServiceStatus

from oneiric.plugins._plain import plain

from .living import Lives, method, said, why_not


class Services:
    """The face of the domain: ``runtime.domain("service")``."""

    def __init__(self, host: Host, lives: Lives) -> None:
        self._host, self._lives = host, lives

    async def status(self, *names: str, timeout: float = 1.0) -> dict[str, ServiceStatus]:
        """Tell how services are; nothing is started for it.

        Args:
            names: Which; none for all.
            timeout: Seconds that the ``status()`` of each may take.
        Returns:
            How they are, by name.
        Raises:
            ResolutionError: There is no service of that name.
        """
        known = self._host.keys("service")
        for name in names:
            if name not in known:
                self._host.resolve("service", name)  # says so
        chosen = names or known
        found = await asyncio.gather(*(self._status(name, timeout) for name in chosen))
        return dict(zip(chosen, found, strict=True))

    async def _status(self, name: str, timeout: float) -> ServiceStatus:
        bound = self._host.bound("service", name)
        if bound is None:
            return self._not_bound(name)
        provider, life = bound.candidate.provider, self._lives.of(bound.instance)
        since = bound.since if life is None else life.since
        if life is not None and life.failure:
            return ServiceStatus(name, provider, "failed", since, life.failure)
        report, error = await self._asked(name, timeout)
        return ServiceStatus(name, provider, "running", since, error, report)

    def _not_bound(self, name: str) -> ServiceStatus:
        past = self._lives.past.get(name)
        decision = self._host.explain("service", name)
        provider = None if decision.winner is None else decision.winner.provider
        if past is not None:
            return ServiceStatus(name, past.provider or provider, past.state, past.since, past.error)
        error = "" if decision.error is None else why_not(decision.error)
        return ServiceStatus(name, provider, "not_bound", None, error)

    async def _asked(self, name: str, timeout: float) -> tuple[Any, str]:
        """What its own ``status()`` gives, if it has one, and what is wrong with that."""
        try:
            with self._host.lease("service", name) as service:
                call = method(service, "status")
                if call is None:
                    return None, ""
                scope = asyncio.timeout(timeout)
                try:
                    async with scope:
                        if inspect.iscoroutinefunction(call):
                            answer = await call()
                        else:
                            answer = await self._host.in_thread(call, name=f"status of service:{name}")
                    return _json(answer), ""
                except Exception as error:
                    # Caught in here: a bad answer about its use is no bad use of it.
                    if scope.expired():
                        return None, f"its status() took longer than {timeout:g} s"
                    return None, f"its status() failed: {said(error)}"
        except NotServing as error:
            return None, str(error).splitlines()[0]


def _json(answer: Any) -> Any:
    value = plain(answer)
    json.dumps(value, allow_nan=False)
    return value
