"""A server on loopback that does what it is told, and certificates for it."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Mapping

import attrs
import pytest
import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from oneiric_hookspecs import OneiricError

from oneiric import assemble


@attrs.frozen
class Asked:
    """What a server was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def reply(status=200, body=b"", **headers):
    """An answer; underscores in names of headers are hyphens."""
    head = {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1") + body


class Web:
    """HTTP/1.1 on a loopback port, in a thread of its own.

    ``web.on[path]`` is an answer, a list of answers one after the other (the last one stays), or ``async def
    do(asked, writer)``, after which the connection is closed.
    """

    reply = staticmethod(reply)

    def __init__(self, tls=None):
        self.on, self.asked, self.connections, self.open, self.names = {}, [], 0, 0, []
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="web")

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def url(self):
        """Its origin."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def heads(self):
        """The first lines of what it was asked."""
        return [f"{each.method} {each.target}" for each in self.asked]

    async def _run(self):
        self._loop, self._end, tasks = asyncio.get_running_loop(), asyncio.Event(), set()

        async def serve(reader, writer):
            tasks.add(asyncio.current_task())
            self.connections += 1
            self.open += 1
            try:
                while await self._answered(reader, writer):
                    pass
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self.open -= 1
                tasks.discard(asyncio.current_task())
                writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answered(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, target, headers, body)
        self.asked.append(asked)
        does = self.on.get(target.partition("?")[0], reply(404))
        if isinstance(does, list):
            does = does.pop(0) if len(does) > 1 else does[0]
        if isinstance(does, bytes):
            writer.write(does)
            await writer.drain()
            return True
        await does(asked, writer)
        return False


@pytest.fixture
def web():
    """A server."""
    with Web() as server:
        yield server


@pytest.fixture
def other():
    """Another one, which is another origin."""
    with Web() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A file with a certificate for ``shop.test`` and 127.0.0.1 that vouches for itself, and one with its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("shop.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def server_tls(certificate):
    """What a server needs to speak https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def secure(server_tls):
    """A server that speaks https."""
    with Web(server_tls) as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    """``fetch(request, ..., setting=...)``: what ``http.fetch`` gives to each, or what it says.

    Loopback is open; the settings come from a file, and the requests one after the other.
    """

    def fetch(*requests, **settings):
        table = {"allow_private": True, "backoff": 0.0, **settings}
        state = {"app": {"state_dir": str(tmp_path / "state")}, "state": {"url": "memory:"}}
        file = tmp_path / "oneiric.toml"
        file.write_text(tomli_w.dumps({**state, "actions": {"settings": {"http.fetch": table}}}))

        async def main():
            found = []
            async with assemble(file, environment=False) as runtime:
                for request in requests:
                    try:
                        found.append(await runtime.call("action", "http.fetch", request))
                    except OneiricError as error:
                        found.append(str(error))
            return found

        found = asyncio.run(main())
        return found if len(found) > 1 else found[0]

    return fetch
