"""What an unchanged poll costs beside bare python-tuf with one target: ``python contrib/tuf/tests/cost.py``.

Both ask the same server on loopback, in a process of its own.  The ratio is the median of rounds in which both take
turns; exit 1 where it is above 1.3.
"""

# ruff: noqa: T201 - it prints what it measures

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from test_tuf import Project, entry
from tuf.ngclient import Updater

SERVER = """
import asyncio, pathlib, sys

async def serve(reader, writer):
    folder = pathlib.Path(sys.argv[1])
    try:
        while True:
            asked = await reader.readuntil(b"\\r\\n\\r\\n")
            path = folder / asked.split()[1].decode().lstrip("/")
            status, data = (b"200 OK", path.read_bytes()) if path.is_file() else (b"404 No", b"")
            writer.write(b"HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\n\\r\\n" % (status, len(data)) + data)
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
MUST = 1.3


def main(rounds: int = 40, times: int = 10) -> int:
    """Measure, and say it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ["ONEIRIC_STATE_DIR"] = str(folder / "state")
        project = Project(folder)
        project.now = time.time()
        repository = project.repository = type(project.repository)(folder / "srv", lambda: project.now)
        (folder / "root.json").write_bytes(repository.anchor)
        repository.publish(entry())
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder / "srv")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            project.settings(url=url)
            stream = project.runtime().remote.stream("prod")
            assert stream.sync().outcome == "applied"
            for part in ("plain", "targets"):
                (folder / part).mkdir()
            from tuf.ngclient import Urllib3Fetcher

            fetcher = Urllib3Fetcher()

            def plain():
                updater = Updater(
                    str(folder / "plain"),
                    f"{url}/metadata/",
                    str(folder / "targets"),
                    f"{url}/targets/",
                    fetcher=fetcher,
                    bootstrap=repository.anchor,
                )
                updater.refresh()
                found = updater.get_targetinfo("release.json")
                if updater.find_cached_target(found) is None:
                    updater.download_target(found)

            def ours():
                assert stream.sync().outcome == "unchanged"

            taken = {plain: [], ours: []}
            for each in (plain, ours):
                each()
            for _ in range(rounds):
                for each, found in taken.items():
                    began = time.perf_counter()
                    for _ in range(times):
                        each()
                    found.append((time.perf_counter() - began) / times)
            stream.close()
            server.stdin.close()
    ratios = [mine / theirs for mine, theirs in zip(taken[ours], taken[plain], strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"plain {statistics.median(taken[plain]) * 1e3:.2f} ms, ours {statistics.median(taken[ours]) * 1e3:.2f} ms"
    )
    print(f"ratio {ratio:.2f} (must be at most {MUST})")
    return int(ratio > MUST)


if __name__ == "__main__":
    raise SystemExit(main())
