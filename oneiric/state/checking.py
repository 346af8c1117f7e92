"""What is at the place of the state, said without opening, making or changing anything."""

from __future__ import annotations

from oneiric_hookspecs import OneiricError, SettingsError, StoreFinding

from oneiric.settings import Settings
from oneiric.settings.places import state_folder

from .opening import Declared, choose


def check(settings: Settings, declared: Declared) -> list[StoreFinding]:
    """What somebody who looks after the application should know about its state.

    Reads files; to be called where that may take its time.

    Args:
        settings: Those in force.
        declared: What plugins declare by ``oneiric_stores``, each with the plugin's name.
    Returns:
        The findings of the store that is chosen; those of level ``error`` say why it would not open.
    """
    try:
        store, rest, plugin = choose(settings, declared)
        if store.check is None:
            message = f"the store {store.scheme!r} of plugin {plugin} does not say what is there"
            return [StoreFinding("note", message, settings.where("state", "url"))]
        return list(store.check(rest, state_folder(settings)))
    except SettingsError as error:
        return [
            StoreFinding("error", f"{each.path}: {each.message}", each.where, each.hint)
            for each in error.problems
        ]
    except OneiricError as error:
        return [StoreFinding("error", error.message, error.where, error.hint)]
    except Exception as error:
        scheme = settings.state.url.partition(":")[0]  # what follows may hold a password
        message = f"the store {scheme!r} could not be looked at: {type(error).__name__}: {error}"
        return [StoreFinding("error", message, settings.where("state", "url"))]
