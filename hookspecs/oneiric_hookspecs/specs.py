"""The hooks of Oneiric, in the order of a part's life.

Each says when it is called, what every answer means, what may go wrong, and who is asked first.
Implementations name the arguments they want, in any order, and may leave the others out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from .actions import Action
from .candidates import Candidate
from .domains import Domain
from .errors import Objection, OneiricError
from .grammar import decides, declares, judges, observes, performs, wraps
from .health import Health, Kind
from .keys import Key
from .lifecycle import Build, Generation, Operation, Retirement, Signals, SwapReport, Verdict
from .operating import Activity, Failure, Restart, RestartHistory, Route
from .plugins import Host
from .remote import Changes, Fetcher, Manifest, StreamView, SyncReport, Verifier
from .resolution import Decision, Request, Selection, View
from .runs import Executor
from .secrets import SecretSource
from .state import Store

# =====================================================================================================
# what there is
# =====================================================================================================


@declares(Domain)
def oneiric_domains() -> Iterable[Domain]:
    """Declare the kinds of parts that this plugin brings.

    Called once, when the plugins have been loaded and before candidates are collected.

    Returns:
        Any number of domains; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its domains and candidates count.
    Ordering:
        Every plugin is asked, oldest first.  Two domains of one name, or plural: the later plugin is failed.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_domains():
                yield Domain("report", "reports", "things that are printed on Mondays")
    """


@declares(Candidate)
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare the candidates that this plugin brings.

    Called when the plugins have been loaded, and again when another one is taken in while the application runs; the
    plugin's earlier candidates are replaced as a whole.

    Returns:
        Any number of candidates; none is a fine answer.  Of one provider, the order decides nothing but ties:
        the latest wins.
    Raises:
        Exception: The plugin is failed, with the reason; none of its candidates count, the others do.
    Ordering:
        Every plugin is asked, oldest first: built-in, installed, the application's own.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_candidates():
                yield Candidate(Key.of("adapter", "cache"), "redis", "shop_redis:connect", priority=10)
    """


@declares(Action)
def oneiric_actions() -> Iterable[Action]:
    """Declare the actions that this plugin brings.

    Called when candidates are collected; each action becomes a candidate of the domain that collects them, with the
    plugin as its provider.

    Returns:
        Any number of actions; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of what it declares counts.
    Ordering:
        Every plugin is asked, oldest first.  Of two actions of one name the later plugin's wins; the settings may
        choose.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_actions():
                yield Action("text.shout", "Say it in capitals", takes=Text, returns=Text, run=shout)
    """


@declares(Store)
def oneiric_stores() -> Iterable[Store]:
    """Declare kinds of state stores.

    Called once, when the plugins have been loaded; the settings choose one by ``[state] url = "SCHEME:..."``.

    Returns:
        Any number of stores; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its stores can be chosen.
    Ordering:
        Every plugin is asked; it decides nothing.  Two stores of one scheme: neither can be chosen, and choosing it is
        an error that names both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_stores():
                yield Store("postgres", open_postgres, "shared by all nodes, in PostgreSQL")
    """


@declares(Executor)
def oneiric_executors() -> Iterable[Executor]:
    """Declare who may run tasks and workflows.

    Called once, when the plugins have been loaded; settings choose one by its name.

    Returns:
        Any number of executors; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its executors can be chosen.
    Ordering:
        Every plugin is asked; it decides nothing.  Two executors of one name: neither can be chosen, and choosing it
        is an error that names both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_executors():
                yield Executor("dbos", {"durable", "resume", "keys", "cancel"}, start_dbos, "runs kept in PostgreSQL")
    """


@declares(SecretSource)
def oneiric_secret_sources() -> Iterable[SecretSource]:
    """Declare where secrets may come from.

    Called once, when the plugins have been loaded; the settings choose one by ``[secrets] name = "SCHEME:..."``.

    Returns:
        Any number of sources; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its sources can be chosen.
    Ordering:
        Every plugin is asked; it decides nothing.  Two sources of one scheme: neither can be chosen, and choosing it
        is an error that names both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_secret_sources():
                yield SecretSource("vault", read_from_vault, "HashiCorp Vault, by path and field")
    """


# =====================================================================================================
# who fills a key
# =====================================================================================================


@judges
def oneiric_check_eligible(candidate: Candidate, request: Request, view: View) -> Iterable[Objection] | None:
    """Say why *candidate* must not be considered for *request*.

    Called for every candidate of a key when it is resolved.  Pure: no clock, no input or output.

    Args:
        candidate: One of the candidates of the key.
        request: What was asked for.
        view: What resolving this key may see.
    Returns:
        Objections; they become the reason of the candidate's row.  None, or nothing: no objection.
    Raises:
        Exception: Counts as an objection that names the plugin; the candidate is left out.
    Ordering:
        Every plugin is asked, newest first; all objections are collected.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_check_eligible(candidate):
                if "beta" in candidate.capabilities:
                    yield Objection("beta providers are not for this shop")
    """


@decides(Selection)
def oneiric_select(request: Request, candidates: Sequence[Candidate], view: View) -> Selection | None:
    """Prefer one provider for a key that nobody has chosen for.

    Called only when neither the call, nor a pin, nor the settings name a provider.  Pure: no clock, no input or
    output.

    Args:
        request: What was asked for.
        candidates: Those not left out, lowest registration first; never empty.
        view: What resolving this key may see.
    Returns:
        A selection among *candidates*; or None to leave it to the next plugin, and to the order at last.
    Raises:
        ResolutionError: The answer is that nobody may fill it; nobody else is asked.
        Exception: Recorded on the decision; the next plugin is asked.
    Ordering:
        Newest plugin first; the first answer wins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_select(candidates):
                near = [c for c in candidates if c.metadata.get("region") == "eu"]
                return Selection(near[-1].provider, reason="nearest region") if near else None
    """


@decides(Decision)
def oneiric_resolve(request: Request, candidates: Sequence[Candidate], view: View) -> Decision | None:
    """Choose the candidate that fills *request*.

    Called when what a key stands on has changed, for requests with options, and by ``explain``.  Pure: no
    clock, no input or output.

    Args:
        request: What was asked for.
        candidates: Those not left out, lowest registration first; may be empty.
        view: Selection, quarantine and stack order as of this revision.
    Returns:
        A decision about *candidates*, a row for each; or None to leave it to the next plugin.
    Raises:
        ResolutionError: The answer is that nobody may fill it; nobody else is asked.
        Exception: Recorded on the decision; the next plugin is asked.
    Ordering:
        Newest plugin first; the first answer wins.  The built-in ``precedence`` is ``trylast``.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_resolve(request, candidates):
                if request.key.domain == "lottery":
                    return Decision(request, candidates[0], "the first one drawn")
    """


@observes
def oneiric_resolved(decision: Decision, previous: Decision | None) -> None:
    """Learn that another candidate wins a key.

    Called after a change of the registry, once for each key whose winner is another one than before; never for a
    look-up.  In the thread that made the change.

    Args:
        decision: The decision now.
        previous: The one before; None where the key was unknown.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_resolved(decision):
                print(decision.request.key, "->", decision.winner and decision.winner.provider)
    """


# =====================================================================================================
# how a candidate becomes something that runs
# =====================================================================================================


@judges
async def oneiric_check_candidate(operation: Operation, candidate: Candidate) -> Iterable[Objection] | None:
    """Say why *candidate* must not be built.

    Called before its factory is loaded, so before any of its code is imported.

    Args:
        operation: What is going on.
        candidate: What is about to be loaded.
    Returns:
        Objections: the operation ends with ``Vetoed``, and nothing has been built.  None, or nothing: no objection.
    Raises:
        Exception: Counts as an objection that names the plugin, and so does taking longer than ``hook_timeout``.
    Ordering:
        Every plugin is asked, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_check_candidate(candidate):
                if candidate.version in RECALLED:
                    yield Objection(f"version {candidate.version} was recalled")
    """


@performs(Callable)
def oneiric_load(candidate: Candidate) -> Callable[..., Any] | None:
    """Turn the factory of *candidate* into something that can be called.

    Called before anything is built: in a thread where the factory is a name, as importing may take long; on the loop
    where it is an object.

    Args:
        candidate: Its ``factory`` may be a callable, ``pkg.mod:attr`` or ``ep:NAME``.
    Returns:
        The factory; or None to leave it to the next plugin.
    Raises:
        Exception: The operation ends with ``Permanent``; nobody else is asked.
    Ordering:
        Newest plugin first; the first that takes it.  The built-in ``factories`` is ``trylast``.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_load(candidate):
                if isinstance(candidate.factory, str) and candidate.factory.startswith("ep:lab-"):
                    return laboratory.find(candidate.factory)
    """


@performs(Build)
def oneiric_activate(
    operation: Operation,
    candidate: Candidate,
    factory: Callable[..., Any],
    settings: Any,
    needs: Mapping[str, Any],
) -> Build | None:
    """Say how an instance of *candidate* is made.

    Called on the loop, for every generation.  It says what to call; the kernel calls it, in a task or a thread
    of its own, under a deadline, and disposes of what arrives late.

    Args:
        operation: What is going on.
        candidate: What to build.
        factory: What ``oneiric_load`` gave.
        settings: An instance of the candidate's settings class; None where it has none.
        needs: What it is built from, by keyword: leased instances, handles, and None for absent optional ones.
    Returns:
        What to call; or None to leave it to the next plugin.
    Raises:
        Exception: The operation ends with ``FactoryError``; nobody else is asked.
    Ordering:
        Newest plugin first; the first that takes it.  The built-in ``factories`` is ``trylast``.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_activate(candidate, factory):
                if candidate.metadata.get("pooled"):
                    return Build(lambda: Pool(factory), mode="async")
    """


@performs(Callable)
def oneiric_probe(generation: Generation, kind: Kind) -> Callable[[], Any] | None:
    """Say how to ask *generation* for its health.

    Called on the loop, before each probe.  The kernel calls what is returned, under the deadline of the probe:
    coroutine functions on the loop, others in a thread.

    Args:
        generation: What to ask.
        kind: ``startup``, ``readiness`` or ``liveness``.  Where a process keeps going and somebody answers for
            ``liveness``, that is asked again and again, and one that fails is started again.  So answer for it only
            what starting again would mend, and nothing that depends on others.
    Returns:
        What to call; its result may be True or None (ok), False (failed), a ``Health``, a status word, or a
        mapping with ``status``; anything else is unknown, which does not pass.  Or None to leave it to the next
        plugin; where nobody takes it, it is ok, and has no liveness.
    Raises:
        Exception: The health is failed; nobody else is asked.
    Ordering:
        Newest plugin first; the first that takes it.  The built-in ``probes`` is ``trylast``; for ``liveness`` it
        knows the instance's own ``liveness()``, for the others its ``health()``.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_probe(generation, kind):
                if generation.key.name == "database" and kind != "liveness":
                    return generation.instance.ping
    """


@judges
async def oneiric_check_swap(
    operation: Operation, new: Generation, old: Generation | None
) -> Iterable[Objection] | None:
    """Say why *new* must not take the place of *old*.

    Called when the new one is up and well, before anybody can use it.

    Args:
        operation: What is going on.
        new: What is about to be bound.
        old: What serves now; None for a first activation.
    Returns:
        Objections: the new one is disposed of, the operation ends with ``Vetoed``.  None, or nothing: no objection.
    Raises:
        Exception: Counts as an objection that names the plugin, and so does taking longer than ``hook_timeout``.
    Ordering:
        Every plugin is asked, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_check_swap(operation, old):
                if old and operation.cause != "operator" and freeze.is_on():
                    yield Objection("no changes before Christmas")
    """


@judges
async def oneiric_check_bound(
    operation: Operation, new: Generation, old: Generation | None
) -> Iterable[Objection] | None:
    """Say why *new*, which users reach by now, must go again.

    Called right after the switch; the old one is still open.

    Args:
        operation: What is going on.
        new: What is bound.
        old: What served before; None for a first activation.
    Returns:
        Objections: the old one is bound again, the operation ends with ``RolledBack``.  None, or nothing: no objection.
    Raises:
        Exception: Counts as an objection that names the plugin, and so does taking longer than ``hook_timeout``.
    Ordering:
        Every plugin is asked, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            async def oneiric_check_bound(new):
                if await new.instance.get("canary") is None:
                    yield Objection("the canary is gone")
    """


@decides(Verdict)
def oneiric_rollback(operation: Operation, generation: Generation, signals: Signals) -> Verdict | None:
    """Settle the probation of *generation*.

    Called while it is on probation: after each probe, after each lease that ended by an exception, and at the end
    with ``signals.remaining`` 0.

    Args:
        operation: The one that bound it.
        generation: What is on probation; the one before it is still open.
        signals: What was seen since it was bound.
    Returns:
        ``ROLL_BACK``: the one before it is bound again, and this one is quarantined.  ``PROMOTE``: the one before
        it is retired.  None leaves it to the next plugin, and at last to time; at the end None means promote.
    Raises:
        Exception: Recorded; the next plugin is asked.
    Ordering:
        Newest plugin first; the first answer wins.  The built-in ``probation`` is ``trylast``.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_rollback(generation, signals):
                if generation.key.name == "payments" and signals.bad_leases:
                    return ROLL_BACK
    """


# =====================================================================================================
# what has happened
# =====================================================================================================


@observes
async def oneiric_activated(operation: Operation, new: Generation) -> None:
    """Learn that a slot that was empty has something bound.

    Called after it can no longer fail.

    Args:
        operation: What went on.
        new: What is bound.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded as a warning of the report; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_activated(new):
                print(new.key, "is up")
    """


@observes
async def oneiric_swapped(operation: Operation, report: SwapReport, new: Generation, old: Generation) -> None:
    """Learn that one generation took the place of another.

    Called after it can no longer fail; the old one may still be in use.

    Args:
        operation: What went on.
        report: What came of it, so far.
        new: What is bound.
        old: What was bound before.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded as a warning of the report; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            async def oneiric_swapped(report):
                await chat.post(f"{report.key}: {report.old} -> {report.new}")
    """


@observes
async def oneiric_rolled_back(
    operation: Operation, new: Generation, old: Generation | None, reason: str
) -> None:
    """Learn that a generation that was bound was taken back.

    Called when the old one serves again; by the confirming step, by probation, or on demand.

    Args:
        operation: What went on.
        new: What was taken back.
        old: What serves again; None where there was none.
        reason: Why, in a sentence.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_rolled_back(new, reason):
                print(new.candidate.provider, "taken back:", reason)
    """


@observes
async def oneiric_failed(operation: Operation, error: OneiricError) -> None:
    """Learn that an operation failed before it changed anything.

    Called for every operation that fails; not for one that was rolled back.

    Args:
        operation: What went on, and at which step.
        error: Why.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_failed(operation, error):
                print(operation.key, operation.step, error)
    """


@observes
async def oneiric_retired(operation: Operation, retirement: Retirement) -> None:
    """Learn how a generation ended.

    Called after it was closed, could not be closed, or was given up; not for one whose factory gave nothing.

    Args:
        operation: What made it retire.
        retirement: How it ended.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_retired(retirement):
                if retirement.ending != "closed":
                    print(retirement.key, retirement.provider, retirement.ending, retirement.error)
    """


@wraps
def oneiric_around_operation(operation: Operation) -> AbstractContextManager[Any] | None:
    """Go around an operation: a span, a context for what is logged in it.

    Called in the operation's own task, before its first step; left when its outcome is final.  Where nobody implements
    it, it costs nothing.

    Args:
        operation: What goes on, before its first step; ``operation.course()`` says later how far it has come.
    Returns:
        A context manager.  It is left with the operation's exception, if it has one.  None: nothing goes around
        this one.
    Raises:
        Exception: Recorded, when entering or leaving; it is left out, and the operation goes on.
    Ordering:
        Every plugin: entered newest first, left in reverse.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_around_operation(operation):
                return tracer.start_as_current_span(f"{operation.cause} {operation.key}")
    """


# =====================================================================================================
# health, supervision, and what operators impose
# =====================================================================================================


@observes
async def oneiric_health_changed(key: Key, before: Health | None, after: Health) -> None:
    """Learn that a part's health is another one.

    Called where the status of a part that is bound has changed and stays so: after as many answers as ``[health]``
    says; never for each probe.

    Args:
        key: Which part.
        before: What it was; None where nothing was known.
        after: What it is, with the reason.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first; of one part one change after another.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            async def oneiric_health_changed(key, after):
                if after.status == "failed":
                    await pager.call(f"{key}: {after.reason}")
    """


@decides(Restart)
def oneiric_restart(key: Key, failure: Failure, history: RestartHistory) -> Restart | None:
    """Say what is done about a part that failed by itself.

    Called where a part that is to be up did not come up, where its liveness fails, and where its ``run()`` has ended.

    Args:
        key: Which part.
        failure: What happened.
        history: Earlier failures, and what the settings say.
    Returns:
        A Delay to start it again after that; a Fallback to take the next candidate; a GiveUp to leave it.  None: not
        mine.
    Raises:
        OneiricError: As a GiveUp, with its text as the reason.
        Exception: Recorded; the next one is asked.
    Ordering:
        Newest plugin first; the built-in policy, which follows ``[restart]``, last.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_restart(key, failure):
                if failure.reason.startswith("licence"):
                    return GiveUp("the licence has expired")
    """


@observes
async def oneiric_activity_changed(
    key: Key, before: Activity, after: Activity, actor: str, reason: str
) -> None:
    """Learn that a part is held, paused, drained or resumed.

    Called when it is in force in this process; once for each part of a domain that this is imposed on.

    Args:
        key: Which part.
        before: What was in force.
        after: What is in force now.
        actor: Who wanted it; empty where it ended by itself.
        reason: Why, in that one's words.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first; of one part one change after another.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_activity_changed(key, after, actor, reason):
                print(key, after.mode or "goes on", "by", actor, reason)
    """


# =====================================================================================================
# what comes from streams
# =====================================================================================================


@declares(Fetcher)
def oneiric_fetchers() -> Iterable[Fetcher]:
    """Declare where streams may come from.

    Called once, when the plugins have been loaded; the scheme of ``[remote.NAME] url`` chooses one.

    Returns:
        Any number of fetchers; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its fetchers can be chosen.
    Ordering:
        Every plugin is asked; it decides nothing.  Two fetchers of one scheme: neither can be chosen, and choosing it
        is an error that names both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_fetchers():
                yield Fetcher("oci", open_registry, "bundles in an OCI registry")
    """


@declares(Verifier)
def oneiric_verifiers() -> Iterable[Verifier]:
    """Declare who can decide whether a release is to be believed.

    Called once, when the plugins have been loaded; ``[remote.NAME] verifier`` chooses one by its name.

    Returns:
        Any number of verifiers; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its verifiers can be chosen.
    Ordering:
        Every plugin is asked; it decides nothing.  Two verifiers of one name: neither can be chosen, and choosing it
        is an error that names both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_verifiers():
                yield Verifier("tuf", pull, summary="a TUF repository")
    """


@judges
def oneiric_check_manifest(
    stream: StreamView, manifest: Manifest, changes: Changes
) -> Iterable[Objection] | None:
    """Say why what a stream brings must not be accepted.

    Called for every verified manifest before anything of it is registered, in the thread of the sync; and for the one
    in force where the process starts.

    Args:
        stream: Which, and what its settings allow.
        manifest: All of its entries.
        changes: What it changes; entries that stand as they did were accepted before.
    Returns:
        Objections.  An EntryObjection names the entry and the code; any other one is about the whole, with the code
        ``policy``.  None, or nothing: no objection.
    Raises:
        Exception: Counts as an objection to the whole that names the plugin, with the code ``plugin-error``.
    Ordering:
        Every plugin is asked, newest first; all objections are collected.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_check_manifest(manifest, changes):
                for identity in changes.added:
                    if not manifest.entries[identity].owner:
                        yield EntryObjection("it has no owner", entry=identity)
    """


@observes
def oneiric_synced(stream: StreamView, report: SyncReport) -> None:
    """Learn what came of a sync.

    Called after each one, also where nothing changed or nothing came; in the thread of the sync.

    Args:
        stream: Which.
        report: What came of it.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_synced(stream, report):
                if report.outcome == "rejected":
                    print(stream.name, report.code, report.detail)
    """


# =====================================================================================================
# what a process serves
# =====================================================================================================


@declares(Route)
def oneiric_routes() -> Iterable[Route]:
    """Declare what can be read at an address of ``oneiric orchestrate --http``.

    Called once, when that begins to listen.

    Returns:
        Any number of routes; none is a fine answer.
    Raises:
        Exception: The plugin is failed, with the reason; none of its routes are served.
    Ordering:
        Every plugin is asked; it decides nothing.  Two routes of one path: neither is served, and asking for it names
        both plugins.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_routes():
                yield Route("/version", "text/plain", lambda: "1.0")
    """


# =====================================================================================================
# the runtime itself
# =====================================================================================================


@observes
async def oneiric_started(host: Host) -> None:
    """Learn that the runtime takes operations.

    Called once, when it has been entered.  Background work starts here, with ``host.spawn``.

    Args:
        host: The kernel's services.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            def oneiric_started(host):
                host.spawn(refresh_prices(host), name="prices")
    """


@observes
async def oneiric_stopping(host: Host) -> None:
    """Learn that the runtime is about to close.

    Called once, before operations are stopped and anything is retired; leases still work.

    Args:
        host: The kernel's services.
    Returns:
        Nothing.
    Raises:
        Exception: Recorded; changes nothing.
    Ordering:
        Every plugin, newest first.
    Since:
        1.0
    Example:
        ::

            @hookimpl
            async def oneiric_stopping(host):
                async with host.use("adapter", "queue") as queue:
                    await queue.flush()
    """
