"""Keyrings: which are taken, and how one follows another."""

import json

import pytest
from oneiric_hookspecs import Malformed, RemoteError, VerifyError

from oneiric.plugins.pinned import dsse, keyring
from oneiric.plugins.pinned import pull as pulling

P = 2**255 - 19
#: The y of the points of small order, and the same written in another way; each with either sign.
SMALL = [
    0,
    1,
    2707385501144840649318225287225658788936804267575313519463743609750303021,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
    P - 1,
    P,
    P + 1,
]
WEAK = [(y | sign << 255).to_bytes(32, "little") for y in SMALL for sign in (0, 1)]


def changed(data, change):
    """The payload of an envelope with a change to its document, not signed."""
    document = json.loads(dsse.read(data, keyring.TYPE, "it").payload)
    change(document)
    return json.dumps(document).encode()


def key_of(data):
    return lambda document: document["keys"]["root"].update(public=dsse.encode(data))


@pytest.mark.parametrize("weak", WEAK, ids=lambda key: key.hex()[:6] + key.hex()[-4:])
def test_keys_that_anybody_can_sign_for(publisher, weak):
    """K2: all fourteen ways to write a point of small order are refused as a keyring loads."""
    with pytest.raises(VerifyError) as caught:
        keyring.read_payload(changed(publisher.ring(), key_of(weak)))
    assert caught.value.code == "key"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_has_32_bytes(publisher, length):
    """K2."""
    with pytest.raises(VerifyError) as caught:
        keyring.read_payload(changed(publisher.ring(), key_of(b"k" * length)))
    assert caught.value.code == "key"


@pytest.mark.parametrize("alg", ["none", "hs256", "rsa", "Ed25519", ""])
def test_an_algorithm_is_ed25519(publisher, alg):
    """K2."""
    with pytest.raises(VerifyError) as caught:
        keyring.read_payload(
            changed(publisher.ring(), lambda document: document["keys"]["root"].update(alg=alg))
        )
    assert caught.value.code == "key"


def test_one_key_under_two_ids(publisher):
    """K3: else one owner could be two."""

    def twice(document):
        document["keys"]["again"] = document["keys"]["root"]
        document["roles"]["root"] = {"keys": ["root", "again"], "threshold": 2}

    with pytest.raises(VerifyError) as caught:
        keyring.read_payload(changed(publisher.ring(), twice))
    assert (caught.value.code, "same key as" in caught.value.message) == ("key", True)


BAD = {
    "threshold 0": lambda d: d["roles"]["root"].update(threshold=0),
    "threshold above": lambda d: d["roles"]["release"].update(threshold=2),
    "threshold true": lambda d: d["roles"]["root"].update(threshold=True),
    "threshold 1.0": lambda d: d["roles"]["root"].update(threshold=1.0),
    "no keys": lambda d: d["roles"]["root"].update(keys=[]),
    "a key twice": lambda d: d["roles"]["root"].update(keys=["root", "root"], threshold=2),
    "unknown id": lambda d: d["roles"]["root"].update(keys=["nobody"]),
    "a role more": lambda d: d["roles"].update(other={"keys": ["root"], "threshold": 1}),
    "a role less": lambda d: d["roles"].pop("release"),
    "a field more": lambda d: d.update(more=1),
    "a field less": lambda d: d.pop("epoch"),
    "spec 2": lambda d: d.update(spec="2"),
    "version 0": lambda d: d.update(version=0),
    "version text": lambda d: d.update(version="1"),
    "expires before": lambda d: d.update(expires=d["issued"]),
    "local time": lambda d: d.update(expires="2099-01-01T00:00:00+00:00"),
    "a strange id": lambda d: d["keys"].update({"ro\not": d["keys"]["root"]}),
    "a field of a key": lambda d: d["keys"]["root"].update(use="sig"),
    "too many keys": lambda d: d["keys"].update({f"k{n}": {} for n in range(64)}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_keyring(publisher, name):
    """K4, and the strictness of every document."""
    with pytest.raises(Malformed):
        keyring.read_payload(changed(publisher.ring(), BAD[name]))


def test_it_says_what_was_written(publisher):
    """What is written is read."""
    ring = keyring.read(publisher.ring(root=("a", "b"), release=("b", "c"), at=(2, 1)))
    assert keyring.read_payload(ring.payload()) == ring


@pytest.mark.parametrize(("by", "code"), [((), "signature"), (("rel",), "signature"), (("a",), "threshold")])
def test_an_anchor_is_signed_by_its_own_root(publisher, by, code):
    """K5: and it is told as an error of the anchor."""
    data = publisher.ring(root=("a", "b"), at=(2, 1), by=by)
    with pytest.raises(VerifyError) as caught:
        keyring.read(data)
    assert caught.value.code == code
    with pytest.raises(VerifyError) as caught:
        pulling.check_anchor("shop", data, publisher.now)
    assert caught.value.code == "key"


@pytest.mark.parametrize("data", [b"", b"{}", b"<html>", b"\0" * 100, b"[" * 10_000])
def test_an_anchor_that_is_none(publisher, data):
    """A stream without keys is an error before the first sync; nothing is ever accepted unsigned."""
    with pytest.raises(VerifyError) as caught:
        pulling.check_anchor("shop", data, publisher.now)
    assert caught.value.code == "key"


def test_an_anchor_of_another_stream(publisher):
    """K1."""
    with pytest.raises(VerifyError) as caught:
        pulling.check_anchor("other", publisher.ring(), publisher.now)
    assert caught.value.code == "wrong-stream"


FOLLOWS = {
    "old and new": ({"root": ("new",), "by": ("root", "new")}, None),
    "only the old": ({"root": ("new",), "by": ("root",)}, "keyring-rejected"),
    "only the new": ({"root": ("new",), "by": ("new",)}, "keyring-rejected"),
    "neither": ({"by": ("rel",)}, "keyring-rejected"),
    "the same keys": ({}, None),
    "a version left out": ({"version": 3}, "keyring-rejected"),
    "the same version": ({"version": 1}, "keyring-rejected"),
    "the next epoch": ({"epoch": 2}, None),
    "an epoch left out": ({"epoch": 3}, "keyring-rejected"),
    "another stream": ({"stream": "other"}, "keyring-rejected"),
}


@pytest.mark.parametrize("name", FOLLOWS)
def test_the_next_keyring(publisher, name):
    """K6, K7."""
    more, code = FOLLOWS[name]
    after = publisher.ring(**{"version": 2} | more)
    try:
        keyring.follow(publisher.ring(), after)
        found = None
    except RemoteError as error:
        found = error.code
    assert found == code


def test_an_epoch_never_sinks(publisher):
    """K6."""
    with pytest.raises(VerifyError):
        keyring.follow(publisher.ring(epoch=2), publisher.ring(2, epoch=1))


def test_thresholds_of_both_roots(publisher):
    """K7: two of the old and two of the new, and not three together."""
    before = publisher.ring(root=("a", "b", "c"), at=(2, 1), by=("a", "b"))
    good = publisher.ring(2, root=("b", "d"), at=(2, 1), by=("a", "b", "d"))
    bad = publisher.ring(2, root=("b", "d"), at=(2, 1), by=("b", "d"))

    assert keyring.follow(before, good).root.keys == ("b", "d")
    with pytest.raises(VerifyError):
        keyring.follow(before, bad)


def test_distrusted_keys_vouch_for_no_keyring(publisher):
    """K8."""
    before = publisher.ring()
    after = publisher.ring(2, root=("new",), by=("root", "new"))
    for ring, name in ((before, "root"), (after, "new")):
        with pytest.raises(VerifyError) as caught:
            keyring.follow(before, after, frozenset({keyring.read(ring).keys[name]}))
        assert caught.value.code == "keyring-rejected"
