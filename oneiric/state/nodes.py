"""Nodes: processes of the application that keep going, and say so."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import attrs
from oneiric_hookspecs import NodeSeen, StateStore

from .values import Kept, plain, value_of


@attrs.frozen
class Node(Kept):
    """What a process says about itself with every sign of life.

    Args:
        host: The machine's name.
        pid: Its process there.
        birth: What tells that process from another of the same number; empty where the platform says nothing.
        started: Since when it keeps going, in seconds since 1970.
        application: ``[app] name``.
        desired: The revision of what operators want that it has taken in: pins, hold, pause and drain are in force.
        closing: Whether it is about to end.
    """

    host: str
    pid: int
    birth: str = ""
    started: float = 0.0
    application: str = ""
    desired: int = 0
    closing: bool = False


@attrs.frozen
class Living:
    """A node that lives.

    Args:
        name: The node's.
        node: What it says about itself.
        age: Seconds since it last said so.
    """

    name: str
    node: Node
    age: float


def this_process() -> tuple[str, int, str]:
    """The host, the number, and the birth of this process."""
    pid = os.getpid()
    return socket.gethostname(), pid, birth_of(pid) or ""


async def living(store: StateStore, *, birth: Callable[[int], str | None] | None = None) -> list[Living]:
    """The nodes that live and are not about to end, by name.

    Of those on this machine only the ones whose process is still there: who was killed is not counted until his time
    is over.

    Args:
        store: Where they say so.
        birth: Tells the birth of the process of that number, None where there is none.
    """
    here = socket.gethostname()
    tell = birth or birth_of
    found = []
    for seen in await store.nodes():
        node = _node(seen)
        if node.closing:
            continue
        if node.host == here and node.pid > 0:
            born = tell(node.pid)
            if born is None or (born and node.birth and born != node.birth):
                continue
        found.append(Living(seen.node, node, seen.age))
    return found


def birth_of(pid: int) -> str | None:
    """When process *pid* began, as the platform counts; empty where it does not say, None where there is none."""
    try:
        # The name of the program, in brackets, may hold anything; what follows the last one is plain.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _signalled(pid)
    except OSError:
        return _signalled(pid)
    if fields[:1] in ([b"Z"], [b"X"]):
        return None  # ended, and nobody has looked yet
    return fields[19].decode("ascii", "replace") if len(fields) > 19 else ""


def _signalled(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""  # somebody else's
    return ""


def said(node: Node) -> dict[str, object]:
    """*node* as plain data."""
    return plain(node)


def _node(seen: NodeSeen) -> Node:
    return value_of(Node, seen.info, f"what node {seen.node} says")
