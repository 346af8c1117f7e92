"""Graphs before they are run: what is refused, what changes one, and how one will go."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Graph, Key, Node, PluginError, RunError, UnknownTasks, WorkflowSpec

from oneiric import assemble
from oneiric.plugins.domains.workflow.filling import compiled, references
from oneiric.plugins.domains.workflow.planning import planned
from oneiric.plugins.domains.workflow.preparing import prepared

SPEC = WorkflowSpec()


class Gives:
    """A task that gives its payload."""

    async def run(self, payload, context):
        return payload


def runtime_of(*candidates, journal=False):
    """An assembled runtime that writes nothing down, and these."""
    tables = {"executors.local": {"journal": journal}}
    runtime = assemble({"state": {"url": "memory:"}, "plugins": {"settings": tables}}, environment=False)
    runtime.register(Candidate.ready(Key("task", "say"), "mine", Gives()), *candidates)
    return runtime


def workflow(value, name="w", **spec):
    """A candidate with a workflow that is there already."""
    return Candidate.ready(Key("workflow", name), "mine", value, data=WorkflowSpec(**spec))


def data(*nodes, name="w"):
    """A candidate whose graph is data."""
    return Candidate(Key("workflow", name), "data", "ep:graph", data=WorkflowSpec(nodes=nodes))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_all_that_is_wrong_with_a_graph_is_told_at_once():
    """When it is registered: ids, cycles, and what arguments stand for."""
    nodes = [
        Node("a", "say", ["b"]),
        Node("b", "say", ["a"]),
        Node("c", "say", ["c", "nowhere"], args={"$result": "dd.x"}),
        Node("d", "say", args=[{"$result": "c"}, {"$result": "a", "more": 1}]),
        Node("d", "say"),
        Node("e", "say", args={"deep": [{"$result": 5}]}),
        Node("f", "say", args={"x": {1, 2}}),
        Node("g", "say", ["d"], args={"$result": "e"}),
        Node("h", "say", args={"$payload": "a..b"}),
    ]

    with pytest.raises(PluginError) as error:
        runtime_of(data(*nodes))

    start, *problems = error.value.message.split("; ")
    assert start == (
        "source application: its candidate number 2: candidate workflow:w 'data': the graph is not well formed: "
        "d stands twice"
    )
    assert problems == [
        "c comes after itself",
        "c comes after nowhere, which is no node",
        "a cycle: a -> b -> a",
        "the args of c want the result of dd, which is no node (did you mean d?)",
        "the args of d: a table with $result has nothing beside it",
        "the args of e: $result is followed by a path, found 5",
        "the args of f: expected plain data at x, found set",
        "the args of g want the result of e, which it does not come after",
        "the args of h: 'a..b' is no path: names with dots between them, those with a dot in quotes",
    ]


REFUSED = {
    "no nodes": (lambda: data(), "its data has no nodes\n  the factory ep:graph makes the graph of them"),
    "meant": (
        lambda: data(Node("fetch", "say"), Node("b", "say", ["fetch"], args={"$result": "fetsh"})),
        "the graph is not well formed: the args of b want the result of fetsh, which is no node (did you mean fetch?)",
    ),
    "table": (
        lambda: workflow({"nodes": [{"id": "a", "task": "say", "aftr": []}]}),
        "workflow w: its table is no graph: graph.nodes[0].aftr: unknown key (did you mean after?)",
    ),
    "neither": (
        lambda: workflow(5),
        "workflow w is a int\n  a workflow is a Graph, a table of one, or has an async run(payload, context)",
    ),
    "a graph of code": (
        lambda: workflow(Graph([Node("a", "say", args={"$result": "a"})])),
        "the graph is not well formed: the args of a want the result of a, which it does not come after",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_workflow_is_refused_when_it_is_registered(case):
    """With the reason, and what to do."""
    make, said = REFUSED[case]

    with pytest.raises(PluginError) as error:
        runtime_of(make())

    start = f"source application: its candidate number 2: candidate workflow:w '{make().provider}': "
    assert str(error.value).replace(" (" + (error.value.where or "") + ")", "") == start + said


@pytest.mark.parametrize(
    "spec, said",
    [
        ({"timeout": 0}, "the timeout of a graph is a number of seconds above 0, found 0"),
        ({"concurrency": True}, "the concurrency is a whole number, 1 or more, found True"),
        ({"on_failure": "ignore"}, "on_failure is continue or cancel, found 'ignore'"),
    ],
)
def test_how_a_graph_is_run_is_checked_where_it_is_said(spec, said):
    """In the graph, and in a candidate's data."""
    for make in (lambda: Graph([Node("a", "say")], **spec), lambda: WorkflowSpec(**spec)):
        with pytest.raises(PluginError) as error:
            make()
        assert str(error.value) == said
    with pytest.raises(PluginError, match="found None"):
        Graph([Node("a", "say")], on_failure=None)


def test_unknown_tasks_are_named_all_at_once_before_anything_runs(run):
    """With what was meant; in the plan, and when it is run."""
    told = []

    class Tells:
        async def run(self, payload, context):
            told.append(context.node)

    wrong = data(Node("a", "tell"), Node("b", "sayy", ["a"]), Node("c", "zzz"), Node("d", "sayy"))

    async def scenario():
        async with runtime_of(wrong, Candidate.ready(Key("task", "tell"), "mine", Tells())) as runtime:
            face, errors = runtime.domain("workflow"), []
            for ask in (face.plan, face.run):
                with pytest.raises(UnknownTasks) as error:
                    await ask("w")
                errors.append((str(error.value), error.value.tasks, error.value.exit_code))
            runtime.register(
                *(Candidate.ready(Key("task", name), "mine", Gives()) for name in ("sayy", "zzz")),
                source="more",
            )
            result = await face.run("w")
            runtime.withdraw("more")
            with pytest.raises(UnknownTasks):
                await face.run("w")
            return errors, result

    said = (
        "workflow w names tasks that nobody fills: sayy (did you mean say?), zzz\n  there are: say, tell",
        ("sayy", "zzz"),
        3,
    )
    assert run(scenario()) == ([said, said], {"b": None, "c": None, "d": None})
    assert told == ["a"]


# --- what a graph is ----------------------------------------------------------------------------------------------


def test_a_graph_is_another_one_only_where_its_results_may_be():
    """The order of its nodes, and how patiently they are tried, change nothing; what they do and get does."""
    nodes = (Node("a", "say"), Node("b", "say", ["a"], args={"x": 1, "y": [2]}))
    version = prepared(Graph(nodes), SPEC).version
    same = [
        Graph(nodes[::-1]),
        Graph(nodes, timeout=5.0, concurrency=1, on_failure="cancel"),
        Graph((nodes[0], attrs.evolve(nodes[1], timeout=5.0, after=["a", "a"]))),
    ]
    others = [
        Graph(nodes[:1]),
        Graph((*nodes, Node("c", "say"))),
        Graph((nodes[0], attrs.evolve(nodes[1], args={"x": 1, "y": [3]}))),
        Graph((nodes[0], attrs.evolve(nodes[1], task="other"))),
        Graph((nodes[0], attrs.evolve(nodes[1], after=()))),
    ]

    assert {prepared(each, SPEC).version for each in same} == {version}
    assert len({prepared(each, SPEC).version for each in others} | {version}) == 6


def test_what_a_candidate_says_counts_more_than_its_graph():
    """How it is run; what it does not say is as of the graph."""
    graph = Graph([Node("a", "say")], timeout=5.0, concurrency=3, on_failure="cancel")

    assert prepared(graph, WorkflowSpec(timeout=1.0, on_failure="continue")).graph == attrs.evolve(
        graph, timeout=1.0, on_failure="continue"
    )


@pytest.mark.parametrize(
    "args, filled",
    [
        ({"$result": "a"}, {"items": [1, {"x": 2}], "d.t": 3}),
        ({"$result": "a.items.1.x"}, 2),
        ({"$result": 'a."d.t"'}, 3),
        ({"$result": '"b.c"'}, "dotted"),
        ([{"$payload": ""}, {"$payload": "who"}], [{"who": "bob"}, "bob"]),
        ({"deep": {"er": [{"$payload": "who"}]}, "x": None}, {"deep": {"er": ["bob"]}, "x": None}),
        ("text", None),
        (None, None),
    ],
)
def test_references_are_filled_in(args, filled):
    """Anywhere in the arguments; what has none, and cannot be changed, needs no filling."""
    fill = compiled(args)
    results = {"a": {"items": [1, {"x": 2}], "d.t": 3}, "b.c": "dotted"}

    assert (None if fill is None else fill(results, {"who": "bob"})) == filled


def test_what_is_not_there_is_told():
    """In words of the document."""
    for args, said in (
        ({"$result": "a.x.y"}, "there is nothing at x.y in the result of a"),
        ([{"$payload": "who"}], "there is nothing at who in the payload"),
    ):
        with pytest.raises(RunError) as error:
            compiled(args)({"a": {"x": 5}}, None)
        assert str(error.value) == said


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc$", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(plain)
def test_arguments_without_references_are_given_as_they_are_and_as_ones_own(args):
    """Nobody can change what the next run gets."""
    fill = compiled(args)
    given_ = args if fill is None else fill({}, None)

    assert given_ == args
    assert list(references(args)) == []
    assert not isinstance(args, (list, dict)) or given_ is not args


odd = st.recursive(
    st.none() | st.integers() | st.text('ab.$" \\', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$result", "$payload", "x"]), inner, max_size=2)
        | st.builds(set)
    ),
    max_leaves=8,
)


@given(odd, plain)
def test_whatever_arguments_hold_they_are_refused_or_can_be_filled_in(args, result):
    """There is no third way: what was registered fails in words, if it fails."""
    graph = Graph([Node("a", "say"), Node("b", "say", ["a"], args=args)])
    try:
        ready = prepared(graph, SPEC)
    except PluginError as error:
        assert error.message.startswith("the graph is not well formed: ")
        return
    fill = ready.fills[1]
    try:
        assert fill is None or fill({"a": result}, result) is not args
    except RunError as error:
        assert error.message.startswith("there is nothing at ")


def test_a_large_graph_is_prepared_at_once():
    """Ten thousand nodes in a row, each of which wants what the one before it gave."""
    nodes = [Node("n0", "say")]
    nodes += [Node(f"n{n}", "say", [f"n{n - 1}"], args={"$result": f"n{n - 1}"}) for n in range(1, 10_000)]
    rings = [Node(f"n{n}", "say", [f"n{n ^ 1}"]) for n in range(10_000)]

    assert prepared(Graph(nodes), SPEC).last == ("n9999",)
    assert len(planned("w", Graph(nodes)).critical) == 10_000
    with pytest.raises(PluginError) as error:
        Graph(rings)
    assert error.value.message.count("a cycle: ") == 20


# --- how it will go -----------------------------------------------------------------------------------------------

DIAMOND = Graph(
    [
        Node("start", "say"),
        Node("short", "say", ["start"]),
        Node("end", "other.task", ["short", "long-2"]),
        Node("long-1", "say", ["start"]),
        Node("long-2", "say", ["long-1"]),
    ]
)


def test_a_plan_has_layers_and_the_path_that_decides():
    """By how many nodes are on it; by what they took, where that is known."""
    by_count = planned("w", DIAMOND)
    seconds = {"start": 1.0, "short": 9.0, "end": 1.0, "long-1": 2.0, "long-2": 3.0}
    by_seconds = planned("w", DIAMOND, seconds)

    assert by_count.layers == (("start",), ("short", "long-1"), ("long-2",), ("end",))
    assert (by_count.critical, by_count.by, by_count.seconds) == (
        ("start", "long-1", "long-2", "end"),
        "count",
        None,
    )
    assert (by_seconds.critical, by_seconds.by, by_seconds.seconds) == (
        ("start", "short", "end"),
        "seconds",
        11.0,
    )


def test_a_plan_can_be_drawn():
    """By Mermaid, in which the id of a node may be a word of the language; and by Graphviz."""
    plan = planned("w", Graph((*DIAMOND.nodes[:2], Node("end", "other.task", ["short"]))))

    assert plan.mermaid().splitlines() == [
        "flowchart LR",
        '  n0["start<br/>say"]',
        '  n1["short<br/>say"]',
        '  n2["end<br/>other.task"]',
        "  n0 --> n1",
        "  n1 --> n2",
        "  style n0 stroke-width:3px",
        "  style n1 stroke-width:3px",
        "  style n2 stroke-width:3px",
    ]
    assert plan.dot().splitlines() == [
        'digraph "w" {',
        "  rankdir=LR;",
        "  node [shape=box];",
        '  "start" [label="start\\nsay", style=bold];',
        '  "short" [label="short\\nsay", style=bold];',
        '  "end" [label="end\\nother.task", style=bold];',
        '  "start" -> "short" [style=bold];',
        '  "short" -> "end" [style=bold];',
        "}",
    ]


def test_a_workflow_that_is_code_has_no_plan(run):
    """It says so; its graph is none."""

    class Code:
        async def run(self, payload, context):
            return payload

    async def scenario():
        async with runtime_of(workflow(Code())) as runtime:
            face = runtime.domain("workflow")
            with pytest.raises(RunError, match="workflow w is code, and has no plan"):
                await face.plan("w")
            return await face.graph("w")

    assert run(scenario()) is None
