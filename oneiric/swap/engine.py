"""The parts of a running runtime, put together on its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from threading import get_ident

from oneiric_hookspecs import Key

from oneiric.activation import (
    Activator,
    Generation,
    Handle,
    Lease,
    Operation,
    Slot,
    Threads,
    TracedLease,
    TracedUse,
    Use,
)
from oneiric.health import Prober
from oneiric.hooks import HookManager
from oneiric.registry import Registry
from oneiric.secrets import Secrets
from oneiric.settings import Settings
from oneiric.tasks import Tasks

from .administration import Administration
from .choosing import Choosing
from .modes import Modes
from .needs import Needs
from .notices import Notices
from .operations import Operations
from .promotion import Promotion
from .quarantine import Quarantine
from .shutdown import Shutdown
from .swapper import Swapper
from .transaction import Transaction


class Engine:
    """Slots, and all that works on them.  Made on the loop it belongs to.

    Args:
        hooks: The plugins.
        registry: The candidates.
        settings: Validated, and bound to the domains.
        contract_of: What an instance of a domain and name has to satisfy.
        secrets: What settings refer to.

    Attributes:
        stirred: Slots of which something else is pending than when somebody last looked, and took them out.
        new_lease, new_use: Make a lease of a slot: where the loop debugs, one that knows where it was entered.
    """

    def __init__(
        self,
        hooks: HookManager,
        registry: Registry,
        settings: Settings,
        contract_of: Callable[[str, str], type | None],
        secrets: Secrets,
    ) -> None:
        loop = self.loop = asyncio.get_running_loop()
        lifecycle = settings.lifecycle
        self.thread = get_ident()
        self.traced = loop.get_debug()
        self.new_lease: type[Lease] = TracedLease if self.traced else Lease
        self.new_use: type[Use] = TracedUse if self.traced else Use
        self.settings = settings
        self.slots: dict[tuple[str, str], Slot] = {}
        self.stirred: dict[Slot, None] = {}
        self.tasks = Tasks(loop, copy_context())
        self.threads = Threads(loop)
        self.activator = Activator(
            self.tasks, self.threads, hooks, settings, contract_of, secrets, at_once=lifecycle.max_activations
        )
        self.prober = Prober(self.tasks, self.threads, hooks, at_once=lifecycle.max_probes)
        self.notices = Notices(self.tasks, hooks)
        self.quarantine = Quarantine(registry, loop)
        needs = Needs(
            self.tasks,
            self.slot,
            self._ensure_need,
            lambda key: registry.snapshot.resolve(*key),
            self.handle,
        )
        self.promotion = Promotion(
            self.tasks,
            self.threads,
            hooks,
            self.activator,
            self.prober,
            self.notices,
            self.quarantine,
            self.slot,
            self._rebuild,
        )
        self.swapper = Swapper(
            self.tasks,
            hooks,
            self.activator,
            self.prober,
            needs,
            Choosing(registry),
            self.promotion,
            self.notices,
        )
        modes = self.modes = Modes(self.swapper, self.threads)
        self.operations = Operations(self.tasks, self.swapper, modes, lambda: self.settings)
        self.transaction = Transaction(self.tasks, self.operations, self.swapper, modes)
        self.administration = Administration(
            self.slots, self.tasks, self.swapper, self.operations, self.notices
        )
        self.shutdown = Shutdown(
            self.tasks,
            self.threads,
            self.operations,
            self.swapper,
            self.promotion,
            self.quarantine,
            self.administration,
        )

    def slot(self, key: Key) -> Slot:
        """The slot of *key*; made when it is first asked for."""
        slot = self.slots.get(key)
        if slot is None:
            slot = Slot(Key.of(*key), self.operations.ensure, self.thread)
            slot.stirred = self.stirred
            if self.operations.closing is not None:
                slot.shut(self.operations.closing)
            slot = self.slots.setdefault(key, slot)
            self.administration.enter(slot)
        return slot

    def use(self, key: Key) -> Use:
        """A lease of *key* that activates."""
        return self.new_use(self.slot(key))

    def handle(self, key: Key) -> Handle:
        """A factory of leases of *key*."""
        return Handle(self.slot(key), traced=self.traced)

    def change_settings(self, settings: Settings) -> None:
        """Build from *settings* from now on; what is bound keeps what it was built from."""
        self.settings = self.activator.settings = settings

    async def _ensure_need(self, slot: Slot, operation: Operation) -> None:
        await self.operations.ensure(slot, operation)

    def _rebuild(self, generation: Generation) -> None:
        self.operations.rebuild(self.slot(generation.key), generation)
