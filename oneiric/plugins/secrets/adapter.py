"""The secret source ``adapter``: whatever adapter keeps secrets.  ``[secrets] db = "adapter:secrets#team/db"``."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import PluginContext, Secret, SecretError, SecretSource, SecretStore, hookimpl


class Plugin:
    """Asks the adapter that is bound, as any user of it does; it is activated if it was not."""

    def __init__(self, context: PluginContext) -> None:
        self._host = context.host

    async def get(self, text: str) -> Secret | None:
        """The secret that ``KEY#NAME`` means.

        Raises:
            SecretError: The text has another form, or the adapter is no ``SecretStore``.
            OneiricError: The adapter does not come up.
        """
        key, _, name = text.partition("#")
        if not key or not name:
            raise SecretError("it names no secret of an adapter", hint="write adapter:KEY#NAME")
        async with self._host.use("adapter", key) as store:
            if not isinstance(store, SecretStore):
                raise SecretError(f"adapter:{key} keeps no secrets: {type(store).__name__} has no get(name)")
            return await store.get(name)

    @hookimpl
    def oneiric_secret_sources(self) -> Iterable[SecretSource]:
        """Declare ``adapter``."""
        yield SecretSource("adapter", self.get, "an adapter that keeps secrets")
