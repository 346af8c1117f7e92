"""Every error of Oneiric, in one tree.

::

    OneiricError
    ├── ResolutionError        nobody may fill the key; carries the decision
    │   ├── NoCandidate            nothing that is registered fits
    │   ├── SelectionUnsatisfied   what was selected is not there, or left out
    │   └── NothingBefore          there is nothing to go back to
    ├── ActivationError        the new one did not come up; what served before still does
    │   ├── FactoryError           the factory, or starting its product, failed
    │   ├── ActivationTimeout      a step took longer than it may
    │   ├── HealthRejected         it came up, and is not well
    │   ├── Vetoed                 a plugin objects
    │   ├── DependencyFailed       something it needs did not come up
    │   ├── DependencyCycle        it needs itself, by way of others
    │   ├── Reentrant              it is being activated by what it is activating
    │   ├── TooManyHung            too many threads of factories never came back
    │   └── Permanent              trying again cannot help: imports, settings
    ├── RolledBack             it was bound, found wanting, and the one before it serves again
    ├── NotServing             there is nothing to lease now
    │   ├── Empty                  nothing is bound
    │   ├── Paused · Draining      an operator said so
    │   ├── Closed                 the runtime is closed
    │   └── GateTimeout            a swap that cannot overlap took longer than the user would wait
    ├── NothingToCall          the domain is not there, or has nothing to call
    ├── BreakerOpen            it failed too often lately, and is left alone for a while
    ├── Busy                   the slot was not free in time
    ├── Held                   an operator imposed something, and this does not pass it
    ├── Superseded             a newer change took its place
    ├── RuntimeClosing         the runtime takes no new operations
    ├── WrongThread            this belongs on the runtime's loop, or off it
    ├── ActionError            an action refused its request, or failed
    │   └── ActionTimeout          it took longer than it may
    ├── RunError               a task or workflow run failed
    │   ├── RunTimeout             it took longer than it may
    │   ├── NodesFailed            nodes of a workflow failed
    │   ├── UnknownTasks           a workflow names tasks that nobody fills
    │   └── NoSuchRun              there is none of that id
    ├── SecretError            a secret cannot be had
    ├── SettingsError          every problem of the settings at once
    ├── PluginError            a plugin, or what it declares, is not well formed
    ├── RemoteError            a stream could not be fetched, verified or applied
    │   ├── FetchError · VerifyError · Malformed · Rejected
    └── StateError             the state store
        ├── Conflict · Corrupt · Locked

An error keeps its facts as fields.  Its text says what happened, where, and what to do next, in one to
three lines; the first is one sentence in lower case without a full stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

if TYPE_CHECKING:
    from .health import Health
    from .keys import Key
    from .remote import Code
    from .resolution import Decision
    from .state import Stored


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of *known* that is spelled most like *word*, or None if none is near."""
    import difflib  # only for a slip, and it costs every start of a command two milliseconds

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6 if len(word) < 5 else 0.7)
    return found[0] if found else None


def a_few(names: Iterable[str], limit: int = 8) -> str:
    """*names* in a sentence: sorted, and cut after *limit* with the number left out."""
    listed = sorted(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "none") + more


class OneiricError(Exception):
    """The root of the tree; never raised itself.

    Attributes:
        exit_code: What the command line exits with when this error ends a command.
        where: The place it is about, such as ``shop.toml:12``; may be None.
        hint: What to do next; may be None.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        first = f"{self.where}: {self.message}" if self.where else self.message
        return f"{first}\n  {self.hint}" if self.hint else first

    def twin(self) -> Self:
        """A second exception with the same facts and cause, and a traceback of its own.

        Everybody who waits for one operation gets one: a single object raised in a hundred tasks would
        collect a hundred tracebacks.
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.args = self.args
        other.__cause__ = self.__cause__
        other.__suppress_context__ = True
        return other


# --- resolution ------------------------------------------------------------------------------------------------


class ResolutionError(OneiricError):
    """Nobody may fill the key.  ``decision`` says of every candidate why not; None if a plugin raised this itself."""

    exit_code = 3

    def __init__(self, message: str, *, decision: Decision | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.decision = decision


def _nearest_key(key: Key, known: Sequence[str]) -> str | None:
    """The key that was meant: another name in the same domain, or the same name in another domain.

    Names are compared with names.  In whole keys the domain, which is often right, would outweigh the rest.
    """
    pairs = [text.partition(":") for text in known]
    name = nearest(key.name, [name for domain, _, name in pairs if domain == key.domain])
    if name is not None:
        return f"{key.domain}:{name}"
    domain = nearest(key.domain, [domain for domain, _, name in pairs if name == key.name])
    return None if domain is None else f"{domain}:{key.name}"


class NoCandidate(ResolutionError):
    """Nothing that is registered fits the request.

    Args:
        key: What was to be filled.
        known: The keys that could have been meant (shown: the nearest).
        left_out: One ``provider: reason`` for each candidate of the key, all of them excluded.
    """

    def __init__(
        self,
        key: Key,
        *,
        known: Iterable[str] = (),
        left_out: Sequence[str] = (),
        decision: Decision | None = None,
    ) -> None:
        known = tuple(known)
        near = _nearest_key(key, known)
        if left_out:
            hint = "left out: " + "; ".join(left_out[:4])
        elif near:
            hint = f"did you mean {near}?"
        else:
            hint = f"registered: {a_few(known)}"
        super().__init__(f"no candidate fills {key}", decision=decision, hint=hint)
        self.key, self.known, self.left_out = key, known, tuple(left_out)


class SelectionUnsatisfied(ResolutionError):
    """What was selected is not registered, or is left out.

    Args:
        key: What was to be filled.
        provider: What was selected.
        by: Who selected it: ``"the call"``, ``"a pin"``, ``"the settings"``, or a plugin's name.
        registered: The providers there are.
        because: Why the selected one is left out; None if it is not registered at all.
    """

    def __init__(
        self,
        key: Key,
        provider: str,
        *,
        by: str,
        registered: Iterable[str],
        because: str | None = None,
        decision: Decision | None = None,
    ) -> None:
        registered = tuple(registered)
        near = nearest(provider, registered)
        if because:
            message = f"{key} is set to provider {provider!r} by {by}, and that is left out: {because}"
            hint = f"registered: {a_few(registered)}"
        else:
            message = f"no candidate fills {key} with provider {provider!r} (set by {by})"
            hint = (f"did you mean {near!r}?\n  " if near else "") + f"registered: {a_few(registered)}"
        super().__init__(message, decision=decision, hint=hint)
        self.key, self.provider, self.by, self.registered, self.because = (
            key,
            provider,
            by,
            registered,
            because,
        )


class NothingBefore(ResolutionError):
    """There is nothing to go back to: no other provider was bound to ``key`` before."""

    def __init__(self, key: Key) -> None:
        super().__init__(
            f"{key}: nothing was bound before what is bound now", hint="swap it to a provider by name"
        )
        self.key = key


# --- activation ------------------------------------------------------------------------------------------------


class ActivationError(OneiricError):
    """The new one did not come up; whatever served before still serves.

    Attributes:
        key: The slot it was for.
        provider: The candidate that was tried.
        step: The step that failed, as in ``SwapReport.steps``.
        operation: The operation's id; empty outside one.
        serving: The provider that still serves; None if nothing does.
    """

    exit_code = 4
    says: ClassVar[str] = "did not come up"

    def __init__(
        self,
        reason: str,
        *,
        key: Key | None = None,
        provider: str = "",
        step: str = "",
        operation: str = "",
        serving: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason
        self.key, self.provider, self.step = key, provider, step
        self.operation, self.serving = operation, serving

    def __str__(self) -> str:
        if self.key is None:
            return super().__str__()
        at = f" at step {self.step}" if self.step else ""
        lines = [f"{self.key}: {self.provider or 'it'} {self.says}{at}: {self.reason}"]
        lines += [f"  still serving: {self.serving or 'nothing'}"]
        lines += [f"  {self.hint}"] if self.hint else []
        return "\n".join(lines)


class FactoryError(ActivationError):
    """The factory raised, or starting its product did; the original is ``__cause__``."""


class ActivationTimeout(ActivationError):
    """A step took longer than it may; what it may still produce will be disposed of when it arrives."""

    exit_code = 8


class HealthRejected(ActivationError):
    """It came up and is not well.  ``health`` is the last answer."""

    def __init__(self, reason: str, *, health: Health, **facts: Any) -> None:
        super().__init__(reason, **facts)
        self.health = health


class Vetoed(ActivationError):
    """A plugin objects.  ``plugin`` is who, ``objections`` all that was said."""

    says = "was refused"

    def __init__(
        self, reason: str, *, plugin: str, objections: Sequence[Objection] = (), **facts: Any
    ) -> None:
        super().__init__(f"{plugin} objects: {reason}", **facts)
        self.plugin, self.objections = plugin, tuple(objections)


class DependencyFailed(ActivationError):
    """Something it needs did not come up.  ``path`` leads from the slot to the one that failed."""

    def __init__(self, reason: str, *, path: Sequence[Key], **facts: Any) -> None:
        super().__init__(f"{' -> '.join(map(str, path))}: {reason}", **facts)
        self.path = tuple(path)


class DependencyCycle(ActivationError):
    """It needs itself, by way of others.  ``path`` is the circle, its first key repeated at the end."""

    says = "cannot be activated"

    def __init__(self, *, path: Sequence[Key], **facts: Any) -> None:
        super().__init__(f"its needs form a circle: {' -> '.join(map(str, path))}", **facts)
        self.path = tuple(path)


class Reentrant(ActivationError):
    """A factory or a hook asked for an operation on a slot that waits for it: ``path`` is the chain."""

    says = "cannot be activated"

    def __init__(self, *, path: Sequence[Key], **facts: Any) -> None:
        chain = " -> ".join(map(str, path))
        facts.setdefault("hint", "declare it as a need, or do it after the operation: runtime.spawn")
        super().__init__(f"it is asked for from inside its own operation: {chain}", **facts)
        self.path = tuple(path)


class TooManyHung(ActivationError):
    """Too many threads of factories, probes or closes have not come back."""


class Permanent(ActivationError):
    """Trying again cannot help before something is changed: an import, the settings, a permission."""


@attrs.frozen
class Objection:
    """Why a judge says no.

    Args:
        reason: A sentence without a full stop.
        plugin: Who objects; filled in by the dispatcher.
        remedy: What would lift it, in words that follow "would win with": ``redis>=5 installed``; empty where
            nothing would.
        failed: Whether it did not judge but fail, which counts as a no; filled in by the dispatcher.
    """

    reason: str
    plugin: str = ""
    remedy: str = ""
    failed: bool = attrs.field(default=False, eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.plugin}: {self.reason}" if self.plugin else self.reason


class RolledBack(OneiricError):
    """The new one was bound and found wanting; the one before it serves again, and was never closed.

    Attributes:
        serving: The provider that serves again; None if there was none before.
    """

    exit_code = 4

    def __init__(
        self, key: Key, provider: str, reason: str, *, serving: str | None, operation: str = ""
    ) -> None:
        super().__init__(
            f"{key}: {provider} was rolled back: {reason}", hint=f"still serving: {serving or 'nothing'}"
        )
        self.key, self.provider, self.reason, self.serving, self.operation = (
            key,
            provider,
            reason,
            serving,
            operation,
        )


# --- using -----------------------------------------------------------------------------------------------------


class NotServing(OneiricError):
    """There is nothing to lease from ``key`` now."""

    exit_code = 4
    says: ClassVar[str] = "does not serve"

    def __init__(self, key: Key, *, because: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{key} {self.says}" + (f": {because}" if because else ""), hint=hint)
        self.key, self.because = key, because


class Empty(NotServing):
    """Nothing is bound, and a synchronous lease does not activate."""

    says = "has nothing bound"


class Paused(NotServing):
    """An operator paused it."""

    says = "is paused"


class Draining(NotServing):
    """It is being drained, or swapped by a candidate that cannot overlap with the one before."""

    says = "takes no new users now"


class Closed(NotServing):
    """The runtime is closed."""

    says = "is closed"


class GateTimeout(NotServing):
    """A swap that cannot overlap took longer than the user would wait."""

    says = "did not open its gate in time"
    exit_code = 8


class NothingToCall(OneiricError):
    """There is no such domain, its parts are used and not called, or it has no interface of its own."""

    exit_code = 3


class BreakerOpen(OneiricError):
    """It failed too often lately, and was not tried: ``name`` is what, ``seconds`` how long it is left alone yet."""

    exit_code = 4

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(
            f"{name} failed too often lately, and is left alone", hint=f"it is tried again in {seconds:.1f} s"
        )
        self.name, self.seconds = name, seconds


class Busy(OneiricError):
    """The slot was not free in time: ``holder`` is what has it."""

    exit_code = 8

    def __init__(self, key: Key, *, holder: str = "", seconds: float | None = None) -> None:
        waited = "" if seconds is None else f" for {seconds:g} s"
        super().__init__(f"{key} was busy{waited}", hint=f"held by {holder}" if holder else None)
        self.key, self.holder, self.seconds = key, holder, seconds


class Held(OneiricError):
    """An operator holds, pauses or drains it, and the change was asked for without ``override``.

    ``mode`` is what is imposed, ``actor`` who did, ``note`` why, in that one's words.
    """

    exit_code = 4

    def __init__(self, key: Key, *, mode: str, actor: str = "", note: str = "") -> None:
        said = {"hold": "held", "pause": "paused", "drain": "drained"}.get(mode, mode)
        by = f" by {actor}" if actor else ""
        super().__init__(
            f"{key} is {said}{by}" + (f": {note}" if note else ""),
            hint=f"pass it with override (--override), or: oneiric resume {key.domain} {key.name}",
        )
        self.key, self.mode, self.actor, self.note = key, mode, actor, note


class Superseded(OneiricError):
    """A newer change took the place of this one before it was committed."""

    exit_code = 4

    def __init__(self, key: Key, *, by: str = "") -> None:
        super().__init__(f"{key}: this change was superseded by a newer one" + (f" ({by})" if by else ""))
        self.key, self.by = key, by


class RuntimeClosing(OneiricError):
    """The runtime is closing, or was never started, and takes no operations."""

    exit_code = 4


class WrongThread(OneiricError):
    """This belongs on the runtime's loop, or off it; the hint says what to call instead."""


class ActionError(OneiricError):
    """An action refused its request, or failed.

    Attributes:
        SHOWN: How many problems its text names.
        setting: The path of the setting to change, where one would help.
        problems: What is wrong with the request, each with its path; empty where something else is.
    """

    exit_code = 4
    SHOWN: ClassVar[int] = 20

    def __init__(
        self,
        message: str,
        *,
        setting: str | None = None,
        problems: Iterable[Problem] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint or (f"see the setting {setting}" if setting else None))
        self.setting, self.problems = setting, tuple(problems)

    def __str__(self) -> str:
        if not self.problems:
            return super().__str__()
        lines = [f"  {problem}" for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"  and {len(self.problems) - self.SHOWN} more")
        return "\n".join([self.message, *lines, *([f"  {self.hint}"] if self.hint else [])])


class ActionTimeout(ActionError):
    """An action took longer than it, or its caller, allows."""

    exit_code = 8


class RunError(OneiricError):
    """A run of a task or a workflow failed, or cannot be had.  ``run`` is its id; empty where there is none."""

    exit_code = 4

    def __init__(
        self, message: str, *, run: str = "", where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.run = run


class RunTimeout(RunError):
    """A run, or an attempt at a task, took longer than it may."""

    exit_code = 8


class NodesFailed(RunError):
    """Nodes of a workflow failed; the cause is what they raised, as one group.

    Attributes:
        failures: What each of them raised, by the nodes' ids.
        skipped: The nodes that were not run, as they come after one that failed, or all were ended for it.
    """

    def __init__(
        self,
        message: str,
        *,
        run: str = "",
        hint: str | None = None,
        failures: Mapping[str, BaseException],
        skipped: Iterable[str] = (),
    ) -> None:
        super().__init__(message, run=run, hint=hint)
        self.failures, self.skipped = failures, tuple(skipped)


class UnknownTasks(RunError):
    """A workflow names tasks that nobody fills; nothing of it was run.  ``tasks`` are their names."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, tasks: Iterable[str]) -> None:
        super().__init__(message, hint=hint)
        self.tasks = tuple(tasks)


class NoSuchRun(RunError):
    """There is no run of that id."""

    exit_code = 3


class SecretError(OneiricError):
    """A secret cannot be had.  It says which and why, and never what one holds.

    A source may raise it with nothing but a reason, which is shown; so it is no place for what was read.

    Attributes:
        reason: Why, in words that follow "cannot be had".
        name: The secret's name in ``[secrets]``; filled in by the kernel, as are the two below.
        source: Where it comes from: ``env:DB_PASSWORD``.
    """

    exit_code = 6

    def __init__(
        self,
        reason: str,
        *,
        name: str = "",
        source: str = "",
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        said = f"the secret {name!r} ({source}) cannot be had: {reason}" if name else reason
        super().__init__(said, where=where, hint=hint)
        self.reason, self.name, self.source = reason, name, source


# --- settings and plugins --------------------------------------------------------------------------------------


@attrs.frozen
class Problem:
    """One thing wrong with the settings.

    Args:
        path: Into the user's tables: ``adapters.settings.cache.disk.timeout``.
        message: What is wrong: what was expected, what was found.
        where: ``file:line``, or the name of the variable or flag; None for a mapping given in code.
        hint: The nearest right name, or what to do.
    """

    path: str
    message: str
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        start = "".join(f"{part}: " for part in (self.where, self.path) if part)
        return f"{start}{self.message}" + (f" ({self.hint})" if self.hint else "")


class SettingsError(OneiricError):
    """The settings are not valid: every problem at once, one a line."""

    exit_code = 5

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"the settings have {count} problem{'s' if count != 1 else ''}")

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n".join([self.message, *(f"  {problem}" for problem in self.problems)])


class PluginError(OneiricError):
    """A plugin, or something it declares, is not well formed.

    Attributes:
        plugin: Its name; empty for a value made by an application.
        distribution: What installed it; None where nothing did.
        code: The lint rule's, such as ``E101``; None for anything else.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        plugin: str = "",
        distribution: str | None = None,
        where: str | None = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.plugin, self.distribution, self.code = plugin, distribution, code

    def __str__(self) -> str:
        start = f"plugin {self.plugin}: " if self.plugin else ""
        code = f"{self.code} " if self.code else ""
        at = f" ({self.where})" if self.where else ""
        return f"{start}{code}{self.message}{at}" + (f"\n  {self.hint}" if self.hint else "")


# --- remote and state ------------------------------------------------------------------------------------------


class RemoteError(OneiricError):
    """A stream could not be fetched, verified or applied; what was accepted before still holds.

    Attributes:
        code: The word for why, one of ``oneiric_hookspecs.remote.Code``.
    """

    exit_code = 7
    code: Code = "io"


class FetchError(RemoteError):
    """The stream could not be had.  ``retry_after`` is in seconds."""

    exit_code = 8
    code: Code = "unreachable"

    def __init__(
        self,
        message: str,
        *,
        code: Code = "unreachable",
        retryable: bool = True,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code, self.retryable, self.retry_after = code, retryable, retry_after


class VerifyError(RemoteError):
    """What came is not to be believed.  ``code`` names the rule."""

    def __init__(self, message: str, *, code: Code, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Malformed(RemoteError):
    """What came is not well formed.  ``line`` counts from 1."""

    code: Code = "malformed"

    def __init__(self, message: str, *, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=None if line is None else f"line {line}", hint=hint)
        self.line = line


class Rejected(RemoteError):
    """What came is signed and well formed, and a check says no."""

    code: Code = "policy"

    def __init__(
        self,
        message: str,
        *,
        code: Code = "policy",
        line: int | None = None,
        objections: Sequence[Objection] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=None if line is None else f"line {line}", hint=hint)
        self.code, self.line = code, line
        self.objections = tuple(objections)


class StateError(OneiricError):
    """The state store could not do it."""

    exit_code = 6


class Conflict(StateError):
    """Somebody else changed it first.  ``revision`` is the one found."""

    exit_code = 4

    def __init__(self, message: str, *, revision: int | None = None) -> None:
        super().__init__(message)
        self.revision = revision


class Corrupt(StateError):
    """What is stored is damaged; ``where`` is the file, ``hint`` says where it was set aside.

    Of a scan in which single values are damaged, ``damaged`` has their keys, each with its revision and what is wrong,
    and ``sound`` the others, as the scan would have given them: one value is no reason to do without all.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        sound: Sequence[tuple[str, Stored]] = (),
        damaged: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.sound, self.damaged = list(sound), dict(damaged or {})


class Locked(StateError):
    """Another process has it."""

    exit_code = 8
