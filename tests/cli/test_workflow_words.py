"""``oneiric workflow``, as an operator types it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

SHOP = """
    import asyncio
    import pathlib
    from oneiric_hookspecs import Candidate, Graph, Key, Node, WorkflowSpec, hookimpl

    class Note:
        '''Writes down what it does; hangs as long as there is a file of that name, fails likewise.'''

        async def run(self, payload, context):
            while pathlib.Path("hang-" + context.node).exists():
                await asyncio.sleep(0.01)
            if pathlib.Path("fail-" + context.node).exists():
                raise OSError("no paper")
            with pathlib.Path("done").open("a") as file:
                file.write(context.node + "\\n")
            return payload

    class Code:
        async def run(self, payload, context):
            return "as you like"

    ORDER = [
        Node("take", "note", args={"$payload": "who"}),
        Node("pack", "note", ["take"]),
        Node("bill", "note", ["take"], args=["to", {"$result": "take"}]),
        Node("send", "note", ["pack", "bill"], args={"$result": "bill.1"}),
    ]
    CHAIN = [Node("n0", "note"), *(Node(f"n{n}", "note", [f"n{n - 1}"]) for n in range(1, 30))]

    @hookimpl
    def oneiric_candidates():
        yield Candidate(Key.of("task", "note"), "shop", Note)
        yield Candidate(
            Key.of("workflow", "order"), "shop", "ep:graph", data=WorkflowSpec(nodes=ORDER), summary="ship it"
        )
        yield Candidate.ready(Key.of("workflow", "long"), "shop", Graph(CHAIN))
        yield Candidate(Key.of("workflow", "code"), "shop", Code)
        yield Candidate(
            Key.of("workflow", "typo"), "shop", "ep:graph", data=WorkflowSpec(nodes=[Node("a", "nota"), Node("b", "x")])
        )
"""
ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]{8}")


@pytest.fixture
def shop(folder):
    """A project with workflows, and a state directory of its own."""
    folder.write("shop.py", SHOP)
    folder.write("oneiric.toml", '[app]\nplugins = ["shop"]\nstate_dir = "state"\n')
    return folder


def done(shop):
    """The nodes that were done, in that order."""
    path = shop.path / "done"
    return path.read_text().split() if path.exists() else []


def without_ids(text):
    """*text*, in which every run is called RUN."""
    return ID.sub("RUN", text)


def wait_for(condition):
    """Wait for another process."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def test_workflows_are_listed(shop):
    """With how many nodes they have, where that is known without building them."""
    ended = shop.run("workflow", "list")

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "WORKFLOW  PROVIDER  NODES  SUMMARY",
            "code      shop",
            "long      shop      30",
            "order     shop      4      ship it",
            "typo      shop      2",
        ],
    )
    assert [each["nodes"] for each in shop.run("workflow", "list", "--json").json["workflows"]] == [
        None,
        30,
        4,
        2,
    ]


def test_a_plan_is_shown_drawn_and_told(shop):
    """Nothing is run for it."""
    shown = shop.run("workflow", "plan", "order")
    told = shop.run("workflow", "plan", "order", "--json").json
    mermaid = shop.run("workflow", "plan", "order", "--mermaid")
    dot = shop.run("workflow", "plan", "order", "--dot")

    assert shown.out.splitlines() == [
        "LAYER  NODE  TASK  AFTER       CRITICAL",
        "1      take  note              yes",
        "2      pack  note  take        yes",
        "2      bill  note  take",
        "3      send  note  pack, bill  yes",
        "critical path: 3 nodes",
    ]
    assert (told["schema"], told["layers"], told["critical_path"]) == (
        "oneiric/workflow-plan/1",
        [["take"], ["pack", "bill"], ["send"]],
        {"nodes": ["take", "pack", "send"], "by": "count", "seconds": None},
    )
    assert told["nodes"][3] == {
        "id": "send",
        "task": "note",
        "after": ["pack", "bill"],
        "args": {"$result": "bill.1"},
        "retry": None,
        "timeout": None,
    }
    assert (mermaid.out.splitlines()[:2], dot.out.splitlines()[0]) == (
        ["flowchart LR", '  n0["take<br/>note"]'],
        'digraph "order" {',
    )
    assert done(shop) == []


def test_a_run_is_shown_and_remembered(shop):
    """What the last nodes gave; and afterwards every node."""
    ended = shop.run("workflow", "run", "order", "--param", "who=bob")
    told = shop.run("workflow", "run", "order", "--param", "who=ann", "--key", "7", "--json").json
    again = shop.run("workflow", "run", "order", "--param", "who=ann", "--key", "7", "--json").json
    code = shop.run("workflow", "run", "code")
    runs = shop.run("workflow", "runs", "order", "--json").json["runs"]
    detail = shop.run("workflow", "show", told["run"], "--json").json

    assert (ended.code, ended.out, ended.err, code.out) == (0, "send  bob\n", "", "as you like\n")
    assert {name: told[name] for name in ("schema", "workflow", "result")} == {
        "schema": "oneiric/workflow-result/1",
        "workflow": "order",
        "result": {"send": "ann"},
    }
    assert again == told
    assert [(each["state"], each["key"], each["result"]) for each in runs] == [
        ("succeeded", "7", {"send": "ann"}),
        ("succeeded", None, {"send": "bob"}),
    ]
    assert {each["step"]: (each["state"], each["result"]) for each in detail["nodes"]} == {
        "take": ("succeeded", "ann"),
        "pack": ("succeeded", None),
        "bill": ("succeeded", ["to", "ann"]),
        "send": ("succeeded", "ann"),
    }
    assert len(done(shop)) == 8


def test_what_a_node_says_in_lines_stays_apart_in_one(folder):
    """A part that does not come up says why and what next; that is no single sentence."""
    folder.write(
        "needy.py",
        """
        from oneiric_hookspecs import Candidate, Graph, Key, Node, hookimpl

        class Ask:
            async def run(self, payload, context):
                raise OSError("no paper\\n\\n  ask   the office")

        @hookimpl
        def oneiric_candidates():
            yield Candidate(Key.of("task", "ask"), "shop", Ask)
            yield Candidate.ready(Key.of("workflow", "asking"), "shop", Graph([Node("ask", "ask")]))
        """,
    )
    folder.write("oneiric.toml", '[app]\nplugins = ["needy"]\nstate_dir = "state"\n')

    failed = folder.run("workflow", "run", "asking")

    assert (failed.code, failed.err.splitlines()[0]) == (
        4,
        "error: workflow asking: 1 of 1 nodes failed: ask (OSError: no paper; ask the office)",
    )


def test_a_run_that_failed_is_gone_on_with(shop):
    """It names all nodes that failed, and how to go on; those that had succeeded are not run again."""
    for node in ("pack", "bill"):
        shop.write(f"fail-{node}", "")
    failed = shop.run("workflow", "run", "order", "--param", "who=bob")
    identity = ID.search(failed.err)[0]
    shown = shop.run("workflow", "show", identity)
    shop.path.joinpath("fail-pack").unlink()
    again = shop.run("workflow", "resume", identity)
    shop.path.joinpath("fail-bill").unlink()
    at_last = shop.run("workflow", "resume", identity, "--json")

    assert (failed.code, failed.out, without_ids(failed.err).splitlines()) == (
        4,
        "",
        [
            "error: workflow order: 2 of 4 nodes failed: pack (OSError: no paper), bill (OSError: no paper); "
            "1 was not begun",
            "  to go on: oneiric workflow resume RUN",
        ],
    )
    assert shown.out.split("\n\n")[1].splitlines()[0].split() == ["NODE", "STATE", "TOOK", "ERROR"]
    assert [line.split()[:2] for line in shown.out.split("\n\n")[1].splitlines()[1:]] == [
        ["take", "succeeded"],
        ["pack", "failed"],
        ["bill", "failed"],
        ["send", "pending"],
    ]
    assert (again.code, without_ids(again.err).splitlines()[0]) == (
        4,
        "error: workflow order: 1 of 4 nodes failed: bill (OSError: no paper); 1 was not begun",
    )
    assert (at_last.code, at_last.json["result"]) == (0, {"send": "bob"})
    assert done(shop) == ["take", "pack", "bill", "send"]


ERRORS = {
    "unknown": ("run nope", 3, "error: no candidate fills workflow:nope"),
    "typo": (
        "run typo",
        3,
        "error: workflow typo names tasks that nobody fills: nota (did you mean note?), x",
    ),
    "plan of a typo": (
        "plan typo",
        3,
        "error: workflow typo names tasks that nobody fills: nota (did you mean note?), x",
    ),
    "code": ("plan code", 4, "error: workflow code is code, and has no plan"),
    "no run": ("show 5", 3, "error: there is no run 5 of a workflow"),
    "nothing to end": ("cancel 5", 3, "error: there is no run 5 of a workflow"),
    "nothing to resume": ("resume", 3, "error: no run was cut off"),
    "both": ("resume 5 --all", 2, "error: give RUN or --all, not both"),
    "no json": ("run order --input {", 2, "error: --input is not JSON: "),
    "no time": ("run order --timeout 0", 2, "error: invalid value for '--timeout'"),
    "too slow": (
        "run order --param who=1 --timeout 0.05",
        8,
        "error: workflow order took longer than 0.05 s",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_and_exit_with_their_code(shop, case):
    """In a line, and another one about what to do."""
    words, code, said = ERRORS[case]
    shop.write("hang-pack", "")

    ended = shop.run("workflow", *words.split())

    assert (ended.code, ended.out) == (code, "")
    assert any(line.startswith(said) for line in ended.err.splitlines()), ended.err
    assert "Traceback" not in ended.err


@pytest.mark.once
def test_a_run_survives_its_process(shop):
    """Killed in the middle of thirty nodes it goes on in another one, which does not repeat what was done."""
    shop.write("hang-n15", "")
    process = shop.start("workflow", "run", "long", "--json")
    wait_for(lambda: len(done(shop)) == 15)
    process.kill()
    process.communicate()
    shop.path.joinpath("hang-n15").unlink()
    (lost,) = shop.run("workflow", "runs", "--state", "lost", "--json").json["runs"]
    ended = shop.spawn("workflow", "resume", "--json")

    assert (ended.code, ended.json["run"], ended.json["result"]) == (0, lost["id"], {"n29": None})
    assert done(shop) == [f"n{n}" for n in range(30)]
    assert shop.run("workflow", "runs", "--state", "lost").out == "there are none\n"


@pytest.mark.once
def test_all_that_was_cut_off_is_gone_on_with(shop):
    """With one word; a code of 4 tells that one of them failed."""
    shop.write("hang-pack", "")
    processes = [shop.start("workflow", "run", "order", "--param", f"who={n}") for n in range(2)]
    wait_for(lambda: done(shop).count("bill") == 2)
    for process in processes:
        process.kill()
        process.communicate()
    shop.path.joinpath("hang-pack").unlink()
    ambiguous = shop.run("workflow", "resume")
    ended = shop.run("workflow", "resume", "--all", "--json")

    assert (ambiguous.code, "there are 2 that were cut off; name one, or give --all" in ambiguous.err) == (
        2,
        True,
    )
    assert (ended.code, [(each["workflow"], each["state"]) for each in ended.json["runs"]]) == (
        0,
        [("order", "succeeded")] * 2,
    )
    assert sorted(done(shop)) == sorted(["take", "bill", "pack", "send"] * 2)


@pytest.mark.once
def test_an_interrupt_ends_the_run_and_says_how_to_go_on(shop):
    """It is cancelled, not lost; and goes on when somebody wants it to."""
    shop.write("hang-pack", "")
    process = shop.start("workflow", "run", "order", "--param", "who=bob")
    wait_for(lambda: "bill" in done(shop))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    (run,) = shop.run("workflow", "runs", "--json").json["runs"]
    shop.path.joinpath("hang-pack").unlink()
    ended = shop.run("workflow", "resume", run["id"])

    assert (process.returncode, out, without_ids(err).splitlines()) == (
        130,
        "",
        ["run RUN was cancelled; to go on: oneiric workflow resume RUN", "interrupted"],
    )
    assert run["state"] == "cancelled"
    assert (ended.code, ended.out, done(shop)) == (0, "send  bob\n", ["take", "bill", "pack", "send"])


@pytest.mark.once
def test_a_run_is_ended_from_another_process(shop):
    """It is asked to, and does so when it looks."""
    shop.write("hang-pack", "")
    process = shop.start("workflow", "run", "order", "--param", "who=bob")
    wait_for(lambda: "bill" in done(shop))
    (run,) = shop.run("workflow", "runs", "--state", "running", "--json").json["runs"]
    asked = shop.run("workflow", "cancel", run["id"])
    out, err = process.communicate(timeout=30)
    again = shop.run("workflow", "cancel", run["id"])

    assert (asked.code, without_ids(asked.out)) == (0, f"run RUN is asked to end, in {run['node']}\n")
    assert (process.returncode, out, without_ids(err)) == (
        4,
        "",
        "error: workflow order was cancelled\n  to go on: oneiric workflow resume RUN\n",
    )
    assert (again.code, without_ids(again.err)) == (4, "error: run RUN has ended: it was cancelled\n")


def on_terminal(shop, *words, columns="80"):
    """What a command shows on a terminal; and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shop.command(*words),
        cwd=shop.path,
        env=shop.environment | {"COLUMNS": columns, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out, seen.decode()


@pytest.mark.once
@pytest.mark.skipif(sys.platform != "linux", reason="a terminal that is closed reads otherwise elsewhere")
def test_on_a_terminal_one_line_shows_how_far_it_has_come(shop):
    """Rewritten, within its columns, and gone at the end; with --json nothing is shown but the answer."""
    code, out, seen = on_terminal(shop, "workflow", "run", "long", columns="18")
    narrow = on_terminal(shop, "workflow", "run", "order", "--param", "who=bob", columns="14")[2]
    lines = [each for each in re.split(r"\r\x1b\[K", seen) if each]
    quiet = on_terminal(shop, "workflow", "run", "long", "--json")

    assert (code, out) == (0, "n29  null\n")
    assert lines[0] == "0/30 nodes: n0"
    assert "29/30 nodes: n29" in lines
    assert max(map(len, lines)) < 18
    assert "\r\x1b[K0/4 nodes: t…\r" in narrow
    assert seen.endswith("\r\x1b[K")
    assert (quiet[0], json.loads(quiet[1])["result"], quiet[2]) == (0, {"n29": None}, "")
