"""The contract between Oneiric and its plugins: markers, values, errors and hook specifications.

A plugin imports this, and the library it is about; never the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actions import Action
    from .attempts import Breaker, Retry
    from .candidates import Artifact, Candidate, Identity, Need, Policies, Ready, Source
    from .categories import (
        Cache,
        Database,
        Delivery,
        Http,
        HttpResponse,
        HttpStream,
        Messaging,
        Queries,
        Queue,
        QueueCounts,
        SecretStore,
        Storage,
    )
    from .domains import Domain
    from .errors import (
        ActionError,
        ActionTimeout,
        ActivationError,
        ActivationTimeout,
        BreakerOpen,
        Busy,
        Closed,
        Conflict,
        Corrupt,
        DependencyCycle,
        DependencyFailed,
        Draining,
        Empty,
        FactoryError,
        FetchError,
        GateTimeout,
        HealthRejected,
        Held,
        Locked,
        Malformed,
        NoCandidate,
        NodesFailed,
        NoSuchRun,
        NothingBefore,
        NothingToCall,
        NotServing,
        Objection,
        OneiricError,
        Paused,
        Permanent,
        PluginError,
        Problem,
        Reentrant,
        Rejected,
        RemoteError,
        ResolutionError,
        RolledBack,
        RunError,
        RuntimeClosing,
        RunTimeout,
        SecretError,
        SelectionUnsatisfied,
        SettingsError,
        StateError,
        Superseded,
        TooManyHung,
        UnknownTasks,
        VerifyError,
        Vetoed,
        WrongThread,
        a_few,
        nearest,
    )
    from .events import Envelope, EventHandler, FanOut, Filter, Op, Subscription
    from .grammar import (
        Deprecation,
        Form,
        Spec,
        decides,
        declares,
        hookimpl,
        implements,
        judges,
        observes,
        performs,
        wraps,
    )
    from .health import Health
    from .keys import NAME, Key, check_name
    from .lifecycle import (
        PROMOTE,
        ROLL_BACK,
        Build,
        CloseReport,
        Course,
        Generation,
        Operation,
        Retirement,
        Signals,
        SwapReport,
        Verdict,
    )
    from .operating import (
        MODES,
        Activity,
        Delay,
        DrainReport,
        Failure,
        Fallback,
        GiveUp,
        HealthSummary,
        Mode,
        Restart,
        RestartHistory,
        RestartPolicy,
        Route,
    )
    from .plugins import Clock, CommandContext, Host, PluginContext, TaskHandle
    from .remote import (
        Changes,
        Code,
        Entry,
        EntryIdentity,
        EntryObjection,
        Fetched,
        Fetcher,
        Fetching,
        FileRef,
        Got,
        Keep,
        Manifest,
        Pull,
        Pulled,
        Release,
        RemoteIO,
        Sink,
        SourceIO,
        SourceSpec,
        StreamView,
        SyncReport,
        Trust,
        Verifier,
    )
    from .resolution import Decision, Markers, Request, Row, Selection, View
    from .runs import (
        Body,
        Capability,
        Executing,
        Executor,
        Graph,
        Job,
        Node,
        Run,
        RunContext,
        RunState,
        StepRun,
        Steps,
        TaskHandler,
        TaskSpec,
        Workflow,
        WorkflowContext,
        WorkflowSpec,
    )
    from .secrets import MASK, Secret, SecretSource
    from .services import Runnable, Service, ServiceState, ServiceStatus, Startable
    from .state import JSON, NodeSeen, Record, Retention, StateStore, Store, Stored, StoreFinding

__all__ = [
    "Action",
    "ActionError",
    "ActionTimeout",
    "ActivationError",
    "ActivationTimeout",
    "Artifact",
    "Body",
    "Breaker",
    "BreakerOpen",
    "Build",
    "Busy",
    "Cache",
    "Candidate",
    "Capability",
    "Changes",
    "Clock",
    "CloseReport",
    "Course",
    "Closed",
    "Code",
    "CommandContext",
    "Conflict",
    "Corrupt",
    "Database",
    "Decision",
    "Delivery",
    "DependencyCycle",
    "DependencyFailed",
    "Deprecation",
    "Domain",
    "Draining",
    "Empty",
    "Entry",
    "EntryIdentity",
    "EntryObjection",
    "Envelope",
    "EventHandler",
    "Executing",
    "Executor",
    "FactoryError",
    "FanOut",
    "FetchError",
    "Fetched",
    "Fetcher",
    "Fetching",
    "FileRef",
    "Filter",
    "Form",
    "GateTimeout",
    "Generation",
    "Got",
    "Graph",
    "Health",
    "HealthRejected",
    "Host",
    "Http",
    "HttpResponse",
    "HttpStream",
    "Identity",
    "JSON",
    "Job",
    "Keep",
    "Key",
    "Locked",
    "MASK",
    "Malformed",
    "Manifest",
    "Markers",
    "Messaging",
    "NAME",
    "Need",
    "NoCandidate",
    "Node",
    "NodeSeen",
    "NodesFailed",
    "NoSuchRun",
    "NotServing",
    "NothingBefore",
    "NothingToCall",
    "Objection",
    "OneiricError",
    "Op",
    "Operation",
    "PROMOTE",
    "Paused",
    "Permanent",
    "PluginContext",
    "PluginError",
    "Policies",
    "Problem",
    "Pull",
    "Pulled",
    "Queries",
    "Queue",
    "QueueCounts",
    "ROLL_BACK",
    "Ready",
    "Record",
    "Reentrant",
    "Rejected",
    "Release",
    "RemoteError",
    "RemoteIO",
    "Request",
    "ResolutionError",
    "Retention",
    "Retirement",
    "Retry",
    "RolledBack",
    "Row",
    "Run",
    "RunContext",
    "RunError",
    "RunState",
    "RunTimeout",
    "Runnable",
    "RuntimeClosing",
    "Secret",
    "SecretError",
    "SecretSource",
    "SecretStore",
    "Selection",
    "SelectionUnsatisfied",
    "Service",
    "ServiceState",
    "ServiceStatus",
    "SettingsError",
    "Signals",
    "Sink",
    "Source",
    "SourceIO",
    "SourceSpec",
    "Spec",
    "Startable",
    "StateError",
    "StateStore",
    "StepRun",
    "Steps",
    "Storage",
    "Store",
    "StoreFinding",
    "Stored",
    "StreamView",
    "Subscription",
    "Superseded",
    "SwapReport",
    "SyncReport",
    "TaskHandle",
    "TaskHandler",
    "TaskSpec",
    "TooManyHung",
    "Trust",
    "UnknownTasks",
    "Verdict",
    "Verifier",
    "VerifyError",
    "Vetoed",
    "View",
    "Workflow",
    "WorkflowContext",
    "WorkflowSpec",
    "WrongThread",
    "a_few",
    "check_name",
    "decides",
    "declares",
    "hookimpl",
    "implements",
    "judges",
    "nearest",
    "observes",
    "performs",
    "wraps",
    "MODES",
    "Activity",
    "Delay",
    "DrainReport",
    "Failure",
    "Fallback",
    "GiveUp",
    "HealthSummary",
    "Mode",
    "Restart",
    "RestartHistory",
    "RestartPolicy",
    "Route",
    "Held",
]

# Which module has which names.  A module is loaded when the first of its names is asked for: most of them hold values
# whose classes take long to make, and hardly anybody needs them all.
_HOMES = {
    name: module
    for module, names in {
        "actions": "Action",
        "attempts": "Breaker Retry",
        "candidates": "Artifact Candidate Identity Need Policies Ready Source",
        "categories": (
            "Cache Database Delivery Http HttpResponse HttpStream Messaging Queries Queue QueueCounts "
            "SecretStore Storage "
        ),
        "domains": "Domain",
        "errors": (
            "ActionError ActionTimeout ActivationError ActivationTimeout BreakerOpen Busy Closed "
            "Conflict Corrupt DependencyCycle DependencyFailed Draining Empty FactoryError FetchError "
            "GateTimeout HealthRejected Held Locked Malformed NoCandidate NodesFailed NoSuchRun "
            "NothingBefore NothingToCall NotServing Objection OneiricError Paused Permanent "
            "PluginError Problem Reentrant Rejected RemoteError ResolutionError RolledBack RunError "
            "RuntimeClosing RunTimeout SecretError SelectionUnsatisfied SettingsError StateError "
            "Superseded TooManyHung UnknownTasks VerifyError Vetoed WrongThread a_few nearest "
        ),
        "events": "Envelope EventHandler FanOut Filter Op Subscription",
        "grammar": (
            "Deprecation Form Spec decides declares hookimpl implements judges observes performs wraps "
        ),
        "health": "Health",
        "keys": "NAME Key check_name",
        "lifecycle": (
            "PROMOTE ROLL_BACK Build CloseReport Course Generation Operation Retirement Signals "
            "SwapReport Verdict "
        ),
        "operating": (
            "MODES Activity Delay DrainReport Failure Fallback GiveUp HealthSummary Mode Restart "
            "RestartHistory RestartPolicy Route "
        ),
        "plugins": "Clock CommandContext Host PluginContext TaskHandle",
        "remote": (
            "Changes Code Entry EntryIdentity EntryObjection Fetched Fetcher Fetching FileRef Got "
            "Keep Manifest Pull Pulled Release RemoteIO Sink SourceIO SourceSpec StreamView "
            "SyncReport Trust Verifier "
        ),
        "resolution": "Decision Markers Request Row Selection View",
        "runs": (
            "Body Capability Executing Executor Graph Job Node Run RunContext RunState StepRun Steps "
            "TaskHandler TaskSpec Workflow WorkflowContext WorkflowSpec "
        ),
        "secrets": "MASK Secret SecretSource",
        "services": "Runnable Service ServiceState ServiceStatus Startable",
        "state": "JSON NodeSeen Record Retention StateStore Store Stored StoreFinding",
    }.items()
    for name in names.split()
}

if not TYPE_CHECKING:  # or a name that is nowhere would be an object to type checkers

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
