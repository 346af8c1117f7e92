"""Streams that python-tuf verifies: a repository made by python-tuf's own API, followed by a runtime of settings."""

import asyncio
import datetime as dt
import functools
import hashlib
import http.server
import json
import shutil
import threading
import time

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Got, Pull, RemoteError
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

import oneiric_tuf
from oneiric import assemble
from oneiric.cli import main
from oneiric.testing import KitConformance
from oneiric_tuf.pull import pull

DAY = 86_400
ENTRIES = "application/vnd.oneiric.entries.v1+jsonl"


class TestTuf(KitConformance):
    """A kit as it should be."""

    plugin = oneiric_tuf


def stamp(seconds):
    """A time as a release writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))


def entry(provider="a", **more):
    """A line of a body."""
    return {
        "domain": "adapter",
        "key": "thing",
        "provider": provider,
        "factory": "string:Formatter",
    } | more


@functools.cache
def signer(number):
    """A key that signs, the same one for the same number."""
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


class Repository:
    """Publishes one stream as a TUF repository with one target."""

    def __init__(self, folder, now, *, stream="prod", consistent=True):
        self.folder, self.now, self.stream = folder, now, stream
        self.version = 0
        self.keys = {"root": [1], "timestamp": [2], "snapshot": [3], "targets": [4]}
        self.numbers = dict.fromkeys(("root", "timestamp", "snapshot", "targets"), 0)
        self.lives = {"root": 365, "timestamp": 1, "snapshot": 7, "targets": 30}
        self.consistent = consistent
        self.delegated = None
        self.rotate()

    def expires(self, role):
        """When metadata of a role that is made now ends."""
        return dt.datetime.fromtimestamp(int(self.now() + self.lives[role] * DAY), dt.UTC)

    def write(self, path, data):
        """A file of the repository."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def signed(self, signed, numbers):
        """Metadata with signatures."""
        md = Metadata(signed)
        for number in numbers:
            md.sign(signer(number), append=True)
        return md.to_bytes()

    def rotate(self, signers=None, thresholds=None, **keys):
        """Publish the next root, with other keys for some roles."""
        before = self.keys["root"]
        self.keys |= keys
        self.numbers["root"] += 1
        root = Root(
            version=self.numbers["root"],
            expires=self.expires("root"),
            consistent_snapshot=self.consistent,
        )
        for role, numbers in self.keys.items():
            for number in numbers:
                root.add_key(signer(number).public_key, role)
            root.roles[role].threshold = (thresholds or {}).get(role, len(numbers))
        numbers = signers or dict.fromkeys((*before, *self.keys["root"]))
        self.write(f"metadata/{root.version}.root.json", self.signed(root, numbers))

    @property
    def anchor(self):
        """The first root."""
        return (self.folder / "metadata/1.root.json").read_bytes()

    def prefix(self, what):
        """What a file is called before its name."""
        return f"{what}." if self.consistent else ""

    def publish(self, *entries, release=None, raw=None, signers=None, **more):
        """Publish the next release."""
        self.version = more.pop("version", self.version + 1)
        lines = [
            {"spec": "1", "stream": self.stream, "version": self.version, "count": len(entries)},
            *entries,
        ]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        digest = hashlib.sha256(body).hexdigest()
        document = {
            "spec": "1",
            "stream": self.stream,
            "epoch": 1,
            "version": self.version,
            "issued": stamp(self.now() - 30),
            "expires": stamp(self.now() + 7 * DAY),
            "manifest": {
                "sha256": digest,
                "size": len(body),
                "path": f"manifests/{digest}.jsonl",
                "media_type": ENTRIES,
            },
            "keyring": 1,
        } | more
        self.write(f"manifests/{digest}.jsonl", body)
        self.target(raw if raw is not None else json.dumps(release or document).encode(), signers or {})

    def target(self, data, signers=None):
        """Publish *data* as the target, and all metadata above it."""
        found = TargetFile.from_data("release.json", data, ["sha256"])
        self.write(f"targets/{self.prefix(found.hashes['sha256'])}release.json", data)
        self.numbers["targets"] += 1
        targets = Targets(version=self.numbers["targets"], expires=self.expires("targets"))
        others = {}
        if self.delegated is None:
            targets.targets["release.json"] = found
        else:
            key: Key = signer(self.delegated).public_key
            role = DelegatedRole("team", [key.keyid], 1, terminating=True, paths=["release.json"])
            targets.delegations = Delegations({key.keyid: key}, {"team": role})
            team = Targets(version=self.numbers["targets"], expires=self.expires("targets"))
            team.targets["release.json"] = found
            others["team.json"] = MetaFile(team.version)
            self.write(f"metadata/{self.prefix(team.version)}team.json", self.signed(team, [self.delegated]))
        signers = signers or {}
        data = self.signed(targets, signers.get("targets", self.keys["targets"]))
        self.write(f"metadata/{self.prefix(targets.version)}targets.json", data)
        self.refresh({"targets.json": MetaFile(targets.version, len(data)), **others}, signers=signers)

    def refresh(self, meta=None, signers=None):
        """Publish a new timestamp; with *meta*, a new snapshot below it."""
        signers = signers or {}
        if meta is not None:
            self.numbers["snapshot"] += 1
            snapshot = Snapshot(version=self.numbers["snapshot"], expires=self.expires("snapshot"), meta=meta)
            self.snapshot = self.signed(snapshot, signers.get("snapshot", self.keys["snapshot"]))
            self.write(f"metadata/{self.prefix(snapshot.version)}snapshot.json", self.snapshot)
        self.numbers["timestamp"] += 1
        found = MetaFile(
            self.numbers["snapshot"],
            len(self.snapshot),
            {"sha256": hashlib.sha256(self.snapshot).hexdigest()},
        )
        timestamp = Timestamp(
            version=self.numbers["timestamp"], expires=self.expires("timestamp"), snapshot_meta=found
        )
        self.write(
            "metadata/timestamp.json",
            self.signed(timestamp, signers.get("timestamp", self.keys["timestamp"])),
        )

    def path(self, role):
        """The newest file of a role."""
        if role == "timestamp":
            return self.folder / "metadata/timestamp.json"
        return self.folder / f"metadata/{self.numbers[role]}.{role}.json"


class Project:
    """A folder with settings, an anchor, and a repository beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.now = float(int(time.time()) + 400 * DAY)  # no time of this machine decides anything
        self.repository = Repository(folder / "srv", lambda: self.now)
        (folder / "root.json").write_bytes(self.repository.anchor)
        self.settings()

    def settings(self, more="", *, url=None):
        """Write them."""
        url = url or f"file://{self.folder}/srv"
        (self.folder / "oneiric.toml").write_text(
            f'[plugins]\nonly = ["tuf"]\n[remote.prod]\nurl = "{url}"\nverifier = "tuf"\n'
            f'keyring = "root.json"\nfactories = ["string"]\n{more}\n'
        )

    def runtime(self):
        """A runtime of them, with the project's clock."""
        runtime = assemble(self.folder / "oneiric.toml")
        runtime.remote._wall = lambda: self.now
        for stream in runtime.remote._streams.values():
            stream.wall = lambda: self.now
        return runtime

    def synced(self, runtime=None):
        """(outcome, code, version) of one sync."""
        report = (runtime or self.runtime()).remote.stream("prod").sync()
        return report.outcome, report.code, report.version


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An application that follows a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Project(tmp_path)


@pytest.fixture
def server(project):
    """The repository's folder on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=str(project.folder / "srv"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


# --- the way of what is published -------------------------------------------------------------------------------------


def test_what_is_published_is_registered_and_used(project):
    """From the repository to an instance, by settings alone."""
    project.repository.publish(entry(), entry("b", priority=9))

    async def once():
        async with project.runtime() as runtime:
            [report] = await runtime.remote.sync()
            async with runtime.use("adapter", "thing") as thing:
                return report, runtime.explain("adapter", "thing").winner.provider, type(thing).__name__

    report, provider, kind = asyncio.run(once())
    assert (report.outcome, report.version, provider, kind) == ("applied", 1, "b", "Formatter")
    assert report.signers == (signer(4).public_key.keyid[:16],)


@pytest.mark.parametrize("consistent", [True, False])
def test_over_http_as_from_a_folder(project, server, consistent):
    """The same repository, with and without numbered files."""
    project.settings(url=server)
    repository = project.repository
    repository.consistent = consistent
    repository.rotate()
    repository.publish(entry())
    runtime = project.runtime()

    first = project.synced(runtime)
    again = project.synced(runtime)
    repository.publish(entry(), entry("b"))
    runtime.remote.stream("prod").close()

    assert (first, again) == (("applied", None, 1), ("unchanged", None, 1))
    assert project.synced(runtime) == ("applied", None, 2)
    runtime.remote.stream("prod").close()


def test_explain_shows_what_came(project):
    """At the command line, with the release it is from."""
    project.now = time.time()  # a command has the clock of the machine
    project.repository = Repository(project.folder / "srv", lambda: project.now)
    (project.folder / "root.json").write_bytes(project.repository.anchor)
    project.repository.publish(entry())

    def typed(*words):
        return CliRunner().invoke(main, [*words], catch_exceptions=False)

    synced, told, status = (
        typed("remote-sync", "--json"),
        typed("explain", "adapter", "thing"),
        typed("remote-status"),
    )

    assert (synced.exit_code, told.exit_code, status.exit_code) == (0, 0, 0)
    assert json.loads(synced.stdout)["streams"][0]["outcome"] == "applied"
    assert "adapter:thing is filled by a" in told.stdout
    assert "prod" in told.stdout
    assert "prod" in status.stdout


def test_a_delegated_role_publishes(project):
    """The target may be in the hands of others than the repository's own keys, and offline too."""
    project.repository.delegated = 9
    project.repository.publish(entry())
    runtime = project.runtime()

    assert [project.synced(runtime) for _ in range(2)] == [("applied", None, 1), ("unchanged", None, 1)]
    shutil.rmtree(project.folder / "srv")
    assert project.runtime().resolve("adapter", "thing").provider == "a"


def test_only_the_timestamp_changes(project):
    """It prolongs what is known, and nothing else is read."""
    project.repository.publish(entry())
    runtime = project.runtime()
    project.synced(runtime)
    project.now += DAY * 0.9
    project.repository.refresh()
    before = runtime.revision

    assert project.synced(runtime) == ("unchanged", None, 1)
    project.now += DAY * 0.9
    assert project.synced(runtime) == ("unchanged", None, 1)
    assert runtime.revision == before
    project.now += DAY
    assert project.synced(runtime) == ("rejected", "expired", 1)


# --- what is not believed ---------------------------------------------------------------------------------------------


def flip(path):
    """Another text of the same length, where it is signed."""
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"version":2', b'"version":3'))
    assert path.read_bytes() != data


ATTACKS = {
    "timestamp flipped": (lambda r: flip(r.path("timestamp")), "signature"),
    "snapshot flipped": (lambda r: flip(r.path("snapshot")), "digest"),
    "targets flipped": (lambda r: flip(r.path("targets")), "signature"),
    "release flipped": (lambda r: next((r.folder / "targets").glob("*")).write_bytes(b"{}"), None),
    "not json": (lambda r: r.path("timestamp").write_bytes(b"\0\xff"), "malformed"),
    "deep": (lambda r: r.path("timestamp").write_bytes(b"[" * 16_000), "malformed"),
    "empty": (lambda r: r.path("timestamp").write_bytes(b""), "malformed"),
    "truncated": (lambda r: r.path("targets").write_bytes(r.path("targets").read_bytes()[:-9]), "digest"),
    "endless timestamp": (lambda r: r.path("timestamp").write_bytes(b" " * 20_000), "too-large"),
    "endless targets": (lambda r: r.path("targets").write_bytes(b" " * 2_000_000), "too-large"),
    "another type": (
        lambda r: shutil.copy(r.path("snapshot"), r.path("timestamp")),
        "wrong-type",
    ),
    "gone timestamp": (lambda r: r.path("timestamp").unlink(), "unreachable"),
    "gone snapshot": (lambda r: r.path("snapshot").unlink(), "unreachable"),
    "gone targets": (lambda r: r.path("targets").unlink(), "unreachable"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_t2_a_source_that_lies(project, attack):
    """What was in force stays, the code says why, and what is right again is taken."""
    repository = project.repository
    repository.publish(entry())
    runtime = project.runtime()
    project.synced(runtime)
    repository.publish(entry(), entry("b", priority=9))
    kept = project.folder / "kept"
    shutil.copytree(repository.folder, kept)
    do, code = ATTACKS[attack]
    if attack == "release flipped":
        for path in (repository.folder / "targets").glob("*"):
            path.write_bytes(path.read_bytes()[:-2] + b" }")
        code = "digest"
    else:
        do(repository)

    outcome = project.synced(runtime)
    serving = runtime.resolve("adapter", "thing").provider
    shutil.copytree(kept, repository.folder, dirs_exist_ok=True)

    refused = "unreachable" if code in {"unreachable", "too-large"} else "rejected"
    assert (outcome, serving) == ((refused, code, 1), "a")
    assert project.synced(runtime) == ("applied", None, 2)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_t2_strangers_and_too_few(project, role):
    """A threshold of the role's own keys, and of no others."""
    repository = project.repository
    codes = {}
    repository.rotate(**{role: [11, 12]})
    for name, signers in {
        "stranger": [7],
        "one of two": [11],
        "twice one": [11, 11],
        "both": [11, 12],
    }.items():
        repository.publish(entry(), signers={role: signers})
        codes[name] = project.synced()[1]

    assert codes == {
        "stranger": "signature",
        "one of two": "threshold",
        "twice one": "threshold",
        "both": None,
    }


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_t3_what_has_expired(project, role):
    """By the time of the sync, wherever this machine's clock stands."""
    repository = project.repository
    repository.lives[role] = 0.5
    repository.rotate()
    repository.publish(entry())
    if role != "timestamp":
        repository.lives["timestamp"] = 20
        repository.refresh()
    project.now += DAY * 0.75

    assert project.synced() == ("rejected", "expired", None)


def test_t2_freeze(project):
    """A source that goes on giving what it gave is not believed beyond the timestamp, though the release holds."""
    project.repository.publish(entry())
    runtime = project.runtime()
    project.synced(runtime)
    project.now += 1.5 * DAY

    assert project.synced(runtime) == ("rejected", "expired", 1)
    assert runtime.resolve("adapter", "thing").provider == "a"


@pytest.mark.parametrize("how", ["whole", "timestamp", "targets"])
def test_t5_rollback(project, how):
    """An older copy is refused, also by a process that begins anew; and so is a new timestamp over older targets."""
    repository = project.repository
    repository.publish(entry())
    old = {role: repository.path(role).read_bytes() for role in ("timestamp", "snapshot", "targets")}
    repository.publish(entry(), entry("b"))
    project.synced()
    if how == "targets":
        repository.refresh({"targets.json": MetaFile(1)})
    else:
        repository.path("timestamp").write_bytes(old["timestamp"])

    assert project.synced()[:2] == ("rejected", "rollback")


def test_t2_mix_and_match(project):
    """Each file is genuine, and they were never published together."""
    repository = project.repository
    repository.publish(entry())
    old = repository.path("snapshot").read_bytes(), repository.path("targets").read_bytes()
    repository.publish(entry(), entry("b"))
    repository.path("targets").write_bytes(old[1])
    targets = project.synced()
    repository.path("snapshot").write_bytes(old[0])
    project_two = project.synced()

    assert (targets[0], project_two[0]) == ("rejected", "rejected")
    assert {targets[1], project_two[1]} <= {"digest", "rollback"}


def test_the_kernel_judges_the_release(project):
    """Stream, version, times, size and digest: the rules of any other verifier."""
    repository = project.repository
    runtime = project.runtime()
    repository.publish(entry())
    project.synced(runtime)
    codes = {}
    for name, more in {
        "stream": {"stream": "other"},
        "rollback": {"version": 1, "note": "again", "expires": stamp(project.now + DAY)},
        "expired": {"version": 5, "expires": stamp(project.now - 1)},
        "long": {"version": 5, "expires": stamp(project.now + 90 * DAY)},
        "crit": {"version": 5, "crit": ["x"]},
        "future": {"version": 5, "issued": stamp(project.now + 2 * DAY)},
    }.items():
        lines = [entry("c")] if name == "rollback" else [entry()]
        repository.publish(*lines, **more)
        codes[name] = project.synced(runtime)[1]
    repository.publish(raw=b'{"spec": "1", "spec": "1"}')
    codes["twice"] = project.synced(runtime)[1]
    repository.publish(raw=b" " * 20_000)
    codes["large"] = project.synced(runtime)[1]

    assert codes == {
        "stream": "wrong-stream",
        "rollback": "equivocation",
        "expired": "expired",
        "long": "expired",
        "crit": "crit",
        "future": "clock-skew",
        "twice": "malformed",
        "large": "too-large",
    }


def test_a_body_of_other_bytes(project):
    """It is the one that was signed, or none."""
    project.repository.publish(entry())
    [body] = (project.folder / "srv/manifests").iterdir()
    body.write_bytes(body.read_bytes().replace(b"Formatter", b"Templates"))

    assert project.synced() == ("rejected", "digest", None)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_t1_keys_are_rotated(project):
    """Every key at once, several times, and a restart knows; what the old keys sign is over."""
    repository = project.repository
    repository.publish(entry())
    project.synced()
    for number in range(20, 60, 10):
        names = dict(zip(repository.keys, ([number + each] for each in range(4)), strict=True))
        repository.rotate(**names)
    repository.publish(entry(), entry("b"))
    renewed = project.synced()
    repository.publish(entry(), signers={"timestamp": [2], "snapshot": [3], "targets": [4]})

    assert renewed == ("applied", None, 2)
    assert project.synced() == ("rejected", "signature", 2)


@pytest.mark.parametrize("signers", [[7], [31], [1]])
def test_t1_a_root_needs_the_one_before_and_its_own(project, signers):
    """Neither a stranger, nor the new keys alone, nor the old ones alone."""
    project.repository.rotate(signers=signers, root=[31])
    project.repository.publish(entry())

    assert project.synced() == ("rejected", "keyring-rejected", None)


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 900, "timestamp", "unsigned"])
def test_without_a_root_nothing_starts(project, data):
    """What the settings name is a root, signed by itself, or the start says what it is."""
    if data == "timestamp":
        project.repository.publish(entry())
        data = project.repository.path("timestamp").read_bytes()
    elif data == "unsigned":
        data = json.dumps(json.loads(project.repository.anchor) | {"signatures": []}).encode()
    (project.folder / "root.json").write_bytes(data)

    told = CliRunner().invoke(main, ["list"], catch_exceptions=False)

    assert (told.exit_code, len(told.stderr.splitlines()) <= 3) == (5, True)
    assert "oneiric.toml:6: remote.prod.keyring: " in told.stderr
    assert "it is no root.json" in told.stderr
    assert "python-tuf failed" not in told.stderr


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meanwhile", ["nothing", "refreshed", "rotated", "refused"])
def test_t8_the_next_start_needs_nobody(project, meanwhile):
    """What was accepted is verified again, whatever was pulled since, and though it has expired."""
    repository = project.repository
    repository.publish(entry())
    project.synced()
    if meanwhile == "refreshed":
        project.now += DAY / 2
        repository.refresh()
    elif meanwhile == "rotated":
        repository.rotate(timestamp=[22], snapshot=[23], targets=[24])
        meta = {"targets.json": MetaFile(2)}
        repository.numbers["targets"] = 2
        old = Metadata.from_bytes((repository.folder / "metadata/1.targets.json").read_bytes())
        old.signed.version = 2
        repository.write("metadata/2.targets.json", repository.signed(old.signed, [24]))
        repository.refresh(meta)
    elif meanwhile == "refused":
        repository.publish(entry("c", priority=100_000))
    if meanwhile != "nothing":
        project.synced()
    shutil.rmtree(repository.folder)
    project.now += 3 * DAY

    runtime = project.runtime()

    assert runtime.resolve("adapter", "thing").provider == "a"
    assert project.synced(runtime)[0] == "unreachable"


def test_t7_a_release_that_could_not_be_had_at_first_is_there_offline(project):
    """Its metadata was kept before its body came; a start without the source has all of it nevertheless."""
    project.repository.publish(entry())
    bodies = project.folder / "srv/manifests"
    bodies.rename(project.folder / "aside")
    first = project.synced()
    (project.folder / "aside").rename(bodies)
    second = project.synced()
    for path in (project.folder / "state/remote/prod/keep").iterdir():
        if not path.name.startswith("root."):
            path.unlink()
    shutil.rmtree(project.folder / "srv")

    assert (first[1], second) == ("unreachable", ("applied", None, 1))
    assert project.runtime().resolve("adapter", "thing").provider == "a"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0", b"[[[[", None])
def test_damaged_files_are_fetched_again(project, damage):
    """Each file that is kept, one after the other: the next sync goes on, and mends it."""
    project.repository.publish(entry())
    runtime = project.runtime()
    project.synced(runtime)
    for path in sorted((project.folder / "state/remote/prod/keep").iterdir()):
        before = path.read_bytes()
        path.unlink() if damage is None else path.write_bytes(damage)
        assert project.synced(runtime) == ("unchanged", None, 1)
        assert path.read_bytes() == before


def test_an_unchanged_poll_writes_nothing(project):
    """No file in the state directory, and no folder is left behind."""
    project.repository.publish(entry())
    runtime = project.runtime()
    project.synced(runtime)
    state = project.folder / "state"
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*")}

    assert {project.synced(runtime) for _ in range(5)} == {("unchanged", None, 1)}
    assert {path: path.stat().st_mtime_ns for path in state.rglob("*")} == before


def test_t5_what_was_verified_is_kept_though_the_rest_is_missing(project):
    """A timestamp was seen, its snapshot is not there: the older timestamp is refused from then on."""
    repository = project.repository
    repository.publish(entry())
    project.synced()
    old = repository.path("timestamp").read_bytes()
    repository.publish(entry(), entry("b"))
    repository.path("snapshot").unlink()
    first = project.synced()
    repository.path("timestamp").write_bytes(old)

    assert first[:2] == ("unreachable", "unreachable")
    assert project.synced()[:2] == ("rejected", "rollback")


@pytest.mark.parametrize("saves", range(8))
def test_t5_a_crash_between_two_files(tmp_path, saves):
    """Whatever had been kept when it came, the next pull goes on, and what the timestamp forbids stays forbidden."""
    now = float(int(time.time()))
    repository = Repository(tmp_path, lambda: now)
    anchor, keep = repository.anchor, Files({})
    repository.publish(entry())

    def pulled():
        root = repository.folder
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}
        return pull(Pull("prod", anchor, Files(files), keep, now)).release.version

    assert pulled() == 1
    old = repository.path("timestamp").read_bytes()
    repository.rotate(snapshot=[33])
    repository.publish(entry(), entry("b"))
    new = repository.path("timestamp").read_bytes()
    save, done = keep.save, []

    def crash(name, data):
        if len(done) == saves:
            raise RemoteError("no space")
        done.append(name)
        save(name, data)

    keep.save = crash
    if saves < 5:
        with pytest.raises(RemoteError, match="no space"):
            pulled()
    else:
        assert pulled() == 2
    keep.save = save

    order = ["root.2.json", "role.timestamp.json", "role.snapshot.json", "role.targets.json", "release.json"]
    assert done == order[: min(saves, 5)]
    repository.path("timestamp").write_bytes(old)
    if saves >= 2:
        with pytest.raises(RemoteError) as caught:
            pulled()
        assert caught.value.code == "rollback"
    repository.path("timestamp").write_bytes(new)
    assert pulled() == 2


# --- anything at all --------------------------------------------------------------------------------------------------


class Files:
    """A ``RemoteIO`` and a ``Keep`` over a dictionary."""

    def __init__(self, files):
        self.files = files
        self.limits = []

    def get(self, path, *, limit, etag=None):
        """A file."""
        self.limits.append((path, limit))
        return Got(self.files[path]) if path in self.files else None

    def load(self, name):
        """A file."""
        return self.files.get(name)

    def save(self, name, data):
        """A file."""
        self.files[name] = data

    def names(self):
        """All of them."""
        return sorted(self.files)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The files of a repository, its anchor, and what is kept of it."""
    now = float(int(time.time()))
    repository = Repository(tmp_path_factory.mktemp("srv"), lambda: now)
    repository.rotate(timestamp=[32])
    repository.publish(entry())
    root = repository.folder
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}
    keep = Files({})
    pull(Pull("prod", repository.anchor, Files(files), keep, now))
    return repository.anchor, files, keep.files, now


def test_t4_limits(published):
    """What is not signed yet is asked for with 16 KiB, and nothing with more than can be kept."""
    anchor, files, _, now = published
    io = Files(files)

    pull(Pull("prod", anchor, io, Files({}), now))

    limits = dict(io.limits)
    assert {limits["metadata/2.root.json"], limits["metadata/timestamp.json"]} == {16_384}
    assert max(limits.values()) <= 2**20


def test_t4_what_is_signed_to_be_long(tmp_path):
    """Nothing longer than can be kept is asked for, whoever signed that it is."""
    now = float(int(time.time()))
    repository = Repository(tmp_path, lambda: now)
    repository.publish(entry())
    repository.refresh({"targets.json": MetaFile(1, 50_000_000)})
    io = Files(
        {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.json")}
    )

    with pytest.raises(RemoteError):
        pull(Pull("prod", repository.anchor, io, Files({}), now))
    assert dict(io.limits)["metadata/1.targets.json"] == 2**20


def test_t3_offline_nothing_expires(published):
    """What is kept, and what is replayed: each of them, years later; the kernel judges the release."""
    anchor, files, keep, now = published
    roots = {name: data for name, data in keep.items() if name.startswith("root.")}
    release = {name: data for name, data in files.items() if name.startswith("targets/")}

    for io, kept in ((release, keep), (files, roots)):
        pulled = pull(Pull("prod", anchor, Files(io), Files(dict(kept)), now + 900 * DAY, offline=True))
        assert (pulled.release.version, pulled.probed) == (1, False)


def test_t9_what_nobody_expects_is_told(published):
    """Whatever the library runs into is an error of the stream, with its name."""
    anchor, _, _, now = published

    class Odd(Files):
        def get(self, path, *, limit, etag=None):
            raise KeyError(path)

    with pytest.raises(RemoteError, match=r"python-tuf failed at metadata/2.root.json: KeyError") as caught:
        pull(Pull("prod", anchor, Odd({}), Files({}), now))
    assert caught.value.code == "plugin-error"


@pytest.mark.parametrize("kept", [False, True])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_t9_hostile_files(published, kept, data):
    """Whatever stands in them, what comes out is the release, or a RemoteError."""
    anchor, files, keep, now = published
    files, keep = dict(files), dict(keep)
    of = keep if kept else files
    name = data.draw(st.sampled_from(sorted(of)))
    document = json.loads(of[name])
    junk = st.one_of(
        st.none(), st.integers(), st.floats(), st.text(), st.just([]), st.just({}), st.just("9" * 5000)
    )
    node = document
    for _ in range(data.draw(st.integers(0, 5))):
        if not isinstance(node, dict) or not node:
            break
        key = data.draw(st.sampled_from(sorted(node)))
        if not isinstance(node[key], dict) or data.draw(st.booleans()):
            node[key] = data.draw(junk)
            break
        node = node[key]
    of[name] = json.dumps(document).encode()

    for offline in (False, True):
        try:
            pulled = pull(Pull("prod", anchor, Files(files), Files(dict(keep)), now, offline=offline))
        except RemoteError as error:
            if kept and not offline:
                raise AssertionError("what is kept stops no pull") from error
        else:
            assert (pulled.release.stream, pulled.release.version) == ("prod", 1)


def test_another_library_that_keeps_no_time_believes_nothing(published, monkeypatch):
    """The time is told to an attribute of python-tuf's; where that is gone, nothing is believed."""
    anchor, files, _, now = published
    from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

    init = TrustedMetadataSet.__init__

    def other(self, *args):
        init(self, *args)
        del self.reference_time

    monkeypatch.setattr(TrustedMetadataSet, "__init__", other)

    with pytest.raises(RemoteError, match="cannot be told the time") as caught:
        pull(Pull("prod", anchor, Files(files), Files({}), now))
    assert caught.value.code == "plugin-error"
