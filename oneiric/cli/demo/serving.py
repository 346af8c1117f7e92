"""A web server on this machine, for one folder; it can go away, and come back at the same address."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class Server:
    """Serves *folder* on a port of loopback that the system chooses, from now until ``close``.

    Attributes:
        requests: How many it has answered.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.requests = folder, 0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.open()

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"http://127.0.0.1:{self._port}/"

    def open(self) -> None:
        """Serve again, at the same address."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), partial(_Handler, self))
        self._port = self._server.server_port
        # Looks often whether it is to end: closing it is part of the demo.
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="demo: web server", daemon=True
        ).start()

    def close(self) -> None:
        """Go away; nobody listens at the address any more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """What it serves."""
        return self._folder


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, server: Server, *arguments: Any) -> None:
        self._of = server
        super().__init__(*arguments, directory=str(server.folder))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self._of.requests += 1

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed beside the story."""
