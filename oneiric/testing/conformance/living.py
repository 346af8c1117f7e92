"""Rules about the life of a candidate: it comes up, is used, swapped and closed, in a runtime of its own."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterator
from typing import Any

import attrs
from oneiric_hookspecs import (
    Candidate,
    FactoryError,
    HealthRejected,
    OneiricError,
    SettingsError,
)

from .kit import Kit
from .outcome import Broken, Skip, raised_in
from .places import of_candidate
from .running import Ends, Leftovers, run

#: How often an activation is cancelled at most, each time a step of the loop later.
CANCELLATIONS = 25
#: What ending something that was cancelled may take.
_LEAST = 1.0
_TWIN = "conformance-twin"


# --- coming up -----------------------------------------------------------------------------------------------------


@attrs.frozen
class _Trouble:
    """Why a candidate does not come up: whose rule that is, and what to say."""

    rule: str
    broken: Broken


def _check_possible(kit: Kit, candidate: Candidate, runtime: Any) -> None:
    """Raises: Skip, where it cannot come up here, and nobody is to blame."""
    named = f"{candidate.key} {candidate.provider}"
    try:
        runtime.pin(*candidate.key, candidate.provider)
    except OneiricError as error:
        row = next(
            (each for each in runtime.explain(*candidate.key).rows if each.candidate == candidate), None
        )
        reason = row.reason if row is not None else str(error).splitlines()[0]
        raise Skip(f"{named} is left out here: {reason}") from None
    for need in candidate.needs:
        if not need.optional and runtime.explain(*need.key).winner is None:
            raise Skip(
                f"{named} needs {need.key}, which nobody fills here; give plugins = [...] with one that does"
            )
    try:
        runtime.settings.of(candidate)
    except SettingsError as error:
        domain = runtime.snapshot.domains[candidate.key.domain]
        table: Any = {each.path.rpartition(".")[2]: "..." for each in error.problems}
        if domain.settings_by == "provider":
            table = {candidate.provider: table}
        hint = {domain.plural: {"settings": {candidate.key.name: table}}}
        raise Skip(f"{named} has settings without a default; give settings = {hint}") from None


def _trouble(kit: Kit, candidate: Candidate) -> _Trouble | None:
    place = of_candidate(kit, candidate)
    mismatches: list[str] = []
    illness: list[str] = []
    with kit.assembled() as runtime:
        _check_possible(kit, candidate, runtime)
        domain = runtime.snapshot.domains[candidate.key.domain]
        contract = domain.contract_of(candidate.key.name)

        async def main() -> None:
            async with runtime:
                async with runtime.use(*candidate.key) as instance:
                    if contract is not None:
                        mismatches.extend(_mismatches(instance, contract))
                health = await runtime.health(*candidate.key)
                if not health.passes:
                    illness.append(f"{health.status}: {health.reason}")

        try:
            run(kit, main)
        except Exception as error:
            return _why(kit, candidate, error, place)
    if mismatches:
        assert contract is not None
        said = f"{candidate.key} {candidate.provider} is no {contract.__name__}: {'; '.join(mismatches)}"
        return _Trouble("satisfies_its_contract", Broken(said, place, _like(contract)))
    if illness:
        return _Trouble("is_well", Broken(f"its health is {illness[0]}", place, _HEALTH))
    return None


_HEALTH = "health() says ok where all is well: with these settings it should be"


def _like(contract: type) -> str:
    return f"its methods are called as those of {contract.__module__}.{contract.__qualname__}"


def _why(kit: Kit, candidate: Candidate, error: Exception, place: str | None) -> _Trouble:
    named = f"{candidate.key} {candidate.provider}"
    said = error.message if isinstance(error, OneiricError) else f"{type(error).__name__}: {error}"
    said = " ".join(said.split())[:300]
    hint = getattr(error, "hint", None) or ""
    if isinstance(error, FactoryError) and said.startswith("its product is no "):
        return _Trouble("satisfies_its_contract", Broken(f"{named}: {said}", place, hint))
    if isinstance(error, HealthRejected):
        return _Trouble("is_well", Broken(f"{named}: {said}", place, hint or _HEALTH))
    required = not kit.required_servers.isdisjoint({kit.name, candidate.provider})
    if (refused := _refused(error)) is not None and not required:
        raise Skip(f"{named} needs a server ({refused}); start one, or give settings with the address of one")
    return _Trouble(
        "comes_up", Broken(f"{named} does not come up: {said}", raised_in(kit, error) or place, hint)
    )


def _refused(error: BaseException | None) -> str | None:
    """What says that there is no server, in *error* or in what caused it."""
    import socket

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, (ConnectionError, socket.gaierror)):
            return f"{type(error).__name__}: {error}"
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _mismatches(instance: Any, contract: type) -> Iterator[str]:
    """In which ways the methods of *instance* cannot be called as those of *contract*."""
    for name in dir(contract):
        wanted = inspect.getattr_static(contract, name, None)
        if name.startswith("_") or not inspect.isfunction(wanted):
            continue
        found = getattr(instance, name)
        if not callable(found):
            yield f"{name} cannot be called"
            continue
        if inspect.iscoroutinefunction(wanted) and not _awaitable(found):
            yield f"{name} is not async"
        try:
            theirs = inspect.signature(found)
        except (TypeError, ValueError):
            continue
        ours = [each for each in inspect.signature(wanted).parameters.values() if each.name != "self"]
        positional = [each for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD]
        required = [each for each in positional if each.default is each.empty]
        try:
            theirs.bind(*positional)
            theirs.bind(*required)
            theirs.bind(
                **{
                    each.name: None
                    for each in ours
                    if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
                }
            )
        except TypeError as error:
            yield f"{name}{theirs} is called as {name}{inspect.signature(wanted)}: {error}"


def _awaitable(found: Any) -> bool:
    """Whether calling it may give an awaitable: one that is not ``async def`` may return one, and says so."""
    if inspect.iscoroutinefunction(found) or not inspect.isroutine(found):
        return True
    return "return" in getattr(found, "__annotations__", {}) and "Awaitable" in str(
        found.__annotations__["return"]
    )


def _held(kit: Kit, candidate: Candidate, rule: str) -> Iterator[Broken]:
    if candidate not in kit.troubles:
        with Leftovers():  # what is dropped unclosed is the matter of the rule `leaves_nothing`
            trouble = _trouble(kit, candidate)
        kit.troubles[candidate] = trouble
    trouble = kit.troubles[candidate]
    if trouble is None:
        return
    if trouble.rule != rule:
        raise Skip(f"it does not come up; see the rule `{trouble.rule}`")
    yield trouble.broken


def comes_up(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """It comes up with its settings, and can be used."""
    yield from _held(kit, candidate, "comes_up")


def satisfies_its_contract(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """What it makes has the methods that its key promises, called in the same way."""
    domain = kit.registered.domains.get(candidate.key.domain)
    if domain is not None and domain.contract_of(candidate.key.name) is None:
        raise Skip(f"nothing is promised of {candidate.key}")
    yield from _held(kit, candidate, "satisfies_its_contract")


def is_well(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """Its probes pass when it has come up."""
    yield from _held(kit, candidate, "is_well")


def _check_up(kit: Kit, candidate: Candidate) -> None:
    """Raises: Skip, where it does not come up, which is another rule's matter."""
    list(_held(kit, candidate, ""))


# --- ending --------------------------------------------------------------------------------------------------------


def leaves_nothing(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """Closing it ends well, and leaves no task, no thread and no open file."""
    _check_up(kit, candidate)  # the first time may leave what is there once and for all
    if candidate not in kit.left:
        with Leftovers() as dropped:
            left = _left(kit, candidate)
        kit.left[candidate] = [*left, *dropped]
    yield from _all(kit, candidate, kit.left[candidate])


def _check_clean(kit: Kit, candidate: Candidate) -> None:
    """Raises: Skip, where it leaves something whatever is done to it, which is another rule's matter."""
    if list(leaves_nothing(kit, candidate)):
        raise Skip("it leaves something behind in any case; see the rule `leaves_nothing`")


def _left(kit: Kit, candidate: Candidate) -> list[str]:
    ends = Ends()
    left: list[str] = []
    with kit.assembled(others=[ends]) as runtime:
        _check_possible(kit, candidate, runtime)

        async def main() -> None:
            async with runtime:
                async with runtime.use(*candidate.key):
                    await asyncio.sleep(0)
                report = await runtime.close()
            left.extend(f"{each} did not end" for each in report.left)

        left += run(kit, main)
    return [*ends.wrong(), *left]


def _all(kit: Kit, candidate: Candidate, said: list[str], when: str = "") -> Iterator[Broken]:
    place = of_candidate(kit, candidate)
    for each in dict.fromkeys(said):
        yield Broken(f"{candidate.key} {candidate.provider}{when}: {each}", place, _CLEAN)


_CLEAN = "end in aclose() what was begun, and in the factory what a failing or cancelled one had begun"


# --- swapping ------------------------------------------------------------------------------------------------------


def is_swapped(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """It is swapped for another and rolled back to while it is used, and no call fails."""
    _check_clean(kit, candidate)
    with Leftovers():
        failed = _swapped(kit, candidate)
    hint = "during a swap two of it are open at the same time; if that cannot be: Policies(mode='exclusive')"
    for each in dict.fromkeys(failed):
        what = f"{candidate.key} {candidate.provider}, while it was swapped: {each}"
        yield Broken(what, of_candidate(kit, candidate), hint)


def _swapped(kit: Kit, candidate: Candidate) -> list[str]:
    key, ends, failed = candidate.key, Ends(), []
    served: list[str] = []
    with kit.assembled(others=[ends]) as runtime:
        twin = attrs.evolve(candidate, provider=_TWIN)
        runtime.register(twin)
        runtime.adopt(runtime.bind(_with_twin(kit, candidate, runtime)))
        _check_possible(kit, candidate, runtime)

        async def user(over: asyncio.Event) -> None:
            while not over.is_set():
                try:
                    async with runtime.use(*key):
                        await asyncio.sleep(0)
                except Exception as error:
                    failed.append(f"a call failed: {' '.join(str(error).split())[:200]}")
                    return
                await asyncio.sleep(0)

        def serves() -> None:
            status = runtime.status().of(*key)
            served.append(
                status.bound.provider if status is not None and status.bound is not None else "nobody"
            )

        async def main() -> None:
            over = asyncio.Event()
            async with runtime:
                async with runtime.use(*key):
                    pass
                users = [asyncio.create_task(user(over)) for _ in range(3)]
                try:
                    await runtime.swap(*key, _TWIN)
                    serves()
                    await runtime.rollback(*key)
                    serves()
                finally:
                    over.set()
                    await asyncio.wait(users)

        try:
            run(kit, main)
        except OneiricError as error:
            failed.append(f"{error.message}")
    if not failed and served != [_TWIN, candidate.provider]:
        failed.append(f"swapped and rolled back, it was served by {', then '.join(served)}")
    return [*failed, *ends.wrong()]


def _with_twin(kit: Kit, candidate: Candidate, runtime: Any) -> dict[str, Any]:
    """The kit's settings, in which the twin has the candidate's."""
    domain = runtime.snapshot.domains[candidate.key.domain]
    written = dict(kit.settings)
    section = dict(written.get(domain.plural, {}))
    tables = dict(section.get("settings", {}))
    of_key = dict(tables.get(candidate.key.name, {}))
    if domain.settings_by == "provider" and candidate.provider in of_key:
        tables[candidate.key.name] = {**of_key, _TWIN: of_key[candidate.provider]}
        written[domain.plural] = {**section, "settings": tables}
    return written


# --- cancelling ----------------------------------------------------------------------------------------------------


def survives_cancellation(kit: Kit, candidate: Candidate) -> Iterator[Broken]:
    """Cancelled at any step of coming up, it leaves nothing, and comes up the next time."""
    _check_clean(kit, candidate)
    leftovers = Leftovers()
    with leftovers as dropped:
        said = _cancelled(kit, candidate, leftovers)
    yield from _all(kit, candidate, said or dropped)


def _cancelled(kit: Kit, candidate: Candidate, leftovers: Leftovers) -> list[str]:
    from oneiric.testing.faults import Steps

    key, ends = candidate.key, Ends()
    said: list[str] = []
    with kit.assembled(others=[ends]) as runtime:
        _check_possible(kit, candidate, runtime)

        async def use() -> None:
            async with runtime.use(*key):
                pass

        async def cancelled_after(steps: int) -> bool:
            """Whether that was in time."""
            with Steps() as counter:
                caller = asyncio.create_task(use(), name="the caller that is cancelled")
                counter.actions[steps] = caller.cancel
                await asyncio.wait({caller})
            if not caller.cancelled():
                if (error := caller.exception()) is not None:
                    said.append(f"its caller was told: {' '.join(str(error).split())[:200]}")
                return False
            return await _at_rest(runtime, key)

        async def main() -> None:
            async with runtime:
                leftovers.begin()
                for steps in range(1, CANCELLATIONS + 1):
                    if not await cancelled_after(steps) or said:
                        break
                    if found := leftovers.look():
                        said.extend(f"cancelled after {steps} steps of the loop: {each}" for each in found)
                        break
                try:
                    await use()
                except OneiricError as error:
                    said.append(f"after a cancellation it does not come up: {error.message}")
                report = await runtime.close()
            said.extend(f"{each} did not end" for each in report.left)

        said += run(kit, main)
    return [*ends.wrong(), *said]


async def _at_rest(runtime: Any, key: Any) -> bool:
    """Wait until nothing of a cancelled activation is left to be ended; whether nothing is bound then."""
    until = time.monotonic() + 2 * _LEAST
    while time.monotonic() < until:
        status = runtime.status()
        slot = status.of(*key)
        if not status.operations and not status.threads and (slot is None or not slot.others):
            return slot is None or slot.bound is None
        await asyncio.sleep(0.001)
    return True
