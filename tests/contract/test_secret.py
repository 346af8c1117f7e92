"""A secret does not show what it holds, whatever is done with it that is not asking for it."""

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from string import Template

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import PluginError, Secret, SecretError, SecretSource

CANARY = "canary-1f6e"


@attrs.frozen
class Settings:
    password: Secret
    user: str = "me"
    others: tuple[Secret, ...] = ()


SETTINGS = Settings(Secret(CANARY), others=(Secret(CANARY),))

SHOWN = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret!a} {secret:>20} {secret:x<9}",
    "format": "{0} {0!r} {0:^12}".format,
    "percent": lambda secret: "%s %r %a %10s" % (secret, secret, secret, secret),  # noqa: UP031 - one of the ways
    "percent of a dict": lambda secret: "%(it)s %(it)r" % {"it": secret},  # noqa: UP031 - one of the ways
    "template": lambda secret: Template("$it").substitute(it=secret),
    "pprint": lambda secret: pprint.pformat({"secret": [secret] * 30}),
    "in containers": lambda secret: f"{[secret]} {(secret,)} { ({secret: secret}) } { ({secret}) }",
    "of an attrs class": lambda secret: repr(Settings(secret, others=(secret,))),
    "of its exception": lambda secret: (
        f"{ValueError(secret)} {ValueError(secret)!r} {ValueError('bad', secret)}"
    ),
    "json with default=str": lambda secret: json.dumps({"it": secret}, default=str),
    "json with default=repr": lambda secret: json.dumps([secret], default=repr),
    "attrs.asdict, shown": lambda secret: str(attrs.asdict(Settings(secret, others=(secret,)))),
    "attrs.astuple, shown": lambda secret: str(attrs.astuple(Settings(secret, others=(secret,)))),
    "dir": lambda secret: " ".join(dir(secret)),
}


@pytest.mark.parametrize("way", SHOWN)
def test_it_shows_three_stars(way):
    """And nothing of what it holds, in whatever way it is made a text."""
    shown = SHOWN[way](Secret(CANARY))

    assert CANARY not in shown
    assert way == "dir" or "***" in shown


def test_it_is_given_to_who_asks():
    """By two words that can be searched for."""
    secret = Secret("pässwörd")

    assert (secret.reveal(), secret.encode(), secret.encode("latin-1")) == (
        "pässwörd",
        "pässwörd".encode(),
        "pässwörd".encode("latin-1"),
    )


def test_it_is_no_text():
    """So what joins, adds, writes or compares texts refuses it, instead of showing it."""
    secret = Secret(CANARY)
    refused = [
        lambda: "".join([secret]),  # noqa: FLY002 - one of the ways
        lambda: "x" + secret,
        lambda: secret + "x",
        lambda: io.StringIO().write(secret),
        lambda: bytes(secret),
        lambda: secret[0],
        lambda: list(secret),
        lambda: CANARY in secret,
        lambda: sorted([secret, Secret("b")]),
        lambda: vars(secret),
        lambda: json.dumps(secret),
        lambda: json.dumps({secret: 1}),
    ]

    for each in refused:
        with pytest.raises((TypeError, AttributeError)) as raised:
            each()
        assert CANARY not in "".join(traceback.format_exception(raised.value))
    assert not isinstance(secret, str)
    assert secret != CANARY


def test_settings_as_a_dict_are_refused_by_json():
    """``attrs.asdict`` keeps secrets as they are; so what is made of it fails, or shows stars, and never the text."""
    table = attrs.asdict(SETTINGS)

    assert table == {"password": Secret(CANARY), "user": "me", "others": (Secret(CANARY),)}
    with pytest.raises(TypeError, match="Secret is not JSON serializable"):
        json.dumps(table)
    for default in (str, repr, format):
        assert CANARY not in json.dumps(table, default=default)
    for default in (vars, lambda each: each.__dict__, lambda each: each.__getstate__(), list, bytes, dict):
        with pytest.raises((TypeError, AttributeError)):
            json.dumps(table, default=default)


def test_cattrs_keeps_it_as_it_is():
    """Unstructuring, too, leaves it to be refused."""
    import cattrs

    assert cattrs.unstructure(SETTINGS)["password"] == Secret(CANARY)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol):
    """Not alone, nor in something else; nor does it give its state to those who pickle in other ways."""
    for each in (Secret(CANARY), SETTINGS, [Secret(CANARY)]):
        with pytest.raises(TypeError, match="a secret cannot be pickled"):
            pickle.dumps(each, protocol)
    for ask in ("__getstate__", "__reduce__"):
        with pytest.raises(TypeError):
            getattr(Secret(CANARY), ask)()


def test_a_copy_is_the_same():
    """Nothing is gained by a second one."""
    secret = Secret(CANARY)

    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    assert attrs.evolve(SETTINGS, user="you").password == secret
    assert Secret(secret) == secret


def test_it_does_not_change():
    """Who holds it can rely on it."""
    secret = Secret(CANARY)

    for change in (
        lambda: setattr(secret, "_text", "x"),
        lambda: setattr(secret, "more", "x"),
        lambda: delattr(secret, "_text"),
    ):
        with pytest.raises(AttributeError) as raised:
            change()
        assert CANARY not in str(raised.value)


@given(st.text(), st.text())
def test_it_is_equal_by_what_it_holds(one, two):
    """To another secret, lone surrogates and all; and hashed alike."""
    assert (Secret(one) == Secret(two)) is (one == two)
    assert hash(Secret(one)) == hash(Secret(one))
    assert (bool(Secret(one)), len(Secret(one))) == (bool(one), len(one))
    assert Secret(one) != one


@given(st.text(min_size=4))
def test_no_text_is_shown(text):
    """Whatever it holds; but what looks like the mask itself."""
    shown = f"{Secret(text)}{Secret(text)!r}"

    assert shown == "******"


@pytest.mark.parametrize("value", [b"bytes", None, 5, ["x"], bytearray(b"x")])
def test_it_is_made_of_a_text(value):
    """And who gives another thing is told its type, not what it is."""
    with pytest.raises(TypeError) as raised:
        Secret(value)

    assert str(raised.value) == f"a secret is a text, found a {type(value).__name__}"


def test_a_text_of_a_class_of_its_own_becomes_plain():
    """Nothing that a subclass of ``str`` remembers comes along."""

    class Loud(str):  # noqa: SLOT000 - it is to have all that a class can have
        def __str__(self):
            return "loud"

    assert type(Secret(Loud("x")).reveal()) is str


def test_logs_show_stars():
    """As an argument, in a message, in an exception that is logged, with a stack."""
    stream = io.StringIO()
    log = logging.Logger("quiet", logging.DEBUG)  # noqa: LOG001 - of this test alone
    log.addHandler(logging.StreamHandler(stream))
    secret = Secret(CANARY)

    log.info("%s %r %10s", secret, secret, secret)
    log.info("%(it)s", {"it": secret})
    log.info(secret)
    log.info(f"{secret}", extra={"secret": secret}, stack_info=True)  # noqa: G004 - one of the ways
    try:
        raise ValueError(secret, SETTINGS)
    except ValueError:
        log.exception("it failed with %s", SETTINGS)

    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count("***") >= 6


def test_a_traceback_with_its_locals_shows_stars():
    """Many tools show the locals of every frame."""

    def fail(password, settings):
        table = attrs.asdict(settings)
        raise ValueError(f"no: {password} {table}")

    try:
        fail(Secret(CANARY), SETTINGS)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert CANARY not in shown
    assert "password = ***" in shown


def test_a_source_has_a_scheme_and_a_function():
    """What stands in the settings before the colon, and what is called."""
    source = SecretSource("vault", lambda name: None, "a vault")

    assert repr(source) == "SecretSource(scheme='vault', summary='a vault')"
    with pytest.raises(PluginError, match="scheme of a secret source"):
        SecretSource("Vault:", lambda name: None)
    with pytest.raises(PluginError, match="get is called, found 3"):
        SecretSource("vault", 3)


def test_the_error_says_which_secret():
    """A source gives the reason, the kernel the rest; both come out in the order what, where, what next."""
    bare = SecretError("it is locked")
    whole = SecretError(
        "it is locked", name="db", source="vault:db", where="oneiric.toml:3", hint="unlock it"
    )

    assert str(bare) == "it is locked"
    assert str(whole) == "oneiric.toml:3: the secret 'db' (vault:db) cannot be had: it is locked\n  unlock it"
    assert str(whole.twin()) == str(whole)
