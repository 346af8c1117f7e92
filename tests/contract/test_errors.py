"""One tree of errors, whose texts say what, where, and what next."""

import inspect
import re

import oneiric_hookspecs
import pytest
from oneiric_hookspecs import (
    Busy,
    DependencyCycle,
    DependencyFailed,
    Empty,
    FactoryError,
    Health,
    HealthRejected,
    Key,
    NoCandidate,
    OneiricError,
    Problem,
    Reentrant,
    RolledBack,
    SelectionUnsatisfied,
    SettingsError,
    Superseded,
    Vetoed,
    errors,
)

CACHE, DATABASE = Key.of("adapter", "cache"), Key.of("adapter", "database")
AT = {"key": CACHE, "provider": "disk", "step": "create", "operation": "op7", "serving": "memory"}

TEXTS = [
    (
        NoCandidate(CACHE, known=["adapter:cache-2"]),
        "no candidate fills adapter:cache|  did you mean adapter:cache-2?",
    ),
    (NoCandidate(CACHE, known=["task:x"]), "no candidate fills adapter:cache|  registered: task:x"),
    (
        NoCandidate(Key.of("adapter", "zzz"), known=["adapter:cache"]),
        "no candidate fills adapter:zzz|  registered: adapter:cache",
    ),
    (
        NoCandidate(Key.of("adaptor", "cache"), known=["adapter:cache", "adapter:cash"]),
        "no candidate fills adaptor:cache|  did you mean adapter:cache?",
    ),
    (NoCandidate(CACHE), "no candidate fills adapter:cache|  registered: none"),
    (
        NoCandidate(
            CACHE, known=["adapter:cache"], left_out=["redis: it needs redis>=5, which is not installed"]
        ),
        "no candidate fills adapter:cache|  left out: redis: it needs redis>=5, which is not installed",
    ),
    (
        SelectionUnsatisfied(CACHE, "redsi", by="the call", registered=["memory", "redis"]),
        "no candidate fills adapter:cache with provider 'redsi' (set by the call)"
        "|  did you mean 'redis'?|  registered: memory, redis",
    ),
    (
        SelectionUnsatisfied(
            CACHE, "disk", by="a pin", registered=["disk", "memory"], because="in quarantine"
        ),
        "adapter:cache is set to provider 'disk' by a pin, and that is left out: in quarantine"
        "|  registered: disk, memory",
    ),
    (
        FactoryError("OSError: no space", **AT),
        "adapter:cache: disk did not come up at step create: OSError: no space|  still serving: memory",
    ),
    (
        FactoryError("OSError: no space", **AT | {"serving": None}, hint="make room"),
        "adapter:cache: disk did not come up at step create: OSError: no space|  still serving: nothing|  make room",
    ),
    (
        Vetoed("no changes today", plugin="freeze", **AT | {"step": "check"}),
        "adapter:cache: disk was refused at step check: freeze objects: no changes today|  still serving: memory",
    ),
    (
        HealthRejected("its check answers no", health=Health("failed"), **AT | {"step": "warm"}),
        "adapter:cache: disk did not come up at step warm: its check answers no|  still serving: memory",
    ),
    (
        DependencyFailed("connection refused", path=[CACHE, DATABASE], **AT | {"step": "needs"}),
        "adapter:cache: disk did not come up at step needs: adapter:cache -> adapter:database: connection refused"
        "|  still serving: memory",
    ),
    (
        DependencyCycle(path=[CACHE, DATABASE, CACHE], **AT | {"step": ""}),
        "adapter:cache: disk cannot be activated: its needs form a circle: "
        "adapter:cache -> adapter:database -> adapter:cache|  still serving: memory",
    ),
    (
        Reentrant(path=[CACHE, CACHE]),
        "it is asked for from inside its own operation: adapter:cache -> adapter:cache"
        "|  declare it as a need, or do it after the operation: runtime.spawn",
    ),
    (
        RolledBack(CACHE, "disk", "6 of 9 uses ended by an exception", serving="memory"),
        "adapter:cache: disk was rolled back: 6 of 9 uses ended by an exception|  still serving: memory",
    ),
    (Empty(CACHE, hint="use it"), "adapter:cache has nothing bound|  use it"),
    (Busy(CACHE, holder="op3", seconds=30.0), "adapter:cache was busy for 30 s|  held by op3"),
    (
        Superseded(CACHE, by="dependency"),
        "adapter:cache: this change was superseded by a newer one (dependency)",
    ),
    (
        SettingsError(
            [Problem("lifecycle.drain", "unknown key", "shop.toml:3", "did you mean drain_timeout?")]
        ),
        "shop.toml:3: lifecycle.drain: unknown key (did you mean drain_timeout?)",
    ),
    (
        SettingsError([Problem("a", "one"), Problem("b", "two", "x.toml:1")]),
        "the settings have 2 problems|  a: one|  x.toml:1: b: two",
    ),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda each: type(each).__name__)
def test_an_error_says_what_where_and_what_next(error: OneiricError, text: str) -> None:
    """In one to three lines, the first of them a sentence without a full stop."""
    assert str(error) == text.replace("|", "\n")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Whoever reads it sees every class, and each below its base."""
    drawn: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        for match in re.finditer(r"([├└]── |· |^    )([A-Z]\w+)", line):
            depth = match.start(2) if match.group(1) != "· " else path[-1][0]
            while path and path[-1][0] >= depth:
                path.pop()
            drawn[match.group(2)] = path[-1][1] if path else "Exception"
            path.append((depth, match.group(2)))
    real = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, OneiricError)
    }

    assert drawn == real


def test_every_error_can_be_imported_from_the_contract() -> None:
    """A plugin imports one name."""
    names = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]

    assert [name for name in names if not hasattr(oneiric_hookspecs, name)] == []
