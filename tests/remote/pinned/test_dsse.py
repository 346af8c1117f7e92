"""Envelopes: what is signed, and who counts."""

import json
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Malformed, RemoteError, VerifyError

from oneiric.plugins.pinned import dsse

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 4)]
PUBLICS = {f"k{n}": each.public_key().public_bytes_raw() for n, each in enumerate(KEYS)}
KIND = "application/x"


def envelope(*keys, payload=b"{}", kind=KIND):
    made = dsse.Envelope(kind, payload)
    for n in keys:
        made = made.signed(KEYS[n], f"k{n}")
    return made


def test_the_published_vector():
    """What is signed is what DSSE's own example says, whose signature holds for it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    message = dsse.pae("http://example.com/HelloWorld", b"hello world")
    sig = b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    public = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    ).public_key()

    assert message == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    der = encode_dss_signature(int.from_bytes(sig[:32], "big"), int.from_bytes(sig[32:], "big"))
    public.verify(der, message, ec.ECDSA(hashes.SHA256()))


@given(st.binary(max_size=500), st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_what_is_signed_is_accepted(payload, kind):
    """Whatever the payload is, and the type."""
    found = dsse.read(envelope(0, 2, payload=payload, kind=kind).to_json(), kind, "it")

    assert found.payload == payload
    assert dsse.verify(found, PUBLICS, 2, "it") == ("k0", "k2")


@given(st.binary(max_size=200))
def test_another_implementation_reads_it_and_is_read(payload):
    """Securesystemslib verifies what is signed here, and what it signs is accepted."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner(KEYS[0])
    theirs = Envelope(payload, KIND, {})
    theirs.sign(signer)
    found = dsse.read(json.dumps(theirs.to_dict()).encode(), KIND, "it")
    assert dsse.verify(found, PUBLICS, 1, "it") == ("k0",)

    signed = json.loads(envelope(payload=payload).signed(KEYS[0], signer.public_key.keyid).to_json())
    Envelope.from_dict(signed).verify([signer.public_key], 1)


@pytest.mark.parametrize("stripped", [[], {}, None, "", ..., 0, False], ids=repr)
def test_an_envelope_that_is_not_signed(stripped):
    """D3: whatever form "without signatures" has, it is refused; nothing counts as unsigned and fine."""
    table = json.loads(envelope(0).to_json())
    table["signatures"] = stripped
    if stripped is ...:
        del table["signatures"]

    with pytest.raises(VerifyError) as caught:
        dsse.read(json.dumps(table).encode(), KIND, "the head")

    assert (caught.value.code, caught.value.message) == ("signature", "the head is not signed")


@pytest.mark.parametrize("names", [["k0", "k0", "k0"], ["k0", "k1", "k2"], ["", "x", "k0"]], ids=",".join)
def test_one_signature_thrice(names):
    """D8: whatever the signer calls its key, it counts once."""
    table = json.loads(envelope(0).to_json())
    table["signatures"] = [{"keyid": name, "sig": table["signatures"][0]["sig"]} for name in names]
    found = dsse.read(json.dumps(table).encode(), KIND, "it")

    with pytest.raises(VerifyError) as caught:
        dsse.verify(found, PUBLICS, 2, "it")

    assert caught.value.code == "threshold"


def test_one_key_under_two_ids_counts_once():
    """D8: also where it is the verifier who knows it by two names."""
    found = envelope(0, 0)
    assert len(dsse.signers(found, {"a": PUBLICS["k0"], "b": PUBLICS["k0"]})) == 1


def test_a_keyid_is_a_hint():
    """D7: a signature counts for the key that made it, whatever id it says."""
    found = dsse.Envelope(KIND, b"{}").signed(KEYS[0], "k1").signed(KEYS[1], "nobody")

    assert dsse.verify(found, PUBLICS, 2, "it") == ("k0", "k1")


@pytest.mark.parametrize("field", ["alg", "algorithm", "typ", "jwk"])
@pytest.mark.parametrize("word", ["none", "HS256"])
def test_algorithm_confusion(field, word):
    """D7: what an envelope says of algorithms is not read."""
    table = json.loads(envelope(0).to_json())
    table[field] = table["signatures"][0][field] = word
    good = dsse.read(json.dumps(table).encode(), KIND, "it")
    table["signatures"][0]["sig"] = b64encode(b"\0" * 64).decode()
    bad = dsse.read(json.dumps(table).encode(), KIND, "it")

    assert dsse.verify(good, PUBLICS, 1, "it") == ("k0",)
    with pytest.raises(VerifyError):
        dsse.verify(bad, PUBLICS, 1, "it")


def test_each_byte_counts():
    """D6: whichever byte of an envelope is another one, it is refused or says the same."""
    data = envelope(0, payload=b'{"a":1}').to_json()
    for place in range(len(data)):
        for bit in (1, 128):
            changed = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            try:
                found = dsse.read(changed, KIND, "it")
                dsse.verify(found, PUBLICS, 1, "it")
            except RemoteError:
                continue
            assert (found.payload, found.payload_type) == (b'{"a":1}', KIND)
            assert b'"keyid"' not in changed or changed != data  # only a hint was changed


def test_a_type_is_signed():
    """D5, D6: bytes signed as one thing are not another thing."""
    data = envelope(0, kind="one").to_json()
    with pytest.raises(VerifyError) as caught:
        dsse.read(data, "two", "the head")
    assert caught.value.code == "wrong-type"

    renamed = dsse.read(data.replace(b'"one"', b'"two"'), "two", "the head")
    with pytest.raises(VerifyError) as caught:
        dsse.verify(renamed, PUBLICS, 1, "the head")
    assert caught.value.code == "signature"


@pytest.mark.parametrize(
    "text",
    ["e30", "e30=\n", " e30=", "e31=", "e3-_", "e30==", "====", "e3\u00e9=", "e30=e30="],
)
def test_base64_has_one_form(text):
    """D4: what another reader may take for other bytes is refused."""
    table = json.loads(envelope(0).to_json()) | {"payload": text}
    with pytest.raises(Malformed):
        dsse.read(json.dumps(table).encode(), KIND, "it")


def test_limits():
    """D1, D3: 16 KiB and 16 signatures, and not one more."""
    table = json.loads(envelope(0).to_json())
    table["signatures"] *= 16
    assert len(dsse.read(json.dumps(table).encode(), KIND, "it").signatures) == 16
    table["signatures"] = table["signatures"][:1] * 17
    with pytest.raises(Malformed):
        dsse.read(json.dumps(table).encode(), KIND, "it")
    data = envelope(0).to_json()
    assert dsse.read(data + b" " * (dsse.LIMIT - len(data)), KIND, "it")
    with pytest.raises(VerifyError) as caught:
        dsse.read(data + b" " * (dsse.LIMIT - len(data) + 1), KIND, "it")
    assert caught.value.code == "too-large"
    with pytest.raises(ValueError):
        envelope(0, payload=b"x" * dsse.LIMIT).to_json()


def test_distrusted_keys_never_count():
    """It is said which one it was, where it would have been enough without."""
    found = envelope(0, 1)
    with pytest.raises(VerifyError) as caught:
        dsse.verify(found, PUBLICS, 2, "the head", distrusted={PUBLICS["k1"]})

    assert (caught.value.code, caught.value.message) == (
        "key",
        "the head is signed by a key that is distrusted here: k1",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.binary(max_size=300)
    | st.fixed_dictionaries(
        {},
        optional={
            "payloadType": st.just(KIND) | JSON,
            "payload": st.sampled_from(["e30=", ""]) | JSON,
            "signatures": st.lists(
                st.fixed_dictionaries({}, optional={"keyid": JSON, "sig": st.just("AAAA") | JSON}) | JSON,
                max_size=3,
            )
            | JSON,
        },
    ).map(lambda table: json.dumps(table).encode())
)
def test_hostile_envelopes(data):
    """Nothing but a RemoteError comes of them, and nothing is believed."""
    with pytest.raises(RemoteError):
        dsse.verify(dsse.read(data, KIND, "it"), PUBLICS, 1, "it")
