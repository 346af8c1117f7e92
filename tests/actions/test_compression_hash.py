"""compression.hash: the published digests; and no file outside of what is open."""

import base64
import hashlib
import os
import socket

import pytest

KEY = "compression.hash"

#: Of "abc": FIPS 180-4, FIPS 202, RFC 7693.
ABC = {
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    "sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
    "sha3-384": "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
    "sha3-512": "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
    "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
    "blake2b": "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    "blake2s": "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
}


def test_the_digests_are_those_that_were_published(kits):
    """Each algorithm there is, in both encodings."""
    asked = [
        {"text": "abc", "algorithm": algorithm, "encoding": encoding}
        for algorithm in ABC
        for encoding in ("hex", "base64")
    ]
    made = [result["digest"] for result in kits.calls(KEY, asked)]

    assert made == [
        digest if encoding == "hex" else base64.b64encode(bytes.fromhex(digest)).decode()
        for digest in ABC.values()
        for encoding in ("hex", "base64")
    ]


@pytest.fixture
def roots(kits):
    """Two folders that are open for reading, beside one that is not."""
    for name in ("open", "also", "closed"):
        (kits.folder / name).mkdir()
        (kits.folder / name / "file").write_bytes(name.encode())
    (kits.folder / "open" / "below").mkdir()
    (kits.folder / "open" / "below" / "deep").write_bytes(b"deep")
    listed = f'["{kits.folder}/absent", "{kits.folder}/open", "{kits.folder}/also"]'
    kits.settings(f'[actions.settings."{KEY}"]\nroots = {listed}\nmax_bytes = 3000000\n')
    return kits


def test_a_file_in_an_open_folder_is_digested_piece_by_piece(roots):
    """By a path that is relative to one of them, or absolute; through links that stay inside."""
    folder = roots.folder / "open"
    (folder / "large").write_bytes(b"x" * 2_500_000)
    (folder / "link").symlink_to("below/deep")
    (folder / "linked").symlink_to(folder / "below")
    asked = ["file", "below/../below/deep", str(folder / "file"), "link", "linked/deep", "large"]
    expected = [b"open", b"deep", b"open", b"deep", b"deep", b"x" * 2_500_000]
    results = roots.calls(KEY, [{"path": path} for path in asked])

    assert [(each["digest"], each["bytes"]) for each in results] == [
        (hashlib.sha256(data).hexdigest(), len(data)) for data in expected
    ]


def test_no_other_file_is_read(roots):
    """Not by dots, by links, or by an absolute path; and what is said tells nothing about what is there."""
    folder = roots.folder / "open"
    (folder / "out").symlink_to(roots.folder / "closed" / "file")
    (folder / "outside").symlink_to(roots.folder / "closed")
    (folder / "loop").symlink_to("loop")
    (roots.folder / "open-too").mkdir()
    (roots.folder / "open-too" / "file").write_bytes(b"")
    asked = [
        "../closed/file",
        "../closed/absent",
        "below/../../closed/file",
        str(roots.folder / "closed" / "file"),
        str(roots.folder / "open-too" / "file"),
        "/etc/passwd",
        "out",
        "outside/file",
        "loop",
        "absent",
        "file/file",
        "~/x",
    ]
    said = [roots.refused(KEY, path=path)[0] for path in asked]

    assert [each for each in said if each != "path: is no file in a folder that is open for reading"] == []


def test_only_a_plain_file_is_read(roots):
    """No folder, pipe or socket; and none of them is waited for."""
    folder = roots.folder / "open"
    os.mkfifo(folder / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)
    listening.bind("socket")
    os.chdir(here)
    said = [roots.refused(KEY, path=path)[0] for path in ("pipe", "below", ".", "socket", str(folder))]
    listening.close()

    assert said[:3] == ["path: is no plain file"] * 3
    assert said[3].startswith("path: cannot be read: ")
    assert said[4] == "path: is no plain file"


def test_what_is_not_a_path_is_refused(roots):
    """Null bytes, half characters, nothing."""
    assert [roots.refused(KEY, path=path)[0] for path in ("a\0b", "", "\ud800", "x" * 5000)] == [
        "path: is no path of a file",
        "path: is no path of a file",
        "path: is no file in a folder that is open for reading",
        "path: is no file in a folder that is open for reading",
    ]


def test_without_settings_no_file_is_read(kits):
    """The setting that would open a folder is named."""
    assert kits.refused(KEY, path=__file__) == [
        "path: no folder is open for reading",
        f'see the setting actions.settings."{KEY}".roots',
    ]


def test_a_file_that_is_exchanged_for_a_link_is_not_followed(roots, monkeypatch):
    """Between finding out where it is and opening it."""
    folder = roots.folder / "open"
    real = os.path.realpath

    def realpath(path, **options):
        found = real(path, **options)
        if str(path).endswith("below/deep"):
            (folder / "below" / "deep").unlink()
            (folder / "below").rmdir()
            (folder / "below").symlink_to(roots.folder / "closed")
            (roots.folder / "closed" / "deep").write_bytes(b"closed")
        return found

    monkeypatch.setattr(os.path, "realpath", realpath)

    assert roots.refused(KEY, path="below/deep")[0].startswith("path: cannot be read: ")


def test_what_is_too_long_is_refused(roots):
    """A text, bytes, and a file while it is read."""
    (roots.folder / "open" / "large").write_bytes(b"x" * 3_000_001)
    asked = [{"text": "x" * 3_000_001}, {"path": "large"}]

    assert [roots.refused(KEY, **each)[1] for each in asked] == [
        f'see the setting actions.settings."{KEY}".max_bytes'
    ] * 2


def test_the_settings_choose(kits):
    """The algorithm and the encoding, and which algorithms a request may ask for."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nalgorithm = "sha3-256"\nalgorithms = ["sha3-256"]\nencoding = "base64"\n'
    )

    assert kits.call(KEY, text="abc") == {
        "algorithm": "sha3-256",
        "digest": base64.b64encode(bytes.fromhex(ABC["sha3-256"])).decode(),
        "bytes": 3,
    }
    assert (
        kits.refused(KEY, text="abc", algorithm="sha256")[0]
        == "algorithm: 'sha256' is not allowed here; allowed: sha3-256"
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "give one of text, base64 and path, found none of them"),
        ({"text": "", "path": "x"}, "give one of text, base64 and path, found text and path"),
        ({"text": False}, "text: expected a text, found false"),
        ({"text": "", "encoding": "HEX"}, "encoding: expected one of 'hex', 'base64', found 'HEX'"),
        ({"text": "", "algorithm": "md5"}, "algorithm: expected one of "),
        ({"txt": ""}, "txt: unknown key (did you mean text?)"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
