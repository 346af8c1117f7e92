"""This process as a node: it says that it lives, and tidies up after those that do not any more."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable

import attrs
from oneiric_hookspecs import StateError, StateStore

from oneiric.state import Event, History, Node, Observed, living, this_process
from oneiric.state.nodes import said


class Membership:
    """This process among those of its application.

    Args:
        store: Where it says that it lives.
        application: ``[app] name``.
        every: Gives the seconds between two signs of life.
        name: The node's; None makes one of the host and the process.
        started: Since when it keeps going, in seconds since 1970.

    Attributes:
        observed: What it writes.
        node: What it says about itself.
    """

    def __init__(
        self,
        store: StateStore,
        application: str,
        every: Callable[[], float],
        name: str | None,
        started: float,
    ) -> None:
        host, pid, birth = this_process()
        self._store, self._every = store, every
        self.name = name or f"{host[:100]}-{pid}-{secrets.token_hex(2)}"
        self.node = Node(host, pid, birth, started, application)
        self.observed = Observed(store, self.name)

    async def tidy(self) -> None:
        """Forget what nodes wrote that are gone, those of this one's name too, and write down that they are.

        Raises:
            StateError: Another process of this name lives; each would write over what the other writes.
        """
        mine = (self.node.host, self.node.pid, self.node.birth)
        alive = set[str]()
        for each in await living(self._store):
            alive.add(each.name)
            if each.name == self.name and (each.node.host, each.node.pid, each.node.birth) != mine:
                raise StateError(
                    f"node {self.name} runs already: process {each.node.pid} on {each.node.host}",
                    hint="give it another name (--node), or none",
                )
        # The living first: one that begins between the two has written nothing yet, or is among them.
        for node in sorted(await self.observed.writers() - alive):
            if node in {each.name for each in await living(self._store)}:
                continue
            if await self.observed.clear(node):  # else who begins at the same time has, and tells it
                await History(self._store).append(
                    Event("lost", cause="node", reason=f"node {node} ended without saying so", node=node)
                )

    async def beat(self) -> None:
        """Say that it lives."""
        await self.observed.beat(said(self.node), max(3 * self._every(), 1.0))

    async def taken(self, revision: int) -> None:
        """Say that what operators want is in force here up to *revision*."""
        self.node = attrs.evolve(self.node, desired=revision)
        await self.beat()

    async def leave(self) -> None:
        """Say that it ends; nobody waits for it from now on."""
        self.node = attrs.evolve(self.node, closing=True)
        with contextlib.suppress(StateError):  # it is silent then, which says the same a little later
            await self.observed.beat(said(self.node), 0.001)
