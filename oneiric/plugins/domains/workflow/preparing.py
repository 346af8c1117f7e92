"""A graph before it is run: what is wrong with it, what identifies it, and what a run of it needs to know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Graph, Node, PluginError, StateError, WorkflowSpec, nearest
from oneiric_hookspecs.runs import problems_of

from oneiric.plugins._state import encode

from .filling import Fill, compiled, references


@attrs.frozen(eq=False)
class Prepared:
    """A graph that is well formed, by the places of its nodes.

    Args:
        graph: It.
        fills: What gives the arguments of each node; None where they are the same each time.
        counts: How many nodes each node comes after.
        followers: Which nodes come after each node.
        last: The ids of the nodes that none comes after.
        tasks: The tasks it names.
        version: Changes with what its nodes are, do and get, and with nothing else.
    """

    graph: Graph
    fills: tuple[Fill | None, ...]
    counts: tuple[int, ...]
    followers: tuple[tuple[int, ...], ...]
    last: tuple[str, ...]
    tasks: frozenset[str]
    version: str


def checked(nodes: tuple[Node, ...]) -> None:
    """Refuse what is no graph.

    Raises:
        PluginError: Naming all that is wrong with it, in what its arguments stand for, too.
    """
    problems = [*problems_of(nodes), *_references(nodes)]
    if problems:
        raise PluginError("the graph is not well formed: " + "; ".join(problems))


def prepared(graph: Graph, spec: WorkflowSpec) -> Prepared:
    """*graph*, as *spec* wants it run.

    Raises:
        PluginError: As ``checked``.
    """
    checked(graph.nodes)
    said = {
        name: value
        for name in ("timeout", "concurrency", "on_failure")
        if (value := getattr(spec, name)) is not None
    }
    nodes = graph.nodes
    places = {node.id: place for place, node in enumerate(nodes)}
    followers: list[list[int]] = [[] for _ in nodes]
    for place, node in enumerate(nodes):
        for other in dict.fromkeys(node.after):
            followers[places[other]].append(place)
    return Prepared(
        attrs.evolve(graph, **said) if said else graph,
        tuple(compiled(node.args) for node in nodes),
        tuple(len(set(node.after)) for node in nodes),
        tuple(map(tuple, followers)),
        tuple(node.id for place, node in enumerate(nodes) if not followers[place]),
        frozenset(node.task for node in nodes),
        _version(nodes),
    )


def _version(nodes: Iterable[Node]) -> str:
    # How patiently a node is tried takes no part: who gives a run that failed more time wants it to go on.
    what = sorted((node.id, node.task, sorted(set(node.after)), node.args) for node in nodes)
    return "graph-" + hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _references(nodes: tuple[Node, ...]) -> list[str]:
    problems: list[str] = []
    edges = {node.id: node.after for node in nodes}
    for node in nodes:
        try:
            encode(node.args, f"the args of {node.id}")
            wanted = {each.node: None for each in references(node.args) if each.node}
        except StateError as error:
            problems.append(error.message)
            continue
        except ValueError as error:
            problems.append(f"the args of {node.id}: {error}")
            continue
        # Whoever wants only what it comes after itself is the usual one, and costs no walk through the graph.
        wanted = {other: None for other in wanted if other not in node.after or other == node.id}
        if not wanted:
            continue
        before = _upstream(node.id, edges)
        for other in wanted:
            if other not in edges:
                near = nearest(other, edges)
                meant = f" (did you mean {near}?)" if near else ""
                problems.append(f"the args of {node.id} want the result of {other}, which is no node{meant}")
            elif other not in before:
                problems.append(
                    f"the args of {node.id} want the result of {other}, which it does not come after"
                )
    return problems


def _upstream(node: str, edges: Mapping[str, Any]) -> set[str]:
    """All that *node* comes after, itself left out; in graphs that are none, too."""
    found: set[str] = set()
    left = list(edges[node])
    while left:
        other = left.pop()
        if other in edges and other not in found:
            found.add(other)
            left += edges[other]
    return found - {node}
