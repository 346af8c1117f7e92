"""Streams: what a whole sync costs that finds nothing new, with few entries in force and with many."""

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
from lines import Line, Row, ratio

from oneiric import assemble

#: A process of its own, so that no contender pays for the server: a folder, whose head has a tag.
_SERVER = """
import asyncio, pathlib, sys

async def serve(reader, writer):
    folder = pathlib.Path(sys.argv[1])
    try:
        while True:
            asked = (await reader.readuntil(b"\\r\\n\\r\\n")).split(b"\\r\\n")
            path = folder / asked[0].split()[1].decode().lstrip("/")
            if any(line.lower().startswith(b"if-none-match") for line in asked):
                writer.write(b'HTTP/1.1 304 Said\\r\\nETag: "1"\\r\\n\\r\\n')
            elif path.is_file():
                data = path.read_bytes()
                writer.write(b'HTTP/1.1 200 OK\\r\\nETag: "1"\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(data) + data)
            else:
                writer.write(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n")
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
_ENTRY = '{{"domain":"adapter","key":"part-{0:06}","provider":"redis","factory":"string:Formatter"}}\n'


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def _published(folder: Path, count: int) -> Path:
    """A stream with so many entries, made by the publisher's tools."""
    (folder / "entries.jsonl").write_text("".join(map(_ENTRY.format, range(count))))
    for words in (
        "keygen root",
        "keygen release",
        "keyring init shop --root root.pub --release release.pub --out shop/keyrings/1.json",
        "keyring sign shop/keyrings/1.json --key root",
        "build entries.jsonl --out shop",
        "sign shop --key release",
    ):
        subprocess.run(
            [sys.executable, "-m", "oneiric", "manifest", *words.split()],
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, "ONEIRIC_STATE_DIR": str(folder / "state")},
        )
    return folder / "shop"


def polls(pace: Pace) -> Iterator[Line]:
    """A stream in force is synced, and its head has not changed: the request, keys and times judged again, the report,
    and the observers.  Plain: the same 304 by a bare client of httpx.  The last: the greater number to the smaller one.
    """
    best = {}
    for count in (1_000, 10_000 if pace.short else 100_000):
        with tempfile.TemporaryDirectory() as name, httpx.Client(trust_env=False) as client:
            folder = Path(name)
            with _server(_published(folder, count)) as url:
                settings = {
                    "app": {"state_dir": name},
                    "state": {"url": "memory:"},
                    "remote": {
                        "shop": {
                            "url": url,
                            "keyring": str(folder / "shop/keyrings/1.json"),
                            "factories": ["string"],
                        }
                    },
                }
                runtime = assemble(settings, environment=False)
                stream = runtime.remote.stream("shop")
                report = stream.sync()
                assert len(report.added) == count, report
                times = race(
                    {
                        "plain": repeat(
                            "get(url, headers=headers)",
                            get=client.get,
                            url=f"{url}/head.json",
                            headers={"If-None-Match": '"1"', "Accept-Encoding": "identity"},
                        ),
                        "ours": repeat("sync()", sync=stream.sync),
                    },
                    pace,
                )
                assert stream.sync().outcome == "unchanged"
                yield ratio(f"with {count:,} entries", times, 1.5)
                best[count] = times
                runtime.remote.close()
    few, many = best.values()
    yield ratio("many, to few", {"plain": few["ours"], "ours": many["ours"]}, 1.2)


ROWS = (Row("remote-unchanged", polls),)
