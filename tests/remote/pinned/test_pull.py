"""What a reader believes."""

import json
import time

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import FetchError, RemoteError, VerifyError

from oneiric.plugins.pinned import distrust, keyring, publishing
from oneiric.plugins.pinned import pull as pulling


def refused(call):
    """The code with which it is refused."""
    with pytest.raises(RemoteError) as caught:
        call()
    return caught.value.code


def test_a_release_is_believed(publisher):
    """A threshold of the keys signed it: who, is told."""
    found = publisher.pull(head=publisher.head())

    assert (found.release, found.signers, found.probed, found.unchanged) == (
        publisher.release(),
        ("rel",),
        True,
        False,
    )


def test_a_stranger_signs(publisher):
    """P6."""
    assert refused(lambda: publisher.pull(head=publisher.head("stranger"))) == "signature"
    assert refused(lambda: publisher.pull(head=publisher.head("root"))) == "signature"


def test_a_threshold(publisher):
    """P6: of the role's keys, each once."""
    anchor = publisher.ring(release=("a", "b", "c"), at=(1, 2))
    assert refused(lambda: publisher.pull(anchor, head=publisher.head("a"))) == "threshold"
    assert publisher.pull(anchor, head=publisher.head("a", "c")).signers == ("a", "c")


def test_another_stream_of_the_same_keys(publisher):
    """P7: what is signed for staging is nothing here."""
    assert refused(lambda: publisher.pull(head=publisher.head(stream="staging"))) == "wrong-stream"


def test_type_confusion(publisher):
    """A keyring is no release, and a release no keyring, whoever signed them."""
    anchor = publisher.ring(root=("rel",))
    assert refused(lambda: publisher.pull(anchor, head=publisher.ring(root=("rel",)))) == "wrong-type"
    publisher.source.files["keyrings/2.json"] = publisher.head()
    assert refused(lambda: publisher.pull(anchor, head=publisher.head())) == "wrong-type"


def test_each_byte_of_a_head(publisher):
    """Whichever is another one, the release is the same or there is none."""
    data = publisher.head()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            found = publisher.pull(head=changed)
        except RemoteError:
            continue
        assert found.release == publisher.release()


def test_nothing_was_published(publisher):
    """That is no failure of trust."""
    with pytest.raises(FetchError):
        publisher.pull()


# Keys that change -------------------------------------------------------------------------------------------------


def test_newer_keys_are_walked_to_first(publisher):
    """P3: a key that was revoked fails at the next poll, and a new one counts at once."""
    publisher.pull(head=publisher.head())
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, release=("new",))

    assert refused(lambda: publisher.pull(head=publisher.head(version=2))) == "signature"
    assert publisher.pull(head=publisher.head("new", version=2, keyring=2)).signers == ("new",)


def test_each_hop_is_kept_before_the_next(publisher):
    """P4: what was walked to is there, though the walk was cut short."""
    files = publisher.source.files
    files["keyrings/2.json"], files["keyrings/3.json"] = publisher.ring(2), FetchError("gone")

    assert refused(lambda: publisher.pull(head=publisher.head())) == "unreachable"
    assert publisher.keep.names() == ["keyring-2.json"]
    files["keyrings/3.json"] = publisher.ring(3)
    publisher.source.asked.clear()
    publisher.pull(head=publisher.head())
    assert publisher.source.asked == ["head.json", "keyrings/3.json", "keyrings/4.json"]


def test_only_absence_ends_the_walk(publisher):
    """P3: a source that cannot give the next keyring does not let an old one live on."""
    publisher.source.files["keyrings/2.json"] = FetchError("503", code="http-status")
    assert refused(lambda: publisher.pull(head=publisher.head())) == "http-status"


def test_300_keyrings(publisher):
    """P4: at most 256 in one sync; the next one goes on from there."""
    for number in range(2, 301):
        publisher.source.files[f"keyrings/{number}.json"] = publisher.ring(number)
    publisher.source.files["head.json"] = publisher.head(keyring=300)

    assert refused(publisher.pull) == "keyring-rejected"
    assert len(publisher.keep.names()) == 256
    assert publisher.pull().release.keyring == 300


def test_keyrings_on_the_way_may_have_expired(publisher):
    """P8: the newest may not."""
    past = publisher.now - 1
    anchor = publisher.ring(expires=past)
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, expires=past)
    assert refused(lambda: publisher.pull(anchor, head=publisher.head())) == "expired"
    publisher.source.files["keyrings/3.json"] = publisher.ring(3)
    assert publisher.pull(anchor).release == publisher.release()


def test_a_keyring_that_is_kept_back(publisher):
    """P8: the release says beside which one it was signed."""
    assert refused(lambda: publisher.pull(head=publisher.head(keyring=2))) == "keyring-withheld"


def test_a_new_epoch(publisher):
    """P9: only a keyring begins one; with it, versions start anew after a fast-forward."""
    assert refused(lambda: publisher.pull(head=publisher.head(epoch=2))) == "key"
    greatest = 2**53 - 1
    assert publisher.pull(head=publisher.head(version=greatest)).release.place == (1, greatest)
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, epoch=2)
    assert publisher.pull(head=publisher.head(epoch=2, keyring=2)).release.place == (2, 1)


def test_an_anchor_that_is_newer_than_what_was_kept(publisher):
    """P1: it is where the walk begins, and what was kept before it is not asked."""
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, release=("two",))
    publisher.pull(head=publisher.head("two", keyring=2))
    newer = publisher.ring(3, release=("three",))

    assert publisher.pull(newer, head=publisher.head("three", keyring=3)).signers == ("three",)


def test_a_damaged_keyring_is_walked_to_again(publisher, caplog):
    """P1: and it is said."""
    publisher.source.files["keyrings/2.json"] = publisher.ring(2)
    publisher.pull(head=publisher.head())
    publisher.keep.save("keyring-2.json", b"torn")

    assert publisher.pull().probed
    assert "passed over" in caplog.text
    assert publisher.keep.load("keyring-2.json") == publisher.ring(2)


# Nothing new ------------------------------------------------------------------------------------------------------


def test_nothing_has_changed(publisher):
    """P5: only the head is asked for; newer keys only where the kernel says so."""
    publisher.source.etag = '"1"'
    first = publisher.pull(head=publisher.head())
    publisher.source.asked.clear()
    for probe, asked in ((False, ["head.json"]), (True, ["head.json", "keyrings/2.json"])):
        found = publisher.pull(known=first.release, etag=first.etag, probe=probe)
        assert (found.unchanged, found.probed, found.etag, publisher.source.asked) == (
            True,
            probe,
            '"1"',
            asked,
        )
        publisher.source.asked.clear()


def test_the_same_bytes_again(publisher):
    """P5: also from a source that knows no etags."""
    first = publisher.pull(head=publisher.head())
    publisher.source.asked.clear()

    assert publisher.pull(known=first.release).unchanged
    assert publisher.source.asked == ["head.json"]


def test_an_etag_is_sent_only_for_the_head_that_is_known(publisher):
    """P5: else "unchanged" would say nothing."""
    publisher.pull(head=publisher.head(version=2))
    publisher.source.etag = '"1"'

    found = publisher.pull(head=publisher.head(version=1), known=publisher.release(), etag='"1"')
    assert (found.unchanged, found.probed, found.release.version) == (True, True, 1)


def test_a_probe_finds_that_the_signer_was_revoked(publisher):
    """P5: an unchanged head is verified with the keys of now."""
    publisher.source.etag = '"1"'
    first = publisher.pull(head=publisher.head())
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, release=("new",))

    again = {"known": first.release, "etag": first.etag}
    assert publisher.pull(**again).unchanged
    assert refused(lambda: publisher.pull(**again, probe=True)) == "signature"
    assert refused(lambda: publisher.pull(**again)) == "signature"


def test_signed_anew(publisher):
    """The same version for longer is a release of its own."""
    first = publisher.pull(head=publisher.head())
    found = publisher.pull(head=publisher.head(issued=publisher.now + 60), known=first.release)
    assert (found.unchanged, found.release.issued) == (False, publisher.now + 60)


def test_the_newest_keyring_expires_while_nothing_changes(publisher):
    """P5, P8: then a newer one is looked for at once; without one the head is not believed any more."""
    anchor = publisher.ring(expires=publisher.now + 10)
    first = publisher.pull(anchor, head=publisher.head())
    later = {"known": first.release, "now": publisher.now + 10}

    assert refused(lambda: publisher.pull(anchor, **later)) == "expired"
    publisher.source.files["keyrings/2.json"] = publisher.ring(2)
    assert publisher.pull(anchor, **later).unchanged


# Distrust ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["changed", "unchanged", "offline"])
def test_distrust_is_immediate(publisher, how):
    """P2: whatever the keyrings say, and without asking anybody."""
    publisher.source.etag = '"1"'
    first = publisher.pull(head=publisher.head())
    ring = keyring.read(publisher.ring())
    distrust.save(publisher.keep, frozenset({ring.keys["rel"]}))
    more = {
        "changed": {"head": publisher.head(version=2)},
        "unchanged": {"known": first.release, "etag": first.etag},
        "offline": {"offline": True},
    }[how]

    assert refused(lambda: publisher.pull(**more)) == "key"


def test_distrust_reaches_keyrings_that_were_walked_to(publisher):
    """P1, P2: who came to be believed by a distrusted key alone is believed no more."""
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, release=("evil",))
    publisher.pull(head=publisher.head("evil"))
    del publisher.source.files["keyrings/2.json"]
    distrust.save(publisher.keep, frozenset({keyring.read(publisher.ring()).keys["root"]}))

    assert refused(lambda: publisher.pull(head=publisher.head("evil", version=2))) == "signature"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"keys":[1]}', b'{"keys":["?"]}'])
def test_a_damaged_list_of_distrust_believes_nobody(publisher, data):
    """P2: else damaging it would be a way to be believed."""
    publisher.keep.save("distrusted.json", data)
    assert refused(lambda: publisher.pull(head=publisher.head())) == "key"


def test_a_list_of_distrust_that_cannot_be_read_believes_nobody(publisher):
    """P2: it is there, and nobody knows what it says."""

    class Unreadable(publishing.Memory):
        def load(self, name):
            return None

    keep = Unreadable()
    keep.save("distrusted.json", b"{}")
    assert refused(lambda: publisher.pull(head=publisher.head(), keep=keep)) == "key"


# Offline ----------------------------------------------------------------------------------------------------------


def test_offline_nobody_is_asked_for_keys(publisher):
    """P10: what was pulled is verified with what was kept."""
    publisher.source.files["keyrings/2.json"] = publisher.ring(2, release=("new",))
    first = publisher.pull(head=publisher.head("new", keyring=2))
    publisher.source.files = {"head.json": publisher.source.files["head.json"]}
    publisher.source.asked.clear()
    later = publisher.now + 1000 * 86_400

    found = publisher.pull(known=first.release, offline=True, now=later)
    assert (found.release, found.signers, publisher.source.asked) == (first.release, ("new",), ["head.json"])


def test_offline_what_was_kept_is_tampered_with(publisher):
    """P10."""
    publisher.pull(head=publisher.head())
    publisher.source.files["head.json"] = publisher.head("stranger")
    assert refused(lambda: publisher.pull(offline=True)) == "signature"


# Whatever comes ---------------------------------------------------------------------------------------------------

DOCUMENTS = st.builds(
    dict,
    stream=st.just("shop"),
    epoch=st.just(1),
    version=st.integers(1, 2**53 - 1),
    issued=st.integers(0, 2**35),
    keyring=st.just(1),
    allow_removals=st.integers(0, 10_000),
    min_client=st.sampled_from(["", "1.0", ">=1"]),
    crit=st.lists(st.text(max_size=10), unique=True, max_size=4).map(tuple),
    note=st.text(max_size=200),
)


@given(DOCUMENTS, st.integers(1, 10**9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_signed_is_accepted(publisher, document, lifetime):
    """Whatever a publisher can sign, a reader reads as it was meant."""
    release = publisher.release(**document, expires=document["issued"] + lifetime)
    head = publisher.sign(pulling.TYPE, publishing.payload(release), "rel")

    assert publisher.pull(head=head).release == release


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_releases(publisher, data):
    """Signed or not: nothing but a RemoteError comes of a document that is none, and soon."""
    document = publishing.document(publisher.release())
    for name in data.draw(st.lists(st.sampled_from([*document, "more"]), min_size=1, max_size=3)):
        document[name] = data.draw(JSON)
    head = publisher.sign(pulling.TYPE, json.dumps(document).encode(), "rel")
    began = time.perf_counter()
    try:
        found = publisher.pull(head=head)
        assert attrs.fields_dict(type(found.release))
    except RemoteError:
        pass
    assert time.perf_counter() - began < 1


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_heads_and_keyrings(publisher, data):
    """Nothing but a RemoteError comes of bytes that are neither; those that were kept are asked for again."""
    publisher = type(publisher)()
    assert refused(lambda: publisher.pull(head=data))
    publisher.source.files["keyrings/2.json"] = data
    assert refused(lambda: publisher.pull(head=publisher.head())) == "keyring-rejected"
    del publisher.source.files["keyrings/2.json"]
    publisher.keep.save("keyring-2.json", data)
    assert publisher.pull(head=publisher.head()).release == publisher.release()


def test_16_signatures_of_64_keys_are_soon_verified(publisher):
    """What has to be tried is bounded."""
    names = [f"k{n}" for n in range(60)]
    anchor = publisher.ring(release=names, at=(1, 16))
    began = time.perf_counter()
    assert (
        refused(lambda: publisher.pull(anchor, head=publisher.head(*[f"x{n}" for n in range(16)])))
        == "signature"
    )
    assert time.perf_counter() - began < 5


def test_a_document_that_is_no_object(publisher):
    """It is malformed, and is told so."""
    for payload in (b"[]", b"1", b"null", b'"a"', b""):
        assert (
            refused(lambda: publisher.pull(head=publisher.sign(pulling.TYPE, payload, "rel"))) == "malformed"
        )


def test_the_verifier_is_there(publisher):
    """Assembled as every application is, ``pinned`` is declared, and cannot be switched off."""
    from oneiric_hookspecs import specs

    from oneiric.assembly import assemble

    runtime = assemble({}, environment=False)
    try:
        [verifier] = [
            answer.value
            for answer in runtime.hooks[specs.oneiric_verifiers].answers()
            if answer.value.name == "pinned"
        ]
        verifier.check("shop", publisher.ring(), publisher.now)
        with pytest.raises(VerifyError):
            verifier.check("shop", b"", publisher.now)
    finally:
        runtime.hooks.close()
