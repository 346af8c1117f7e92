"""Streams: what it costs to hear that nothing has changed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
from harness import Pace, race, repeat
from lines import Line, Row, ratio, seconds
from oneiric_hookspecs import SourceSpec, specs

from oneiric import assemble
from oneiric.remote.transport import StreamIO, open_source

_ETAG = '"1"'
#: A process of its own, so that no contender pays for the server.
_SERVER = """
import asyncio, sys

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b'HTTP/1.1 304 Said\\r\\nETag: "1"\\r\\n\\r\\n')
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@contextlib.contextmanager
def _server() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/shop"
        process.stdin.close()


def poll(pace: Pace) -> Iterator[Line]:
    """A source says that its head has not changed: a server on loopback, and a file.  Plain: the same 304 by a bare
    client of httpx.
    """
    with tempfile.TemporaryDirectory() as folder, _server() as url, httpx.Client(trust_env=False) as client:
        runtime = assemble(
            {"app": {"state_dir": os.fspath(Path(folder, "state"))}, "state": {"url": "memory:"}},
            environment=False,
        )
        declared = runtime.hooks[specs.oneiric_fetchers].answers()
        web = open_source(SourceSpec("shop", url), declared)
        Path(folder, "head.json").write_bytes(b"head")
        files = open_source(SourceSpec("shop", f"file:{folder}"), declared)
        etag = StreamIO(files).get("head.json", limit=16384).etag
        poll = "io(source).get('head.json', limit=16384, etag=etag)"
        times = race(
            {
                "plain": repeat(
                    "get(url, headers=headers)",
                    get=client.get,
                    url=f"{url}/head.json",
                    headers={"If-None-Match": _ETAG, "Accept-Encoding": "identity"},
                ),
                "ours": repeat(poll, io=StreamIO, source=web, etag=_ETAG),
            },
            pace,
        )
        yield ratio("over http", times, 1.5)
        times = race({"ours": repeat(poll, io=StreamIO, source=files, etag=etag)}, pace)
        yield seconds("of a file", times, 150e-6)
        web.close()


ROWS = (Row("remote-poll", poll),)
