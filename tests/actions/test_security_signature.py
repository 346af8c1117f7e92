"""security.signature: the published signatures, and none but the right ones."""

import base64
import hashlib
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneiric.plugins.actions.security_signature import Plugin

KEY = "security.signature"


def b64(data):
    return base64.b64encode(data).decode()


#: RFC 4231: key and data in hex, HMAC-SHA-256, HMAC-SHA-512.
HMAC = {
    1: (
        "0b" * 20,
        b"Hi There".hex(),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ),
    2: (
        b"Jefe".hex(),
        b"what do ya want for nothing?".hex(),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
    3: (
        "aa" * 20,
        "dd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
        "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
    ),
    4: (
        bytes(range(1, 26)).hex(),
        "cd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
        "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
    ),
    6: (
        "aa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First".hex(),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
}
#: RFC 8032, 7.1: private key, public key, message, signature.
ED25519 = {
    1: (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    2: (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    3: (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
}
PRIVATE, PUBLIC, _, _ = ED25519[1]


@pytest.mark.parametrize("case", HMAC)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hmac_as_published(kits, case, algorithm):
    """The test cases of RFC 4231; what was signed is right, and anything else is not."""
    key, data, by_256, by_512 = HMAC[case]
    right = by_256 if algorithm == "sha256" else by_512
    kits.settings(
        f'[actions.settings."{KEY}"]\nsecret_encoding = "hex"\nsecret = "{key}"\nalgorithm = "hmac-{algorithm}"\n'
    )
    message = {"base64": b64(bytes.fromhex(data))}
    signed, good, bad = kits.calls(
        KEY,
        [
            message,
            {"operation": "verify", **message, "signature": right.upper()},
            {"operation": "verify", **message, "signature": right[:-1] + ("0" if right[-1] != "0" else "1")},
        ],
    )

    assert signed["signature"] == right
    assert signed["headers"] == {"X-Signature": right}
    assert good["valid"] is True
    assert (bad["valid"], bad["reason"]) == (False, "the signature is not right")


def test_hmac_by_blake2b(kits):
    """RFC 2104 over BLAKE2b, written out."""
    key, data = b"secret", b"message"
    inner, outer = (bytes(byte ^ pad for byte in key.ljust(128, b"\0")) for pad in (0x36, 0x5C))
    right = hashlib.blake2b(outer + hashlib.blake2b(inner + data).digest()).hexdigest()
    made = kits.call(KEY, text="message", secret="secret", algorithm="hmac-blake2b")

    assert made["signature"] == right


@pytest.mark.parametrize("case", ED25519)
def test_ed25519_as_published(kits, case):
    """The test cases of RFC 8032: signed, verified by one of several keys, and by no other."""
    private, public, message, right = ED25519[case]
    others = [ED25519[each][1] for each in ED25519 if each != case]
    kits.settings(
        f'[actions.settings."{KEY}"]\nalgorithm = "ed25519"\nprivate_key = "{private}"\n'
        f'public_keys = ["{others[0]}", "{public}"]\nallow_inline_secret = true\n'
    )
    data = {"base64": b64(bytes.fromhex(message))}
    check = {"operation": "verify", **data, "signature": right}
    signed, good, other, changed = kits.calls(
        KEY, [data, check, {**check, "public_key": others[1]}, {**check, "base64": b64(b"other")}]
    )

    assert signed["signature"] == right
    assert [each["valid"] for each in (good, other, changed)] == [True, False, False]


def test_keys_may_be_pem(kits):
    """As OpenSSL writes them; of another kind they are refused."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    def pem(key):
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def public(key):
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    key, other = (
        ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(PRIVATE)),
        ec.generate_private_key(ec.SECP256R1()),
    )
    base = {"algorithm": "ed25519", "text": ""}
    signed = kits.call(KEY, **base, secret=pem(key))
    check = {**base, "operation": "verify", "signature": signed["signature"]}

    assert signed["signature"] == ED25519[1][3]
    assert kits.call(KEY, **check, public_key=public(key))["valid"] is True
    assert kits.refused(KEY, **check, public_key=public(other)) == [
        "public_key: is a key of another kind than Ed25519"
    ]
    [said] = kits.refusals(KEY, [{**base, "secret": pem(other)}])
    assert said.startswith("security.signature: secret is no private key of Ed25519")


SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


def test_a_key_for_which_anybody_can_sign_is_refused(kits):
    """All points of small order; without the check, this signature holds for every second message or so."""
    forged = "01" + "00" * 63
    asked = [
        {"operation": "verify", "algorithm": "ed25519", "text": "", "signature": forged, "public_key": key}
        for key in SMALL_ORDER
    ]

    assert [said.splitlines()[1] for said in kits.refusals(KEY, asked)] == [
        "  public_key: is an Ed25519 public key of small order, for which anybody can sign"
    ] * 8


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "an Ed25519 public key has 32 bytes, found 0"),
        ("00" * 31, "is neither PEM, nor 32 bytes in hex or base64"),
        (b64(b"x" * 31), "an Ed25519 public key has 32 bytes, found 31"),
        ("02" + "00" * 31, "is no Ed25519 public key: it is no point of the curve"),
        ("01" + "00" * 30 + "80", "is no Ed25519 public key: it is no point of the curve"),
        ("ed" + "ff" * 30 + "7f", "is no Ed25519 public key: it is not in its one form"),
        ("ff" * 32, "is no Ed25519 public key: it is not in its one form"),
        ("-----BEGIN PUBLIC KEY-----\nx", ""),
    ],
)
def test_what_is_no_key_is_refused(kits, key, said):
    """In a sentence; by the setting where it comes from there, although another key would do."""
    base = {"operation": "verify", "algorithm": "ed25519", "text": "", "signature": ED25519[1][3]}
    [line] = kits.refused(KEY, **base, public_key=key)
    assert line.startswith(f"public_key: {said}")
    escaped = key.replace("\n", "\\n")
    kits.settings(f'[actions.settings."{KEY}"]\npublic_keys = ["{PUBLIC}", "{escaped}"]\n')
    [said_] = kits.refusals(KEY, [base])
    assert said_.startswith(f'security.signature: actions.settings."{KEY}".public_keys[1]: {said}')


def test_a_private_key_is_not_shown_where_it_is_none(kits):
    """What is wrong is said, and not what was given."""
    [said] = kits.refusals(KEY, [{"algorithm": "ed25519", "text": "", "secret": "hunter2hunter2"}])

    assert "hunter2" not in said
    assert said.startswith("security.signature: secret is no private key of Ed25519")


class At(Plugin):
    """The plugin, at another time."""

    def __init__(self, context):
        super().__init__(context, now=lambda: 1_000_000.75)


@pytest.fixture
def timed(kits):
    """The kit, which asks for a time, at a second of long ago."""
    kits.options |= {"plugins": [At], "off": [KEY]}
    return kits.settings(
        f'[actions.settings."{KEY}"]\nsecret = "s3"\ntimestamped = true\ntolerance = 5\nheader = "X-Shop"\n'
    )


def test_a_time_is_signed_with_the_message(timed):
    """Now, where none is given; it stands in a header of its own, and in what is signed."""
    import hmac

    made = timed.call(KEY, text="pay")
    right = hmac.new(b"s3", b"1000000.pay", "sha256").hexdigest()

    assert made["timestamp"] == 1_000_000
    assert made["headers"] == {"X-Shop": right, "X-Shop-Timestamp": "1000000"}


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (1_000_000, ""),
        (1_000_005, ""),
        (999_996, ""),
        (999_995, "the time is more than 5 s from now"),
        (1_000_006, "the time is more than 5 s from now"),
        (0, "the time is more than 5 s from now"),
        (None, "there is no time"),
    ],
)
def test_an_old_signature_is_not_accepted(timed, timestamp, reason):
    """Nor one from the future, nor one without a time."""
    signature = timed.call(KEY, text="pay", timestamp=timestamp)["signature"]
    if timestamp is None:
        timed.settings(f'[actions.settings."{KEY}"]\nsecret = "s3"\n')
        signature = timed.call(KEY, text="pay")["signature"]
        timed.settings(f'[actions.settings."{KEY}"]\nsecret = "s3"\ntimestamped = true\n')
    check = {"operation": "verify", "text": "pay", "signature": signature}
    result = timed.call(KEY, **check, timestamp=timestamp)

    assert (result["valid"], result["reason"]) == (not reason, reason)


def test_another_time_is_another_signature(timed):
    """A replay cannot be made young."""
    signature = timed.call(KEY, text="pay", timestamp=1)["signature"]
    result = timed.call(KEY, operation="verify", text="pay", signature=signature, timestamp=1_000_000)

    assert (result["valid"], result["reason"]) == (False, "the signature is not right")


def test_without_a_secret_nothing_is_signed(kits):
    """An empty one is none."""
    said = kits.refusals(
        KEY, [{"text": "x"}, {"text": "x", "secret": ""}, {"text": "x", "algorithm": "ed25519"}]
    )

    assert said == [
        f'security.signature: there is no secret to sign with\n  see the setting actions.settings."{KEY}".{name}'
        for name in ("secret", "secret", "private_key")
    ]
    kits.settings(f'[actions.settings."{KEY}"]\nsecret = ""\nallow_inline_secret = true\n')
    assert kits.refusals(KEY, [{"text": "x"}])[0].startswith(
        "security.signature: there is no secret to sign with"
    )
    kits.settings(f'[actions.settings."{KEY}"]\nsecret = "own"\nallow_inline_secret = true\n')
    assert kits.refusals(KEY, [{"text": "x", "secret": ""}])[0].startswith(
        "security.signature: there is no secret"
    )
    kits.settings("")
    [said] = kits.refusals(
        KEY, [{"operation": "verify", "text": "", "algorithm": "ed25519", "signature": ED25519[1][3]}]
    )
    assert said.startswith("security.signature: there is no key to verify with")


@pytest.mark.parametrize("allow", [None, True, False])
@pytest.mark.parametrize("own", [False, True])
def test_a_request_brings_a_secret_only_where_it_may(kits, allow, own):
    """Where the settings say nothing, it may where they have none themselves."""
    kits.settings(
        f'[actions.settings."{KEY}"]\n'
        + ('secret = "own"\n' if own else "")
        + ("" if allow is None else f"allow_inline_secret = {str(allow).lower()}\n")
    )
    may = (not own) if allow is None else allow
    [answer] = kits.refusals(KEY, [{"text": "x", "secret": "inline"}])

    if may:
        assert answer["signature"] == kits.settings("").call(KEY, text="x", secret="inline")["signature"]
    else:
        assert answer.splitlines()[1:] == [
            "  secret: comes from the settings, not from the request",
            f'  see the setting actions.settings."{KEY}".allow_inline_secret',
        ]


def test_a_secret_comes_by_reference(kits, monkeypatch):
    """From the environment, by ``[secrets]``; it is shown nowhere."""
    monkeypatch.setenv("SHOP_SIGNING", "Jefe")
    kits.settings(
        f'[secrets]\nsigning = "env:SHOP_SIGNING"\n'
        f'[actions.settings."{KEY}"]\nsecret = {{ "$secret" = "signing" }}\n'
    )

    assert kits.call(KEY, text="what do ya want for nothing?")["signature"] == HMAC[2][2]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    message=st.binary(max_size=200),
    algorithm=st.sampled_from(["hmac-sha256", "hmac-sha512", "hmac-blake2b", "ed25519"]),
    encoding=st.sampled_from(["hex", "base64"]),
    bit=st.integers(0, 255),
)
def test_what_was_signed_verifies_and_nothing_else(kits, message, algorithm, encoding, bit):
    """A bit of the signature that is turned makes it wrong."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nsecret = "s"\nprivate_key = "{PRIVATE}"\npublic_keys = ["{PUBLIC}"]\n'
    )
    base = {"base64": b64(message), "algorithm": algorithm, "encoding": encoding}
    signature = kits.call(KEY, **base)["signature"]
    raw = bytearray(bytes.fromhex(signature) if encoding == "hex" else base64.b64decode(signature))
    raw[bit // 8] ^= 1 << bit % 8
    turned = raw.hex() if encoding == "hex" else b64(bytes(raw))
    verify = partial(dict, operation="verify", **base)
    good, bad = kits.calls(KEY, [verify(signature=signature), verify(signature=turned)])

    assert (good["valid"], bad["valid"]) == (True, False)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"operation": "verify", "text": ""}, "give the signature that is to be verified"),
        ({"text": "", "signature": "00"}, "signature is for operation 'verify', found 'sign'"),
        ({"text": "", "timestamp": True}, "timestamp: expected a whole number, found true"),
        ({"text": "", "timestamp": 1.5}, "timestamp: expected a whole number, found 1.5"),
        ({"text": "", "timestamp": -1}, "timestamp: "),
        ({"text": "", "timestamp": 10**100}, "timestamp: "),
        ({"text": "", "secret": 5}, "secret: expected a secret: a text"),
        (
            {"text": "", "secret": {"$secret": "x"}},
            "secret: there is nothing here that a reference to a secret",
        ),
        (
            {"operation": "verify", "text": "", "signature": "0" * 63, "secret": "s"},
            "signature: is not hexadecimal",
        ),
        (
            {"operation": "verify", "text": "", "signature": "0 " * 32, "secret": "s"},
            "signature: is not hexadecimal",
        ),
        (
            {"operation": "verify", "text": "", "signature": "", "secret": "s"},
            "signature: of hmac-sha256 has 32 bytes, found 0",
        ),
        (
            {"operation": "verify", "text": "", "signature": "00" * 9999, "secret": "s"},
            "signature: of hmac-sha256 has 32",
        ),
        ({"text": "", "base64": ""}, "give one of text and base64, found text and base64"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, of another length: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)


def test_limits_come_from_the_settings(kits):
    """Which algorithms, and how long a message."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nalgorithms = ["hmac-sha512"]\nalgorithm = "hmac-sha512"\nmax_bytes = 3\n'
    )

    assert kits.refused(KEY, text="abcd", secret="s")[0] == "text: is 4 bytes long, and 3 are allowed"
    assert kits.refused(KEY, text="", secret="s", algorithm="hmac-sha256")[0] == (
        "algorithm: 'hmac-sha256' is not allowed here; allowed: hmac-sha512"
    )
