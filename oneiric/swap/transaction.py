"""Several slots changed together: all of them, or none.

Prepared level by level, those that others need first; committed in one block; confirmed; and if one is found
wanting, all are put back.
"""

from __future__ import annotations

import contextlib
import attrs
from oneiric_hookspecs import ActivationError, Candidate, Key, Need, OneiricError, Source, SwapReport

from oneiric.activation import Generation, Operation, Slot, Want, current
from oneiric.tasks import Tasks

from .modes import Modes
from .needs import Met
from .operations import Operations, key_order, unforeseen
from .swapper import Swapper


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
        parent = operations._parent()
        members = []
        lead: Operation | None = None
        for slot in sorted(wants, key=lambda slot: slot.key):
            operations._admit(slot, parent)
            operation = Operation(
                slot.key, "operator", wants[slot], self._tasks.loop.time, actor=actor, parent=parent
            )
            operation.waits_for.update(each for each in slot.flights if not each.done)
            members.append(Member(slot, operation))
        lead = members[0].operation
        lead.many = True
        # For whoever waits, joins or is in the way, the members are one operation.
        lead.waits_for.update(*(member.operation.waits_for for member in members))
        for member in members:
            member.slot.flights.append(lead)
        context = self._tasks.context.copy()
        context.run(current.set, lead)
        operations.launch(lead, self._all(members, lead), [member.slot for member in members], context)
        reports = {report.key: report for report in await operations._wait(lead, parent)}  # type: ignore[attr-defined]
        return [reports[slot.key] for slot in wants]

    async def _all(self, members: list[Member], lead: Operation) -> list[SwapReport]:
        try:
            return await self._locked(members, lead)
        except Exception as raised:
            error = unforeseen(raised)
            for member in members:
                self._swapper.failed(member.slot, member.operation, error)
            if error is raised:
                raise
            raise error from raised

    async def _locked(self, members: list[Member], lead: Operation) -> list[SwapReport]:
        swapper = self._swapper
        async with contextlib.AsyncExitStack() as stack:
            inside = {member.slot.key for member in members}
            for member in members:
                member.operation.at("decide")
                member.candidate, member.source = swapper.choosing.choose(member.slot, member.operation)
                self._refuse_exclusive(member)
                swapper.needs.refuse_circles(member.candidate)
            for member in members:
                # What is outside is met before any lock; what is inside comes from the transaction itself.
                outside = attrs.evolve(
                    member.candidate,
                    needs=tuple(need for need in member.candidate.needs if need.key not in inside),
                )
                member.operation.at("needs")
                member.met = await swapper.needs.meet(lead, outside, {})
                stack.callback(self._give_back, member)
            for member in members:
                member.operation.at("lock")
                await swapper.lock(member.slot, lead)
                stack.callback(member.slot.lock.release)
            lead.at("recheck")
            changing = [member for member in members if self._changes(member)]
            try:
                for member in self._levels(changing):
                    await self._prepare(member, changing)
                swapper.before_commit(lead)
            except BaseException:
                for member in changing:
                    if member.new is not None:
                        swapper.drop(member.slot, member.operation, member.new)
                raise
            await self._commit(changing, lead)
            return [self._report(member) for member in members]

    def _give_back(self, member: Member) -> None:
        for each in member.met:
            each.give_back()

    def _changes(self, member: Member) -> bool:
        swapper = self._swapper
        again = swapper.choosing.choose(member.slot, member.operation)
        if again[0] is not member.candidate:
            raise ActivationError(
                "another candidate won while the transaction waited", key=member.slot.key, hint="try again"
            )
        return not swapper.unchanged(member.slot, member.operation, member.candidate, member.source)

    def _refuse_exclusive(self, member: Member) -> None:
        mode = self._modes.mode(member.candidate, member.slot.bound)
        if member.slot.bound is not None and mode != "overlap":
            raise ActivationError(
                f"its mode is {mode}, and a transaction needs both generations at once",
                key=member.slot.key,
                provider=member.candidate.provider,
                hint="swap it alone, before or after",
            )

    def _levels(self, members: list[Member]) -> list[Member]:
        """Those that others need before the others."""
        by_key = {member.slot.key: member for member in members}
        ordered: dict[Key, Member] = {}

        def visit(member: Member, path: tuple[Key, ...]) -> None:
            for need in member.candidate.needs:
                inner = by_key.get(need.key)
                if inner is not None and need.key not in path:
                    visit(inner, (*path, need.key))
            ordered.setdefault(member.slot.key, member)

        for key in key_order(by_key):
            visit(by_key[key], (key,))
        return list(ordered.values())

    async def _prepare(self, member: Member, members: list[Member]) -> None:
        swapper = self._swapper
        ready = {other.slot.key: other.new for other in members if other.new is not None}
        inside = tuple(need for need in member.candidate.needs if need.key in ready)
        rest = tuple(
            need for need in member.candidate.needs if need not in inside and not self._met(member, need)
        )
        more = await swapper.needs.meet(
            member.operation, attrs.evolve(member.candidate, needs=inside + rest), ready
        )
        needs, member.met = [*member.met, *more], []
        member.old = member.slot.bound
        await swapper.make_room(member.slot, member.operation)
        member.new = swapper.activator.new(member.slot, member.candidate, member.source, needs)
        await swapper.prepare(member.operation, member.new, member.old)

    def _met(self, member: Member, need: Need) -> bool:
        return any(each.need == need for each in member.met)

    async def _commit(self, members: list[Member], lead: Operation) -> None:
        swapper = self._swapper
        for member in members:
            member.old = member.slot.bound
        changes = [(member.slot, member.new, member.old) for member in members if member.new is not None]
        swapper.commit(changes, lead)
        try:
            for member in members:
                assert member.new is not None
                await swapper.confirm(member.operation, member.new, member.old)
            lead.at("finalize")
        except BaseException as error:
            swapper.revert(changes, lead)
            told = [
                swapper.rolled_back(member.slot, member.operation, member.new, member.old, error)
                for member in members
                if member.new is not None
            ]
            raise told[0]

    def _report(self, member: Member) -> SwapReport:
        swapper = self._swapper
        if member.new is None:
            swapper.choosing.settle(member.slot, member.operation)
            bound = member.slot.bound
            return swapper.report(member.slot, member.operation, "unchanged", bound, bound)
        return swapper.finalize(member.slot, member.operation, member.new, member.old)
