"""What plugins declare: candidates, what they need, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Literal, Self

import attrs

from .errors import PluginError
from .keys import NAME, Key, check_name

Mode = Literal["overlap", "exclusive", "in_place"]
AutoSwap = Literal["off", "on_idle", "on"]
OnUnready = Literal["serve", "reject"]
OnChange = Literal["restart", "notify", "handle"]

#: A factory that is named instead of given: ``pkg.mod:attr``, or ``ep:NAME`` of the group ``oneiric.factories``.
FACTORY_NAME = re.compile(r"ep:[^\s:]+|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

_CHOICES: dict[str, tuple[str, ...]] = {
    "mode": ("overlap", "exclusive", "in_place"),
    "auto_swap": ("off", "on_idle", "on"),
    "on_unready": ("serve", "reject"),
}
_NOTHING: frozenset[str] = frozenset()
_NO_METADATA: Mapping[str, Any] = {}


@attrs.frozen
class Need:
    """Something a candidate is built from: another slot.

    The factory gets it as a keyword: the leased instance, or with ``on_change="handle"`` a handle.

    Args:
        key: What is needed.
        name: The keyword; the key's name with ``.`` and ``-`` as ``_`` where None.
        optional: Whether the candidate comes up without it; the keyword is then None.
        on_change: What happens when what fills the need is swapped, after its promotion: the dependent is
            built anew (``restart``); told by its own ``on_dependency_changed(key, instance)`` (``notify``); or
            nothing, as a handle always leases what is bound (``handle``).
    """

    key: Key
    name: str | None = None
    optional: bool = False
    on_change: OnChange = "restart"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.key, Key):
            raise PluginError(
                f"a need names a Key, found {self.key!r}", hint='write Need(Key.of("adapter", "db"))'
            )
        if self.on_change not in ("restart", "notify", "handle"):
            raise PluginError(f"on_change is restart, notify or handle, found {self.on_change!r}")
        if not self.keyword.isidentifier():
            raise PluginError(
                f"the need of {self.key} cannot be a keyword named {self.keyword!r}", hint="give it name="
            )

    @property
    def keyword(self) -> str:
        """The keyword under which the factory gets it."""
        return self.name if self.name is not None else self.key.name.replace("-", "_").replace(".", "_")


@attrs.frozen
class Policies:
    """How a candidate wants to be treated; the settings of its key win over it.

    Args:
        mode: How it is swapped: ``overlap`` with the one before, ``exclusive`` (the one before is closed
            first), or ``in_place`` (``await instance.reconfigure(settings)``).
        auto_swap: Whether a better candidate replaces it by itself: ``off``, when no one uses it, or ``on``.
        on_unready: Whether it goes on serving while its readiness fails.
        critical: Whether its failing makes the whole runtime unhealthy.
    """

    mode: Mode = "overlap"
    auto_swap: AutoSwap = "off"
    on_unready: OnUnready = "serve"
    critical: bool = True

    def __attrs_post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise PluginError(f"{name} is one of {', '.join(choices)}, found {getattr(self, name)!r}")


_USUAL = Policies()
_ONLY_TEXTS = frozenset({str}).issuperset
_well_formed = NAME.fullmatch


@attrs.frozen
class Ready:
    """A factory that hands out a value made before; see ``Candidate.ready``."""

    value: Any

    def __call__(self) -> Any:
        return self.value


@attrs.frozen
class Artifact:
    """A file that a candidate is made from, and that a stream brought.

    Args:
        sha256: What it hashes to, in lower-case hexadecimal.
        size: Bytes.
        media_type: What it holds.
        opener: Gives a file open for reading, whose bytes were hashed again; raises a RemoteError where there is none.
    """

    sha256: str
    size: int
    media_type: str = "application/octet-stream"
    opener: Callable[[], BinaryIO] | None = attrs.field(default=None, eq=False, repr=False)

    def open(self) -> BinaryIO:
        """The file, open for reading; whoever opens it closes it.

        Its bytes are those that were signed, and stay so whatever becomes of the file's name.

        Raises:
            RemoteError: It is not there, or is damaged, and could not be had again.
        """
        if self.opener is None:
            raise PluginError(f"nobody can open the artifact {self.sha256}")
        return self.opener()


@attrs.frozen(weakref_slot=False)
class Candidate:
    """One provider that could fill a key.  Equality and hashing leave out the factory and what may not hash.

    Args:
        key: The part it could fill.
        provider: Its name among the candidates of the key.
        factory: Called with keywords only, those its signature names: ``settings``, ``data``, ``artifact``, and one
            for each need.  A callable, ``"pkg.mod:attr"``, or ``"ep:NAME"``.
        priority: Higher wins; None takes its package's from the stack order, else 0.
        stack_level: Higher wins among equal priorities.
        version: Shown, and part of its identity.
        capabilities: What it can do; a request may ask for some.
        needs: What it is built from.
        distributions: Requirements (PEP 508, such as ``redis>=5``) that must be installed; else it is left out.
        platforms: The values of ``sys.platform`` it runs on; empty means all.
        settings_class: The attrs class its settings are structured into; None takes no settings.
        health: ``health(instance)``, sync or async; None uses ``instance.health()`` where there is one.
        close: ``close(instance)`` or the name of a method; None takes the first of leaving its context,
            ``aclose close cleanup shutdown stop``.
        own: Whether its products are closed by the runtime.
        policies: How it wants to be treated.
        summary: One line for people.
        metadata: Anything, for plugins; never looked at by the kernel.
        data: What its domain wants to know of it: an instance of the domain's ``entry`` class.
        settings: A table under what the application's settings say; secrets in it are references.
        artifact: The file it is made from.
    Raises:
        PluginError: A field is not well formed; said once, naming the candidate.
    """

    key: Key
    provider: str
    factory: Callable[..., Any] | str = attrs.field(eq=False)
    priority: int | None = None
    stack_level: int = 0
    version: str | None = None
    capabilities: frozenset[str] = _NOTHING
    needs: tuple[Need, ...] = ()
    distributions: tuple[str, ...] = ()
    platforms: frozenset[str] = _NOTHING
    settings_class: type | None = attrs.field(default=None, hash=False)
    health: Callable[[Any], Any] | None = attrs.field(default=None, eq=False, repr=False)
    close: Callable[[Any], Any] | str | None = attrs.field(default=None, eq=False, repr=False)
    own: bool = True
    policies: Policies = _USUAL
    summary: str = ""
    metadata: Mapping[str, Any] = attrs.field(default=_NO_METADATA, hash=False, repr=False)
    data: Any = attrs.field(default=None, hash=False, repr=False)
    settings: Mapping[str, Any] = attrs.field(default=_NO_METADATA, hash=False, repr=False)
    artifact: Artifact | None = None

    def __attrs_post_init__(self) -> None:
        # One pass without a validator object a field: a million of these are made in a second or two.
        key, factory = self.key, self.factory
        if key.__class__ is not Key:
            raise PluginError(
                f"a candidate fills a Key, found {key!r}", hint='write Key.of("adapter", "cache")'
            )
        try:
            well_formed = _well_formed(key[0]) and _well_formed(key[1]) and _well_formed(self.provider)
        except TypeError:
            well_formed = None  # not a text
        if not well_formed:
            Key.of(*key)
            check_name(self.provider, "provider")
        if factory.__class__ is str:
            if FACTORY_NAME.fullmatch(factory) is None:
                raise self._malformed(f"the factory {factory!r} is neither pkg.mod:attr nor ep:NAME")
        elif not callable(factory):
            raise self._malformed(f"the factory is not callable: {factory!r}")
        if self.priority is not None and self.priority.__class__ is not int:
            raise self._malformed(f"the priority is a whole number or None, found {self.priority!r}")
        if self.stack_level.__class__ is not int:
            raise self._malformed(f"the stack level is a whole number, found {self.stack_level!r}")
        if (
            self.capabilities is not _NOTHING
            or self.needs
            or self.distributions
            or self.platforms is not _NOTHING
        ):
            self._check_collections()
        if self.version is not None and (self.version.__class__ is not str or not self.version):
            raise self._malformed(f"the version is a text or None, found {self.version!r}")
        if self.settings is not _NO_METADATA and not isinstance(self.settings, Mapping):
            raise self._malformed(f"settings is a table, found a {type(self.settings).__name__}")
        if self.artifact is not None and not isinstance(self.artifact, Artifact):
            raise self._malformed(f"artifact is an Artifact, found {self.artifact!r}")
        if self.settings_class is not None and not attrs.has(self.settings_class):
            raise self._malformed(f"the settings class is an attrs class, found {self.settings_class!r}")
        if self.health is not None and not callable(self.health):
            raise self._malformed(f"health is called with the instance, found {self.health!r}")
        if self.close is not None and not (callable(self.close) or isinstance(self.close, str)):
            raise self._malformed(f"close is a callable or the name of a method, found {self.close!r}")
        if self.own.__class__ is not bool:
            raise self._malformed(f"own is true or false, found {self.own!r}")
        if self.policies is not _USUAL and not isinstance(self.policies, Policies):
            raise self._malformed(f"policies is a Policies, found {self.policies!r}")

    def _check_collections(self) -> None:
        for name, kind in (("capabilities", frozenset), ("platforms", frozenset), ("distributions", tuple)):
            value = getattr(self, name)
            if value.__class__ is kind and (not value or _ONLY_TEXTS(map(type, value))):
                continue
            # A lone text is a collection of letters, and never what was meant.
            if isinstance(value, str) or not all(isinstance(each, str) for each in value):
                raise self._malformed(f"{name} is a collection of texts, found {value!r}")
            object.__setattr__(self, name, kind(value))
        if not self.needs and self.needs.__class__ is tuple:
            return
        object.__setattr__(self, "needs", tuple(self.needs))
        if not all(isinstance(need, Need) for need in self.needs):
            raise self._malformed(f"needs is a collection of Need, found {self.needs!r}")
        keywords = [need.keyword for need in self.needs]
        if len(set(keywords)) < len(keywords):
            raise self._malformed(f"two needs share a keyword: {', '.join(keywords)}; give one of them name=")

    def _malformed(self, what: str) -> PluginError:
        return PluginError(f"candidate {self.key} {self.provider!r}: {what}")

    @classmethod
    def ready(cls, key: Key, provider: str, value: Any, *, own: bool = False, **more: Any) -> Self:
        """A candidate that is there already; it is closed by the runtime only if *own*."""
        return cls(key, provider, Ready(value), own=own, **more)


SourceKind = Literal["builtin", "installed", "stream", "application"]


@attrs.frozen
class Source:
    """Who declared candidates: a plugin, a stream, or the application.

    Args:
        name: Unique in one runtime.
        kind: Sources rank built-in < installed < stream < application.
        distribution: What installed it; None where nothing did.
        package: What the stack order calls it.
    """

    name: str
    kind: SourceKind = "application"
    distribution: str | None = None
    package: str = ""


#: What a candidate is known by: source, provider, version.  The key is where it stands.
Identity = tuple[str, str, str | None]
