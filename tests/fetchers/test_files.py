"""``file:``: folders, bundles, and what stands where a file should.  D1 to D4 are the rules of the fetcher."""

import hashlib
import os
import socket
import threading

import pytest
from oneiric_hookspecs import FetchError, FileRef, Got, SettingsError

BODY = b"a body\n" * 100_000


@pytest.fixture
def folder(tmp_path):
    """A stream's folder, with a head and a keyring."""
    folder = tmp_path / "shop"
    (folder / "keyrings").mkdir(parents=True)
    (folder / "head.json").write_bytes(b"head")
    (folder / "keyrings" / "1.json").write_bytes(b"keyring")
    return folder


@pytest.fixture
def reads(stream):
    """``reads(folder, path)``: the bytes, None, or the code and whether it is worth trying again."""

    def reads(url, path="head.json", **more):
        url = url if isinstance(url, str) else url.as_uri()
        try:
            got = stream(url, patience=2.0).get(path, limit=16384, **more)
        except FetchError as error:
            return error.code, error.retryable
        return got and (got.data or got.unchanged)

    return reads


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}", "FILE:{}", "file:{}/"])
def test_every_form_of_an_address(folder, reads, form):
    """With two slashes, with three, and with one at the end."""
    assert reads(form.format(folder)) == b"head"


def test_name_with_a_blank(folder, reads):
    """Written as %20."""
    other = folder.rename(folder.with_name("my shop"))

    assert (reads(other.as_uri()), "%20" in other.as_uri()) == (b"head", True)


@pytest.mark.parametrize(
    "url",
    ["file:shop", "file://else/shop", "file:", "file:/a%00b", "file:/a?b", "file:/a#b", "shop", "/shop"],
)
def test_what_is_no_address_is_a_problem_of_the_settings(stream, url):
    """Never a folder that happens to be the current one."""
    with pytest.raises(SettingsError) as error:
        stream(url)

    assert str(error.value).startswith("remote.shop.url: ")


def test_what_is_there_and_what_is_not(folder, reads):
    """A file that is not there is absent; a folder that is not there is out of reach."""
    assert [
        reads(folder, "keyrings/1.json"),
        reads(folder, "keyrings/2.json"),
        reads(folder, "artifacts/x"),
        reads(folder.parent / "gone"),
    ] == [b"keyring", None, None, ("unreachable", True)]


def test_unchanged_file_is_not_opened(folder, stream, monkeypatch):
    """D3: one look at it is all; another one in its place is read."""
    io = stream(folder.as_uri())
    etag = io.get("head.json", limit=16384).etag
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", None)
        assert io.get("head.json", limit=16384, etag=etag) == Got(b"", etag, unchanged=True)

    (folder / "new").write_bytes(b"next")
    (folder / "new").replace(folder / "head.json")
    assert io.get("head.json", limit=16384, etag=etag).data == b"next"
    assert io.get("keyrings/1.json", limit=16384, etag=etag).data == b"keyring"


def fifo(path):
    os.mkfifo(path)


def link(path):
    path.symlink_to("/etc/passwd")


def device(path):
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero


def endpoint(path):
    with socket.socket(socket.AF_UNIX) as bound:
        where = os.getcwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            bound.bind(path.name)
        finally:
            os.chdir(where)


def directory(path):
    path.mkdir()


def dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [fifo, link, device, endpoint, directory, dangling])
@pytest.mark.parametrize("place", ["head.json", "manifests/a", "shop.bundle"])
def test_only_plain_files_are_read(folder, reads, make, place):
    """D1: at once, and what is behind is not touched."""
    (folder / "manifests").mkdir()
    (folder / "head.json").unlink()
    try:
        make(folder / place)
    except PermissionError:
        pytest.skip("devices are not made here")
    found = reads(folder / place) if place.endswith(".bundle") else reads(folder, place)

    assert found == ("io", False)


def test_device_that_never_ends_is_refused(reads, tmp_path):
    """D1: by whatever name."""
    (tmp_path / "zero.bundle").symlink_to("/dev/zero")

    assert [reads("file:/dev", "zero"), reads(tmp_path / "zero.bundle")] == [("io", False)] * 2


def test_link_in_the_middle_is_not_followed(folder, reads):
    """D2."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"outside")
    (folder / "manifests").symlink_to(outside)

    assert reads(folder, "manifests/a") == ("io", False)


def test_nothing_outside_is_reached_while_links_come_and_go(folder, reads):
    """D2: whatever a folder is exchanged for, and whenever."""
    inside, outside = folder / "manifests", folder.parent / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "a").write_bytes(b"inside")
    (outside / "a").write_bytes(b"outside")
    (folder / "link").symlink_to(outside)
    ended = threading.Event()

    def exchange():
        while not ended.is_set():
            inside.rename(folder / "kept")
            (folder / "link").rename(inside)
            inside.rename(folder / "link")
            (folder / "kept").rename(inside)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        found = {reads(folder, "manifests/a") for _ in range(300)}
    finally:
        ended.set()
        thread.join()

    assert found <= {b"inside", None, ("io", False)}


@pytest.mark.parametrize(
    "path", ["../head.json", "/etc/passwd", "a//b", "./a", "a/../b", "", "a\0", "a\\b", "x" * 600]
)
def test_path_that_leads_elsewhere_is_refused(folder, reads, path):
    """B5, before anything is opened."""
    assert reads(folder, path) == ("plugin-error", False)


def test_file_that_may_not_be_read(folder, reads, monkeypatch):
    """It is said, and may be mended."""

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)

    assert reads(folder) == ("io", True)


def test_file_that_fails_while_it_is_read(folder, reads, monkeypatch):
    """A damaged disk is an error like others."""

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", broken)

    assert reads(folder) == ("io", True)


def test_head_is_no_longer_than_its_limit(folder, reads):
    """B1 holds for files."""
    (folder / "head.json").write_bytes(b"x" * 16385)

    assert reads(folder) == ("too-large", True)


# --- bundles --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path):
    """A release in one file."""
    file = tmp_path / "shop.bundle"
    file.write_bytes(b"head\n" + BODY)
    return file


def test_bundle_is_its_first_line_and_the_rest(bundle, stream, reads):
    """D4: there is nothing else in it, and the body is held against what was signed."""
    io = stream(bundle.as_uri())
    digest = hashlib.sha256(BODY).hexdigest()

    assert io.body(FileRef(digest, len(BODY), f"manifests/{digest}.jsonl")) == BODY
    assert [reads(bundle), reads(bundle, "keyrings/2.json"), reads(bundle, f"artifacts/{digest}")] == [
        b"head",
        None,
        None,
    ]


def test_bundle_that_has_not_changed(bundle, stream):
    """D3."""
    io = stream(bundle.as_uri())
    etag = io.get("head.json", limit=16384).etag

    assert io.get("head.json", limit=16384, etag=etag).unchanged


@pytest.mark.parametrize(
    ("content", "head"),
    [
        (b"", b""),
        (b"\n", b""),
        (b"head", b"head"),
        (b"x" * 16384 + b"\nbody", b"x" * 16384),
        (b"x" * 16385 + b"\nbody", ("too-large", True)),
        (b"x" * 100_000, ("too-large", True)),
    ],
    ids=["empty", "line", "no-body", "longest", "longer", "no-line"],
)
def test_head_of_a_bundle_is_bounded(bundle, reads, content, head):
    """B1: what has no line, or a long one."""
    bundle.write_bytes(content)

    assert (reads(bundle) or b"") == head


def test_bundle_that_is_not_there(tmp_path, reads):
    """It is out of reach, and not empty."""
    assert reads(tmp_path / "gone.bundle") == ("unreachable", True)
