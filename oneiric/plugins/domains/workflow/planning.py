"""What a graph looks like before it is run: its layers, the path that decides how long it takes, and drawings of it."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Literal

import attrs
from oneiric_hookspecs import Graph


@attrs.frozen
class Plan:
    """How a workflow will go.

    Args:
        workflow: Its name.
        graph: It.
        layers: The ids of the nodes that come after nothing; then of those that come after them; and so on.  They are
            for people: a node does not wait for its layer.
        critical: The longest path, from the first node to the last.
        by: Whether it is the longest by the ``count`` of its nodes, or by the ``seconds`` they took the last time.
        seconds: How long that path took the last time; None where that is not known.
    """

    workflow: str
    graph: Graph
    layers: tuple[tuple[str, ...], ...]
    critical: tuple[str, ...]
    by: Literal["count", "seconds"]
    seconds: float | None = None

    def dot(self) -> str:
        """The graph as Graphviz draws it; the critical path is bold."""
        bold = set(self.critical)
        lines = [f'digraph "{self.workflow}" {{', "  rankdir=LR;", "  node [shape=box];"]
        for node in self.graph.nodes:
            style = ", style=bold" if node.id in bold else ""
            lines.append(f'  "{node.id}" [label="{_label(node.id, node.task, chr(92) + "n")}"{style}];')
        path = set(zip(self.critical, self.critical[1:], strict=False))
        for before, after in _edges(self.graph):
            style = " [style=bold]" if (before, after) in path else ""
            lines.append(f'  "{before}" -> "{after}"{style};')
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """The graph as Mermaid draws it; the nodes of the critical path have a thick edge."""
        # By number: an id such as "end" is a word of Mermaid's.
        numbers = {node.id: f"n{number}" for number, node in enumerate(self.graph.nodes)}
        lines = ["flowchart LR"]
        lines += [
            f'  {numbers[node.id]}["{_label(node.id, node.task, "<br/>")}"]' for node in self.graph.nodes
        ]
        lines += [f"  {numbers[before]} --> {numbers[after]}" for before, after in _edges(self.graph)]
        lines += [f"  style {numbers[identity]} stroke-width:3px" for identity in self.critical]
        return "\n".join(lines)


def planned(workflow: str, graph: Graph, seconds: Mapping[str, float] | None = None) -> Plan:
    """The plan of a graph that is well formed.

    Args:
        workflow: Its name.
        graph: It.
        seconds: How long each node took; None where that is not known of all of them.
    """
    after = {node.id: tuple(dict.fromkeys(node.after)) for node in graph.nodes}
    depth: dict[str, int] = {}
    reach: dict[str, float] = {}
    via: dict[str, str | None] = {}
    for identity in TopologicalSorter(after).static_order():
        before = after[identity]
        depth[identity] = 1 + max((depth[each] for each in before), default=-1)
        via[identity] = max(before, key=lambda each: reach[each], default=None)
        last = via[identity]
        reach[identity] = (1.0 if seconds is None else seconds[identity]) + (
            0.0 if last is None else reach[last]
        )
    layers: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for node in graph.nodes:
        layers[depth[node.id]].append(node.id)
    at: str | None = max((node.id for node in graph.nodes), key=lambda each: reach[each])
    length = reach[at] if at is not None else 0.0
    path = []
    while at is not None:
        path.append(at)
        at = via[at]
    return Plan(
        workflow,
        graph,
        tuple(map(tuple, layers)),
        tuple(reversed(path)),
        "count" if seconds is None else "seconds",
        None if seconds is None else length,
    )


def _edges(graph: Graph) -> list[tuple[str, str]]:
    return [(other, node.id) for node in graph.nodes for other in dict.fromkeys(node.after)]


def _label(identity: str, task: str, between: str) -> str:
    # Neither can hold a quote or a backslash.
    return identity if identity == task else f"{identity}{between}{task}"
