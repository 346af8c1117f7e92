"""``action:workflow.orchestrate``: in which order steps can be done, and which of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
from attrs.validators import ge, le, optional
from oneiric_hookspecs import Action, Problem, hookimpl, nearest

from oneiric.plugins._requests import unfit, unfit_all

KEY = "workflow.orchestrate"
#: Circles that are looked for: each takes the steps apart anew.
_CIRCLES = 20
#: For so many it is looked who was meant, and only among so many: that takes its time.
_NEAR, _MANY = 5, 2000
#: Characters of the name of a step.
_LONGEST = 200


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How much.

    Args:
        max_steps: Steps that a request may have.
        max_after: Times that steps may name another one, all together.
        width: Steps that a batch may hold, where a request does not say; None is any number.
    """

    max_steps: int = attrs.field(default=1000, validator=[ge(1), le(100_000)])
    max_after: int = attrs.field(default=10_000, validator=[ge(1), le(1_000_000)])
    width: int | None = attrs.field(default=None, validator=optional(ge(1)))


@attrs.frozen(eq=False, repr=False)
class Step:
    """Something to be done.

    Args:
        id: Its name.
        after: The names of those that are to be done before.
    """

    id: str
    after: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.id) <= _LONGEST:
            raise ValueError(f"id has 1 to {_LONGEST} characters, found {len(self.id)}")


@attrs.frozen(eq=False, repr=False)
class Request:
    """What is to be done.

    Args:
        steps: All the steps there are.
        only: The names of those that are wanted, with all that has to be done before; empty for all.
        width: Steps that a batch may hold; None as the settings say.
    """

    steps: tuple[Step, ...]
    only: tuple[str, ...] = ()
    width: int | None = attrs.field(default=None, validator=optional(ge(1)))


@attrs.frozen(eq=False, repr=False)
class Result:
    """An order.

    Args:
        batches: The names, in batches: what is in one can be done at once, when all batches before are done.
        graph: Of each step, what has to be done right before it.
        entry: Those that wait for nothing.
        terminal: Those that nothing waits for.
        left_out: Those that ``only`` did not need.
    """

    batches: tuple[tuple[str, ...], ...]
    graph: Mapping[str, tuple[str, ...]]
    entry: tuple[str, ...]
    terminal: tuple[str, ...]
    left_out: tuple[str, ...]


async def run(request: Request, settings: Settings) -> Result:
    """Find an order.  Raises: ActionError, with everything that is wrong with the steps."""
    from graphlib import TopologicalSorter

    steps = request.steps
    if len(steps) > settings.max_steps:
        message = f"holds {len(steps):,} steps, and {settings.max_steps:,} are allowed"
        raise unfit(KEY, "steps", message, setting="max_steps")
    if (named := sum(len(step.after) for step in steps)) > settings.max_after:
        message = f"hold {named:,} names in after, and {settings.max_after:,} are allowed"
        raise unfit(KEY, "steps", message, setting="max_after")
    places: dict[str, int] = {}
    for place, step in enumerate(steps):
        places.setdefault(step.id, place)
    problems = _problems(request, places)
    graph: dict[str, tuple[str, ...]] = {}
    for step in steps:
        graph[step.id] = tuple(dict.fromkeys((*graph.get(step.id, ()), *step.after)))
    problems += _cycles(graph, places)
    if problems:
        raise unfit_all(KEY, problems)
    wanted = _with_all_before(request.only, graph) if request.only else set(graph)
    graph = {name: after for name, after in graph.items() if name in wanted}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    width = request.width or settings.width or len(steps) or 1
    batches: list[tuple[str, ...]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=places.__getitem__)
        batches += [tuple(ready[start : start + width]) for start in range(0, len(ready), width)]
        sorter.done(*ready)
    waited_for = {name for after in graph.values() for name in after}
    return Result(
        tuple(batches),
        graph,
        entry=tuple(name for name, after in graph.items() if not after),
        terminal=tuple(name for name in graph if name not in waited_for),
        left_out=tuple(name for name in places if name not in wanted),
    )


def _problems(request: Request, places: Mapping[str, int]) -> list[Problem]:
    """Names that are given twice, are nobody's, or are the step's own."""
    problems = []
    for place, step in enumerate(request.steps):
        if places[step.id] != place:
            first = f"steps[{places[step.id]}]"
            problems.append(Problem(f"steps[{place}].id", f"{_cut(step.id)} is the id of {first}, too"))
        for number, name in enumerate(step.after):
            path = f"steps[{place}].after[{number}]"
            if name == step.id:
                problems.append(Problem(path, f"{_cut(name)} waits for itself"))
            elif name not in places:
                problems.append(_unknown(path, name, places, near=len(problems) < _NEAR))
    for number, name in enumerate(request.only):
        if name not in places:
            problems.append(_unknown(f"only[{number}]", name, places, near=len(problems) < _NEAR))
    return problems


def _unknown(path: str, name: str, places: Mapping[str, int], *, near: bool) -> Problem:
    meant = nearest(name[:_LONGEST], places) if near and len(places) <= _MANY else None
    hint = f"did you mean {meant!r}?" if meant else None
    return Problem(path, f"there is no step {_cut(name)}", hint=hint)


def _cut(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:37]}...")


def _cycles(graph: Mapping[str, Sequence[str]], places: Mapping[str, int]) -> list[Problem]:
    """Circles, each by its shortest name; what waits for itself is told elsewhere."""
    from graphlib import CycleError, TopologicalSorter

    edges = {
        name: {each for each in after if each != name and each in graph} for name, after in graph.items()
    }
    problems: list[Problem] = []
    while len(problems) < _CIRCLES:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            # Of two neighbours the second waits for the first.
            circle: list[str] = error.args[1]
            steps = circle[:-1]
            first = min(steps, key=places.__getitem__)
            at = steps.index(first)
            turned = [*steps[at:], *steps[:at], first][::-1]
            named = turned if len(turned) <= 12 else [*turned[:6], "...", *turned[-5:]]
            text = " waits for ".join(each if each == "..." else _cut(each) for each in named)
            problems.append(Problem(f"steps[{places[first]}].after", text))
            for one, other in zip(circle[1:], circle, strict=False):
                edges[one].discard(other)
        else:
            break
    return problems


def _with_all_before(names: Iterable[str], graph: Mapping[str, Sequence[str]]) -> set[str]:
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += graph[name]
    return wanted


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Find the order in which steps can be done",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
