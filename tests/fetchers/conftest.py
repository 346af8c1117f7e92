"""A server on loopback that sends the bytes it is told to, certificates for it, and streams that are read from it."""

import datetime as dt
import hashlib
import ipaddress
import os
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from oneiric_hookspecs import FileRef, RemoteError, SourceSpec, specs

from oneiric import assemble
from oneiric.remote.transport import StreamIO, open_source


def reply(status=200, body=b"", **headers):
    """An answer; underscores in names of headers are hyphens, and None leaves a header out."""
    head = {"Content-Length": len(body)} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1") + body


class Web:
    """HTTP/1.1 on a loopback port, in threads of its own.

    ``web.on[path]`` is an answer, or ``do(connection, ended)``, after which the connection is closed.  A path may have
    its query with it.  What it was asked stands in ``web.asked``, as text.
    """

    reply = staticmethod(reply)

    def __init__(self, tls=None):
        self.on, self.asked, self.connections = {}, [], 0
        self._tls, self._threads, self._open, self.ended = tls, [], [], threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for each in self._threads:
            each.join(10)
            assert not each.is_alive()

    @property
    def url(self):
        """The address of a stream there."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/shop"

    def _start(self, does, *given):
        thread = threading.Thread(target=does, args=given, name="web")
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection):
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.asked.append(head.decode("latin-1"))
                does = self.on.get(head.split()[1].decode("ascii"), reply(404))
                if not isinstance(does, bytes):
                    does(connection, self.ended)
                    return
                connection.sendall(does)
        except OSError:
            pass
        finally:
            connection.close()


@pytest.fixture
def web():
    """A server."""
    with Web() as server:
        yield server


@pytest.fixture
def other(server_tls):
    """Another origin, by TLS."""
    with Web(server_tls) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A file with a certificate for 127.0.0.1 that vouches for itself, and one with its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
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


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    """The fetchers of a runtime with nothing but the built-ins."""
    runtime = assemble(
        {"app": {"state_dir": os.fspath(tmp_path_factory.mktemp("state"))}, "state": {"url": "memory:"}},
        environment=False,
    )
    return runtime.hooks[specs.oneiric_fetchers].answers()


@pytest.fixture
def stream(declared):
    """``stream(url, patience=..., ...)``: reads the stream at *url*; the rest is of its ``SourceSpec``."""
    opened = []

    def stream(url, *, patience=10.0, rate=64 * 1024, **more):
        source = open_source(SourceSpec("shop", url, **more), declared)
        opened.append(source)
        return StreamIO(source, patience=patience, rate=rate)

    yield stream
    for each in opened:
        each.close()


@pytest.fixture
def said():
    """``said(call)``: what it gives, or the code of the RemoteError."""

    def said(call):
        try:
            return call()
        except RemoteError as error:
            return error.code

    return said


@pytest.fixture
def ref():
    """``ref(data)``: the reference to a body with these bytes, as a release would sign it."""

    def ref(data, size=None):
        digest = hashlib.sha256(data).hexdigest()
        return FileRef(digest, len(data) if size is None else size, f"manifests/{digest}.jsonl")

    return ref
