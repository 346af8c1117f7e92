"""security.secure: tokens, passwords, comparisons; and hashes that would eat all memory."""

import base64
import sys
import time

import pytest

KEY = "security.secure"

CHEAP = f'[actions.settings."{KEY}"]\nscrypt_ln = 10\nscrypt_p = 1\n'


def phc(ln, r, p, salt, digest):
    b64 = [base64.b64encode(each).decode().rstrip("=") for each in (salt, bytes.fromhex(digest))]
    return f"$scrypt$ln={ln},r={r},p={p}${b64[0]}${b64[1]}"


#: RFC 7914, 12: all but the first, whose password is empty.
SCRYPT = {
    "NaCl": (
        "password",
        phc(
            10,
            8,
            16,
            b"NaCl",
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
        ),
    ),
    "SodiumChloride": (
        "pleaseletmein",
        phc(
            14,
            8,
            1,
            b"SodiumChloride",
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
        ),
    ),
}
GIGABYTE = phc(
    20,
    8,
    1,
    b"SodiumChloride",
    "2101cb9b6a511aaeaddbbe09cf70f881ec568d574a2ffd4dabe5ee9820adaa47"
    "8e56fd8f4ba5d09ffa1c6d927c40f4c337304049e8a952fbcbf45c6fa77a41a4",
)


@pytest.mark.parametrize("case", SCRYPT)
def test_scrypt_as_published(kits, case):
    """The test vectors of RFC 7914; another password is not that of the hash."""
    password, hashed = SCRYPT[case]
    right, wrong = kits.calls(
        KEY,
        [{"operation": "verify", "password": each, "hash": hashed} for each in (password, password + " ")],
    )

    assert (right["valid"], wrong["valid"]) == (True, False)
    assert right["needs_rehash"] is True


def test_the_published_vector_of_a_gigabyte_is_refused_at_once(kits):
    """A hash decides about memory only within the limit; the setting is named."""
    started = time.perf_counter()
    said = kits.refused(KEY, operation="verify", password="pleaseletmein", hash=GIGABYTE)

    assert said == [
        "hash: asks for more memory or time than is allowed",
        f'see the setting actions.settings."{KEY}".max_memory',
    ]
    assert time.perf_counter() - started < 5


def test_a_password_is_hashed_and_verified(kits):
    """By parameters that stand in the hash, with a salt of its own each time."""
    kits.settings(CHEAP)
    ask = {"operation": "hash", "password": "tr0ub4dor&3 ü"}
    one, other = (each["hash"] for each in kits.calls(KEY, [ask, ask]))
    verify = {"operation": "verify", "password": "tr0ub4dor&3 ü"}

    assert one != other
    assert one.startswith("$scrypt$ln=10,r=8,p=1$")
    assert kits.call(KEY, **verify, hash=one) == {
        "token": None,
        "hash": None,
        "valid": True,
        "needs_rehash": False,
    }
    kits.settings(CHEAP.replace("10", "11"))
    assert kits.call(KEY, **verify, hash=one)["needs_rehash"] is True


def test_the_defaults_can_be_verified(kits):
    """What is hashed without any settings verifies without any."""
    hashed = kits.call(KEY, operation="hash", password="x")["hash"]

    assert hashed.startswith("$scrypt$ln=15,r=8,p=3$")
    assert kits.call(KEY, operation="verify", password="x", hash=hashed)["valid"] is True


def test_argon2_where_it_is_installed(kits):
    """By the settings; the other kind of hash still verifies, and is to be made anew."""
    kits.settings(CHEAP)
    by_scrypt = kits.call(KEY, operation="hash", password="x")["hash"]
    kits.settings(CHEAP + 'scheme = "argon2"\nargon2_memory = 1024\nargon2_time = 1\n')
    by_argon2 = kits.call(KEY, operation="hash", password="x")["hash"]
    asked = [(by_argon2, "x"), (by_argon2, "y"), (by_scrypt, "x")]
    results = kits.calls(KEY, [{"operation": "verify", "password": p, "hash": h} for h, p in asked])

    assert by_argon2.startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    assert [(each["valid"], each["needs_rehash"]) for each in results] == [
        (True, False),
        (False, False),
        (True, True),
    ]


def test_argon2_that_is_not_installed_is_named(kits, monkeypatch):
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    kits.settings(f'[actions.settings."{KEY}"]\nscheme = "argon2"\n')
    [said] = kits.refusals(KEY, [{"operation": "hash", "password": "x"}])

    assert said == (
        "security.secure: Argon2 needs a library that is not installed\n  pip install argon2-cffi"
    )


SALT, HASH = "c2FsdHNhbHRzYWx0c2FsdA", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU"
ODD = "hash: is no hash of scrypt ($scrypt$ln=...) or Argon2id ($argon2id$v=19$...)"
DEAR = "hash: asks for more memory or time than is allowed"


@pytest.mark.parametrize(
    ("hashed", "said"),
    [
        ("", ODD),
        ("x" * 100_000, ODD),
        (f"$scrypt$ln=99,r=8,p=1${SALT}${HASH}", DEAR),
        (f"$scrypt$ln=999,r=8,p=1${SALT}${HASH}", ODD),
        (f"$scrypt$ln=10,r=9999,p=1${SALT}${HASH}", DEAR),
        (f"$scrypt$ln=10,r=1,p=9999${SALT}${HASH}", DEAR),
        (f"$scrypt$ln=010,r=8,p=1${SALT}${HASH}", ODD),
        (f"$scrypt$ln=0,r=8,p=1${SALT}${HASH}", ODD),
        (f"$scrypt$ln=-1,r=8,p=1${SALT}${HASH}", ODD),
        (f"$scrypt$ln=１0,r=8,p=1${SALT}${HASH}", ODD),
        (f"$scrypt$ln=16,r=1,p=1${SALT}${HASH}", "hash: has parameters that scrypt cannot have"),
        (f"$scrypt$ln=10,r=8,p=1${SALT}x${HASH}", "hash: holds a salt or a hash that is no base64"),
        (f"$scrypt$ln=10,r=8,p=1${SALT}$YQ", ODD),
        (f"$scrypt$ln=10,r=8,p=1${SALT}${HASH}\n", ODD),
        (f"$argon2id$v=19$m=4194304,t=1,p=1${SALT}${HASH}", DEAR),
        (f"$argon2id$v=19$m=65536,t=999999,p=1${SALT}${HASH}", DEAR),
        (f"$argon2id$v=19$m=1024,t=1,p=9999${SALT}${HASH}", DEAR),
        (f"$argon2id$v=19$m=1,t=1,p=16${SALT}${HASH}", "hash: cannot be verified: "),
        (f"$argon2i$v=19$m=1024,t=1,p=1${SALT}${HASH}", ODD),
        ("$2b$12$abcdefghijklmnopqrstuv", ODD),
        ("5f4dcc3b5aa765d61d8327deb882cf99", ODD),
    ],
    ids=range(21),
)
def test_a_hostile_hash_is_refused(kits, hashed, said):
    """Before anything is computed; in one sentence."""
    started = time.perf_counter()
    line = kits.refused(KEY, operation="verify", password="x", hash=hashed)[0]

    assert line.startswith(said)
    assert time.perf_counter() - started < 5


def test_settings_that_ask_for_too_much_are_told(kits):
    """When hashing; the setting is named."""
    kits.settings(f'[actions.settings."{KEY}"]\nscrypt_ln = 20\n')
    [by_scrypt] = kits.refusals(KEY, [{"operation": "hash", "password": "x"}])
    kits.settings(f'[actions.settings."{KEY}"]\nscheme = "argon2"\nargon2_memory = 1000000\n')
    [by_argon2] = kits.refusals(KEY, [{"operation": "hash", "password": "x"}])

    assert by_scrypt.splitlines()[0] == (
        "security.secure: hashing with scrypt_ln = 20 takes more memory or time than is allowed"
    )
    assert by_argon2.splitlines()[0] == (
        "security.secure: argon2_memory = 1000000 KiB are more than max_memory allows"
    )


def test_tokens(kits):
    """Each is another; as long as asked for."""
    kits.settings(f'[actions.settings."{KEY}"]\ntoken_bytes = 24\n')
    asked = [{"bytes": 16}, {"encoding": "hex"}, {}, {}]
    made = [each["token"] for each in kits.calls(KEY, [{"operation": "token", **each} for each in asked])]

    assert [len(token) for token in made] == [22, 48, 32, 32]
    assert len(set(made)) == 4


def test_comparisons(kits):
    """Equal or not; of different lengths, too."""
    pairs = [("a", "a"), ("a", "b"), ("", ""), ("a", "aa"), ("ü", "ü"), ("\ud800", "\ud800")]
    asked = [{"operation": "compare", "left": left, "right": right} for left, right in pairs]

    assert [each["valid"] for each in kits.calls(KEY, asked)] == [True, False, True, False, True, True]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "operation: is missing; expected one of 'token', 'hash', 'verify', 'compare'"),
        ({"operation": "hash"}, "operation 'hash' needs password"),
        ({"operation": "verify", "password": "x"}, "operation 'verify' needs hash"),
        ({"operation": "compare", "left": "x"}, "operation 'compare' needs right"),
        ({"operation": "token", "password": "x"}, "password has no meaning for operation 'token'"),
        ({"operation": "token", "bytes": True}, "bytes: expected a whole number, found true"),
        ({"operation": "token", "bytes": 8}, "bytes: "),
        ({"operation": "token", "bytes": 10**9}, "bytes: "),
        ({"operation": "hash", "password": ""}, "password is empty"),
        ({"operation": "hash", "password": 1234}, "password: expected a secret: a text"),
        ({"operation": "hash", "password": "x" * 4097}, "password has at most 4,096 characters, found 4,097"),
        ({"operation": "hash", "password": "\ud800"}, "password: is no text in UTF-8"),
        ({"operation": "token", "sise": 1}, "sise: unknown key"),
    ],
    ids=range(13),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line, which does not show a password."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
    assert "1234" not in line
