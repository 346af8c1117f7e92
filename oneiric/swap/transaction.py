"""Several slots changed together: all of them, or none.

Prepared level by level, those that others need first; committed in one block; confirmed; and if one is found
wanting, all are put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import Context, copy_context

import attrs
from oneiric_hookspecs import (
    Busy,
    Candidate,
    FactoryError,
    Key,
    OneiricError,
    Permanent,
    Source,
    SwapReport,
)

from oneiric.activation import Generation, Operation, Slot, Want, current
from oneiric.hooks.faults import said
from oneiric.tasks import Tasks

from .modes import Modes
from .needs import Met
from .operations import Operations
from .swapper import Swapper, unforeseen


@attrs.define(eq=False)
class Member:
    """One slot of a transaction: what it is to become, and how far it has come."""

    slot: Slot
    operation: Operation
    candidate: Candidate = attrs.field(init=False)
    source: Source = attrs.field(init=False)
    met: list[Met] = attrs.field(factory=list)
    new: Generation | None = None
    old: Generation | None = None


class Transaction:
    """Carries out a change of several slots."""

    def __init__(self, tasks: Tasks, operations: Operations, swapper: Swapper, modes: Modes) -> None:
        self._tasks, self._operations, self._swapper, self._modes = tasks, operations, swapper, modes

    async def run(self, wants: dict[Slot, Want], *, actor: str = "") -> list[SwapReport]:
        """Bring all of *wants* about; the reports are in their order.

        Raises:
            OneiricError: Why none of it came about.
        """
        if not wants:
            return []
        operations = self._operations
        parent = operations.parent()
        members = []
        lead: Operation | None = None
        for slot in sorted(wants, key=lambda slot: slot.key):
            operations.admit(slot, parent)
            operations.refuse_held(slot, wants[slot])
            operation = Operation(
                slot.key, "operator", wants[slot], self._tasks.loop.time, actor=actor, parent=parent
            )
            members.append(Member(slot, operation))
        lead = members[0].operation
        lead.many = True
        # For whoever waits, joins or is in the way, the members are one operation.
        for member in members:
            member.slot.flights.append(lead)
        context = self._tasks.context.copy()
        context.run(current.set, lead)
        caller = copy_context() if self._swapper.around.impls else None
        operations.launch(
            lead, self._all(members, lead, caller), [member.slot for member in members], context
        )
        reports = {report.key: report for report in await operations.wait_for(lead, parent)}  # type: ignore[attr-defined]
        return [reports[slot.key] for slot in wants]

    async def _all(self, members: list[Member], lead: Operation, caller: Context | None) -> list[SwapReport]:
        if caller is None:
            return await self._carried_out(members, lead)
        with contextlib.ExitStack() as stack:
            for member in members:
                # The others are parts of the first, as they are for whoever waits.
                part_of = None if member.operation is lead else lead
                stack.enter_context(self._swapper.around(member.operation.view(caller, part_of)))
            return await self._carried_out(members, lead)

    async def _carried_out(self, members: list[Member], lead: Operation) -> list[SwapReport]:
        try:
            return await self._locked(members, lead)
        except Exception as raised:
            error = unforeseen(raised)
            for member in members:
                self._swapper.failed(member.slot, member.operation, error)
            if error is raised:
                raise
            raise error from raised

    async def _locked(self, members: list[Member], lead: Operation, *, rounds: int = 3) -> list[SwapReport]:
        for _ in range(rounds):
            with contextlib.ExitStack() as stack:
                await self._admitted(members, lead, stack)
                _at(members, "recheck")
                if not all(self._still(member) for member in members):
                    continue
                changing = [member for member in members if self._changes(member)]
                try:
                    for member in self._in_order(changing):
                        with _placing(member):
                            await self._prepare(member, members)
                    _at(members, "commit")
                    self._swapper.before_commit(lead)
                except BaseException:
                    for member in changing:
                        if member.new is not None:
                            self._swapper.drop(member.slot, member.operation, member.new)
                    raise
                await self._commit(changing, members, lead)
                return [self._report(member) for member in members]
        raise Busy(lead.key, holder="changes of the registry: other candidates won three times in a row")

    async def _admitted(self, members: list[Member], lead: Operation, stack: contextlib.ExitStack) -> None:
        """Steps 1 to 3 for all of them; what is held is given back by *stack*."""
        swapper = self._swapper
        for member in members:
            with _placing(member):
                member.operation.at("decide")
                member.candidate, member.source = swapper.choosing.choose(member.slot, member.operation)
                self._refuse_exclusive(member)
        chosen = {member.slot.key: member.candidate for member in members}
        for member in members:
            with _placing(member):
                swapper.needs.refuse_circles(member.candidate, chosen)
        for member in members:
            # What is outside is met before any lock; what is inside comes from the transaction itself.
            outside = tuple(need for need in member.candidate.needs if need.key not in chosen)
            stack.callback(self._give_back, member)
            with _placing(member):
                member.operation.at("needs")
                member.met = await swapper.needs.meet(
                    lead, attrs.evolve(member.candidate, needs=outside), chosen
                )
        for member in members:
            with _placing(member):
                member.operation.at("lock")
                await swapper.lock(member.slot, lead)
                stack.callback(member.slot.lock.release)

    def _give_back(self, member: Member) -> None:
        for each in member.met:
            each.give_back()
        member.met = []

    def _still(self, member: Member) -> bool:
        """Whether what was chosen before the lock is what would be chosen now."""
        with _placing(member):
            self._refuse_exclusive(member)
            return self._swapper.choosing.choose(member.slot, member.operation)[0] is member.candidate

    def _changes(self, member: Member) -> bool:
        return not self._swapper.unchanged(member.slot, member.operation, member.candidate, member.source)

    def _refuse_exclusive(self, member: Member) -> None:
        mode = self._modes.mode(member.candidate, member.slot.bound)
        if member.slot.bound is not None and mode != "overlap":
            raise Permanent(
                f"its mode is {mode}, and a transaction needs both generations at once",
                hint="swap it alone, before or after",
            )

    def _in_order(self, members: list[Member]) -> list[Member]:
        """Those that others need before the others; who can do without goes first in a circle."""
        by_key = {member.slot.key: member for member in members}
        ordered: dict[Key, Member] = {}

        def visit(member: Member, path: tuple[Key, ...]) -> None:
            for need in member.candidate.needs:
                inner = by_key.get(need.key)
                if inner is None or need.key in path or (need.optional and _requires(inner, member, by_key)):
                    continue
                visit(inner, (*path, need.key))
            ordered.setdefault(member.slot.key, member)

        for key in sorted(by_key):
            visit(by_key[key], (key,))
        return list(ordered.values())

    async def _prepare(self, member: Member, members: list[Member]) -> None:
        swapper = self._swapper
        # Every slot inside is locked: what is bound there and does not change stays for as long as this takes.
        inside = {
            other.slot.key: other.new or (None if self._changes(other) else other.slot.bound)
            for other in members
        }
        member.met += [
            swapper.needs.inside(need, inside[need.key])
            for need in member.candidate.needs
            if need.key in inside
        ]
        await swapper.make_room(member.slot, member.operation)
        needs, member.met = member.met, []
        member.new = swapper.activator.new(member.slot, member.candidate, member.source, needs)
        await swapper.prepare(member.operation, member.new, member.slot.bound)

    async def _commit(self, changing: list[Member], members: list[Member], lead: Operation) -> None:
        swapper = self._swapper
        changes = []
        for member in changing:
            assert member.new is not None
            member.old = member.slot.bound
            changes.append((member.slot, member.new, member.old))
        swapper.commit(changes, lead)
        member = members[0]
        try:
            for member in changing:
                assert member.new is not None
                await swapper.confirm(member.operation, member.new, member.old)
            _at(members, "finalize")
        except BaseException as error:
            swapper.revert(changes, lead)
            told = self._rolled_back(member, error)
            for other in changing:
                if other is not member:
                    self._rolled_back(other, self._along(member, error))
            if told is error:
                raise
            raise told from error

    def _rolled_back(self, member: Member, error: BaseException) -> BaseException:
        assert member.new is not None
        return self._swapper.rolled_back(member.slot, member.operation, member.new, member.old, error)

    def _along(self, member: Member, error: BaseException) -> BaseException:
        """What is said of those who went back only because of *member*."""
        if not isinstance(error, Exception):
            return error
        return FactoryError(
            f"it went back with {member.slot.key}: {getattr(error, 'reason', None) or said(error)}"
        )

    def _report(self, member: Member) -> SwapReport:
        swapper = self._swapper
        if member.new is None:
            swapper.choosing.settle(member.slot, member.operation)
            bound = member.slot.bound
            return swapper.report(member.slot, member.operation, "unchanged", bound, bound)
        return swapper.finalize(member.slot, member.operation, member.new, member.old)


def _requires(one: Member, other: Member, members: Mapping[Key, Member]) -> bool:
    """Whether *one* cannot come up without *other*; there is no circle of such needs."""
    required = [
        members[need.key] for need in one.candidate.needs if not need.optional and need.key in members
    ]
    return other in required or any(_requires(each, other, members) for each in required)


def _at(members: list[Member], step: str) -> None:
    for member in members:
        member.operation.at(step)


@contextlib.contextmanager
def _placing(member: Member) -> Iterator[None]:
    """What is raised in the block happened to *member*."""
    try:
        yield
    except OneiricError as error:
        member.operation.place(error)
        raise
