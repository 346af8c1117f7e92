"""The domain ``adapter``: what stands between the application and something outside it."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Cache, Database, Domain, Http, Messaging, Queue, SecretStore, Storage, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain(
        "adapter",
        "adapters",
        "what stands between the application and something outside it",
        categories={
            "cache": Cache,
            "database": Database,
            "http": Http,
            "messaging": Messaging,
            "queue": Queue,
            "secrets": SecretStore,
            "storage": Storage,
        },
    )
