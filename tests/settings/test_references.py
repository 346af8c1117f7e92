"""References to secrets are checked with everything else, before anything is fetched, and secrets are never shown."""

import enum
import traceback
from pathlib import Path
from typing import Annotated, Any, NewType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Domain, Key, Secret, SettingsError

from oneiric.settings import load, structure
from oneiric.settings.hidden import hidden, secret_places
from oneiric.settings.references import masked

CANARY = "canary-1f6e"
DB = Key("adapter", "db")
SCHEMES = {"env": ["secrets.env"], "file": ["secrets.file"], "adapter": ["secrets.adapter"]}
Token = NewType("Token", Secret)


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Server:
    host: str
    password: Secret


@attrs.frozen
class Settings:
    password: Secret
    maybe: Secret | None = None
    several: list[Secret] = attrs.field(factory=list)
    named: dict[str, Secret] = attrs.field(factory=dict)
    server: Server | None = None
    servers: tuple[Server, ...] = ()
    pair: tuple[str, Secret] | None = None
    token: Token | None = None
    marked: Annotated[Secret, "marked"] | None = None
    text: str = ""
    count: int = attrs.field(default=1, validator=attrs.validators.gt(0))
    colour: Colour = Colour.RED
    anything: Any = None
    table: dict[str, Any] = attrs.field(factory=dict)


PG = Candidate(DB, "pg", dict, settings_class=Settings)


def ref(name="db"):
    return {"$secret": name}


def bound(table, *, secrets=None, candidates=(PG,), **more):
    data = {
        "secrets": {"db": "env:DB", "other": "file:/run/other"} if secrets is None else secrets,
        "adapters": {"settings": {"db": {"pg": table}}},
    }
    return load(data, environ={}).bind((Domain("adapter", "adapters"),), candidates, schemes=SCHEMES, **more)


def messages(table, **more):
    with pytest.raises(SettingsError) as caught:
        bound(table, **more)
    return [str(problem).removeprefix("adapters.settings.db.pg.") for problem in caught.value.problems]


# --- where a reference may stand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, ("db",)),
        ({"maybe": ref("other")}, ("db", "other")),
        ({"several": [ref("other"), "plain", ref()]}, ("db", "other")),
        ({"named": {"a": ref("other"), "b": "plain"}}, ("db", "other")),
        ({"server": {"host": "h", "password": ref("other")}}, ("db", "other")),
        ({"servers": [{"host": "h", "password": ref("other")}]}, ("db", "other")),
        ({"pair": ["a", ref("other")]}, ("db", "other")),
        ({"token": ref("other")}, ("db", "other")),
        ({"marked": ref("other")}, ("db", "other")),
        ({"x-note": ref("nowhere")}, ("db",)),
    ],
    ids=str,
)
def test_a_reference_stands_wherever_a_secret_may(more, names):
    """It is known which are wanted, none is fetched for that; what the user keeps for himself is no reference."""
    settings = bound({"password": ref(), **more})

    assert settings.references(PG) == names


def test_what_was_fetched_takes_its_place():
    """Each where its name stands, beside those that are written as a text."""
    settings = bound(
        {"password": ref(), "several": [ref("other"), "plain"], "server": {"host": "h", "password": ref()}}
    )

    made = settings.of(PG, {"db": Secret("one"), "other": Secret("two")})

    assert made == Settings(
        Secret("one"), several=[Secret("two"), Secret("plain")], server=Server("h", Secret("one"))
    )


def test_a_text_becomes_a_secret():
    """Whoever writes it into the file has it there, and nowhere else."""
    settings = bound({"password": CANARY, "marked": "m", "token": "t"})

    made = settings.of(PG)

    assert (made.password.reveal(), made.marked.reveal(), made.token.reveal()) == (CANARY, "m", "t")
    assert settings.references(PG) == ()


def test_what_was_not_fetched_is_said():
    """And not built with nothing in its place."""
    with pytest.raises(SettingsError) as raised:
        bound({"password": ref()}).of(PG)

    assert str(raised.value) == "adapters.settings.db.pg.password: the secret 'db' has not been fetched"


# --- what is wrong with one ----------------------------------------------------------------------------------------

ANNOTATE = "(annotate the field with oneiric_hookspecs.Secret)"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"text": ref()}, [f"text: expected a text, found a reference to a secret {ANNOTATE}"]),
        ({"count": ref()}, [f"count: expected a whole number, found a reference to a secret {ANNOTATE}"]),
        ({"colour": ref()}, [f"colour: expected one of 'red', found a reference to a secret {ANNOTATE}"]),
        ({"server": ref()}, [f"server: expected a table, found a reference to a secret {ANNOTATE}"]),
        ({"servers": [ref()]}, [f"servers[0]: expected a table, found a reference to a secret {ANNOTATE}"]),
        ({"named": ref()}, [f"named: expected a table, found a reference to a secret {ANNOTATE}"]),
        ({"several": ref()}, [f"several: expected a list, found a reference to a secret {ANNOTATE}"]),
        ({"anything": ref()}, [f"anything: expected a value, found a reference to a secret {ANNOTATE}"]),
        (
            {"anything": {"deep": [ref()]}},
            [f"anything.deep[0]: expected a value, found a reference to a secret {ANNOTATE}"],
        ),
        ({"table": {"a": ref()}}, [f"table.a: expected a value, found a reference to a secret {ANNOTATE}"]),
        ({"maybe": ref("othr")}, ["maybe: there is no 'othr' in [secrets] (did you mean other?)"]),
        ({"maybe": ref("zzz")}, ["maybe: there is no 'zzz' in [secrets] (there are: db, other)"]),
        (
            {"maybe": {"$secret": "db", "more": 1}, "several": [{"$secret": 5}]},
            [
                'maybe: a reference to a secret is { "$secret" = "name" }, and nothing more',
                'several[0]: a reference to a secret is { "$secret" = "name" }, and nothing more',
            ],
        ),
        ({"count": 0, "maybe": ref()}, ["count: 'count' must be > 0: 0"]),
        (
            {"unknown": 1},
            [
                "unknown: unknown key (there are: anything, colour, count, marked, maybe, named, pair, password and 6 more)"
            ],
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_at_its_place(more, says):
    """With what to do; and what is wrong beside a reference is said, too."""
    assert messages({"password": ref(), **more}) == says


def test_without_secrets_it_says_how_to_declare_one():
    """The next thing to type."""
    assert messages({"password": ref("db")}, secrets={}) == [
        "password: there is no 'db' in [secrets] (add it: [secrets] db = \"env:NAME\")"
    ]


def test_everything_is_said_at_once_with_its_line(tmp_path):
    """Names, sources, schemes and references, as they stand in the file."""
    file = tmp_path / "oneiric.toml"
    file.write_text(
        """\
[secrets]
db = "evn:DB"
"bad name" = "env:X"
bare = "canary-1f6e"
number = 5
ttl = 300
twice = "vault:x"

[adapters.settings.db.pg]
password = { "$secret" = "twic" }
count = { "$secret" = "db" }
"""
    )
    with pytest.raises(SettingsError) as first:
        load(file, environ={})
    file.write_text(
        "\n".join(
            line
            for line in file.read_text().splitlines()
            if not line.startswith(('"bad', "bare", "number", "ttl"))
        )
    )
    with pytest.raises(SettingsError) as second:
        load(file, environ={}).bind(
            (Domain("adapter", "adapters"),), (PG,), schemes=SCHEMES | {"vault": ["b-kit", "a-kit"]}
        )

    form = 'write it as "env:NAME", "file:/PATH" or "adapter:KEY#NAME"'
    said = [str(problem).removeprefix(f"{file}:") for problem in first.value.problems]
    assert said[0].startswith("3: secrets.\"bad name\": 'bad name' is not a name of a secret")
    assert said[1:] == [
        f"4: secrets.bare: expected SCHEME:WHERE, which is not shown here ({form})",
        f"5: secrets.number: expected SCHEME:WHERE, which is not shown here ({form})",
        "6: secrets.ttl: expected SCHEME:WHERE, which is not shown here (how long secrets are kept is [lifecycle] secret_ttl)",
    ]
    assert [str(problem).removeprefix(f"{file}:") for problem in second.value.problems] == [
        "2: secrets.db: nobody declares a secret source 'evn' (did you mean env?)",
        "3: secrets.twice: the plugins a-kit and b-kit both declare a secret source 'vault' (leave one of them out: -p no:a-kit)",
        "6: adapters.settings.db.pg.password: there is no 'twic' in [secrets] (did you mean twice?)",
        f"7: adapters.settings.db.pg.count: expected a whole number, found a reference to a secret {ANNOTATE}",
    ]


def test_a_scheme_that_an_absent_plugin_may_declare_is_a_warning():
    """As everything else that such a plugin may have declared."""
    settings = bound({"password": "x"}, secrets={"db": "vault:x"}, tolerate={"vault-kit": "off"})

    assert [str(problem) for problem in settings.warnings] == [
        "secrets.db: nobody declares a secret source 'vault' (there are: adapter, env, file; or it belongs to a plugin"
        " that is not there: vault-kit (off))"
    ]


# --- nobody sees what is not there yet -----------------------------------------------------------------------------


def test_validators_and_converters_do_not_run_on_what_was_not_fetched():
    """They run when it is there; those of other fields run at once, as far as they do not look at it."""
    ran = []

    def shorter(instance, field, value):
        ran.append((field.name, value))
        if field.name == "user" and len(value) > 3:
            raise ValueError("too long")

    def strip(secret):
        ran.append("converter")
        return Secret(secret.reveal().strip())

    def not_the_same(instance, field, value):
        ran.append("compared")
        if instance.password.reveal() == value:
            raise ValueError("the user is the password")

    @attrs.frozen
    class Strict:
        password: Secret = attrs.field(converter=strip, validator=shorter)
        user: str = attrs.field(default="me", validator=[shorter, not_the_same])

        def __attrs_post_init__(self):
            ran.append("made")

    strict = Candidate(DB, "pg", dict, settings_class=Strict)

    assert messages({"password": ref(), "user": "long"}, candidates=[strict]) == ["user: too long"]
    settings = bound({"password": ref(), "user": "abc"}, candidates=[strict])
    assert [each for each in ran if each not in [("user", "long"), ("user", "abc"), "compared"]] == []
    assert settings.of(strict, {"db": Secret(" x ")}).password == Secret("x")
    assert ran[-5:] == ["converter", ("password", Secret("x")), ("user", "abc"), "compared", "made"]
    with pytest.raises(SettingsError, match="the user is the password"):
        settings.of(strict, {"db": Secret("abc")})


def test_an_object_that_holds_what_was_not_fetched_is_not_made():
    """Nor what holds that; what holds none is."""
    made = []

    @attrs.frozen
    class Inner:
        password: Secret

        def __attrs_post_init__(self):
            made.append("inner")

    @attrs.frozen
    class Plain:
        size: int = 1

        def __attrs_post_init__(self):
            made.append("plain")

    @attrs.frozen
    class Outer:
        inner: Inner
        plain: Plain

        def __attrs_post_init__(self):
            made.append("outer")

    outer = Candidate(DB, "pg", dict, settings_class=Outer)
    settings = bound({"inner": {"password": ref()}, "plain": {"size": 2}}, candidates=[outer])

    assert made == ["plain"]
    settings.of(outer, {"db": Secret("x")})
    assert made[1:] == ["inner", "plain", "outer"]


# --- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [7316524, 73.5, True, ["canary-1f6e"], {"canary-1f6e": 1}, Path("canary-1f6e")]
)
def test_what_was_found_where_a_secret_belongs_is_not_shown(value):
    """It may be one that was written without quotes."""
    for kind in (Secret, Secret | None, Secret | bool | None):
        if value is True and kind == Secret | bool | None:
            continue
        with pytest.raises(SettingsError) as raised:
            structure(kind, value, "password")

        said = str(raised.value)
        if isinstance(value, Path):
            assert "canary" not in said
        assert not any(shown in said for shown in ("7316524", "73.5", "canary-1f6e", "rue,"))
        assert said.startswith("password: expected a secret")


def test_what_a_validator_says_is_shown_without_the_secret():
    """Validators like to quote what they refuse; in whatever form, and over the end of what is shown."""

    def quote(instance, field, value):
        text = value.reveal()
        raise ValueError(f"bad: {text} {text!r} {'.' * 170} {text}")

    @attrs.frozen
    class Quoting:
        password: Secret = attrs.field(validator=quote)

    quoting = Candidate(DB, "pg", dict, settings_class=Quoting)
    text = "canary 'with\"\nlines and \\ é"

    for settings, fetched in (
        (None, None),
        (bound({"password": ref()}, candidates=[quoting]), {"db": Secret(text)}),
    ):
        with pytest.raises(SettingsError) as raised:
            if settings is None:
                bound({"password": text}, candidates=[quoting])
            else:
                settings.of(quoting, fetched)
        said = str(raised.value)
        assert said.startswith("adapters.settings.db.pg.password: bad: *** '***'")
        assert "canary" not in said
        assert "lines" not in said


def test_an_error_brings_no_frames_with_tables(tmp_path):
    """Tools that show the locals of a traceback find none that hold what the file says."""
    file = tmp_path / "oneiric.toml"
    file.write_text(
        f'[adapters.settings.db.pg]\npassword = "{CANARY}"\ncount = "{CANARY[:0]}"\n[app]\nnam = "x"\n'
    )
    whole = tmp_path / "whole.toml"
    whole.write_text(f'[adapters.settings.db.pg]\npassword = "{CANARY}"\ncount = 0\n')

    def refuse(how):
        try:
            how()
        except SettingsError as error:
            chain, each = [], error
            while each is not None:
                chain.append(each)
                each = each.__cause__ or each.__context__
            return "".join(
                "".join(traceback.TracebackException.from_exception(each, capture_locals=True).format())
                for each in chain
            )
        raise AssertionError("not refused")

    loaded = load(whole, environ={})
    shown = refuse(lambda: load(file, environ={}))
    shown += refuse(lambda: loaded.bind((Domain("adapter", "adapters"),), (PG,)))
    assert CANARY not in shown
    assert CANARY not in repr(loaded)


def test_the_text_for_fingerprints_holds_no_secret():
    """Equal texts give equal ones, others others; and a reference counts with its source."""
    plain = [
        bound({"password": text, "named": {"a": text}}).written(DB, "pg")
        for text in (CANARY, CANARY, "x" * 11)
    ]
    sources = [
        bound({"password": ref()}, secrets={"db": source}).written(DB, "pg")
        for source in ("env:A", "env:A", "env:B")
    ]

    assert CANARY not in "".join(plain)
    assert (plain[0] == plain[1], plain[0] == plain[2]) == (True, False)
    assert sources == [
        '{"password" = {"$secret" = "db"}} {"db" = "env:A"}',
        '{"password" = {"$secret" = "db"}} {"db" = "env:A"}',
        '{"password" = {"$secret" = "db"}} {"db" = "env:B"}',
    ]


def test_it_is_known_which_places_are_secret():
    """For those who show settings: by path, references not, and of a table whose class nobody knows all of it."""
    table = {
        "password": CANARY,
        "maybe": ref(),
        "several": ["a", ref()],
        "named": {"a": "b"},
        "server": {"host": "h", "password": "p"},
        "servers": [{"host": "h", "password": "p"}],
        "pair": ["a", "b"],
        "token": "t",
        "marked": "m",
        "text": "t",
    }
    settings = load(
        {
            "secrets": {"db": "env:DB"},
            "adapters": {"settings": {"db": {"pg": table}, "gone": {"away": {"password": "x"}}}},
            "plugins": {"settings": {"known": {"password": "x", "text": "t"}, "unknown": {"text": "t"}}},
        },
        environ={},
    )
    before = settings.is_secret("adapters", "settings", "db", "pg", "text")
    settings = settings.bind(
        (Domain("adapter", "adapters"),),
        (PG,),
        plugins={"known": Settings, "unknown": None},
        tolerate={"away": "off"},
    )
    start = ("adapters", "settings", "db", "pg")

    def secret(*path):
        return settings.is_secret(*start, *path)

    assert before is True  # nobody has said yet what it is
    assert [
        secret("password"),
        secret("several", 0),
        secret("named", "a"),
        secret("server", "password"),
        secret("servers", 0, "password"),
        secret("pair", 1),
        secret("token"),
        secret("marked"),
    ] == [True] * 8
    assert [
        secret("maybe"),
        secret("several", 1),
        secret("server", "host"),
        secret("pair", 0),
        secret("text"),
        secret(),
    ] == [False] * 6
    assert settings.is_secret("adapters", "settings", "gone", "away", "password")
    assert settings.is_secret("plugins", "settings", "known", "password")
    assert not settings.is_secret("plugins", "settings", "known", "text")
    assert settings.is_secret("plugins", "settings", "unknown", "text")
    assert not settings.is_secret("app", "name")
    assert hidden(table, secret_places(table, Settings)) == {
        "password": "***",
        "maybe": ref(),
        "several": ["***", ref()],
        "named": {"a": "***"},
        "server": {"host": "h", "password": "***"},
        "servers": [{"host": "h", "password": "***"}],
        "pair": ["a", "***"],
        "token": "***",
        "marked": "***",
        "text": "t",
    }


# --- the environment, and elsewhere --------------------------------------------------------------------------------


def test_a_variable_may_set_a_secret():
    """As its text; in the place of a reference, too."""
    for written in ({"password": ref()}, {"password": "x"}, {}):
        settings = load(
            {"secrets": {"db": "env:DB"}, "adapters": {"settings": {"db": {"pg": written}}}},
            environ={
                "ONEIRIC__ADAPTERS__SETTINGS__DB__PG__PASSWORD": CANARY,
                "ONEIRIC__SECRETS__DB": "env:OTHER",
            },
        ).bind((Domain("adapter", "adapters"),), (PG,), schemes=SCHEMES)

        assert settings.of(PG).password.reveal() == CANARY
        assert settings.secrets == {"db": "env:OTHER"}
        assert CANARY not in repr(settings) + settings.written(DB, "pg")


def test_elsewhere_a_reference_means_nothing():
    """What plugins structure themselves has no [secrets]."""
    with pytest.raises(SettingsError) as raised:
        structure(Server, {"host": "h", "password": ref()}, "data")

    assert str(raised.value) == (
        "data.password: there is nothing here that a reference to a secret could mean (write a text)"
    )
    assert structure(Server, {"host": "h", "password": "x"}, "data").password == Secret("x")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.just(ref())
    | st.just({"$secret": 1}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$secret", "password", "host", "a", "x-b", *attrs.fields_dict(Settings)]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(attrs.fields_dict(Settings))), PLAIN, max_size=5))
def test_whatever_is_written_it_is_refused_or_read(table):
    """Checked and read agree: what passes the check is read when its secrets are there; nothing else is raised."""
    try:
        settings = bound({"password": ref(), **table})
    except SettingsError:
        return
    names = settings.references(PG)

    made = settings.of(PG, {name: Secret("fetched") for name in names})

    assert isinstance(made, Settings)
    assert set(names) <= {"db", "other"}


def test_a_domain_whose_tables_are_of_keys_has_secrets_too():
    """``[actions.settings."security.signature"] secret = ...``, as the tables of actions are."""
    sign = Candidate(Key("action", "security.signature"), "kit", dict, settings_class=Server)
    settings = load(
        {
            "secrets": {"db": "env:DB"},
            "actions": {
                "settings": {
                    "security.signature": {"host": "h", "password": CANARY},
                    "unknown": {"password": CANARY},
                }
            },
        },
        environ={},
    ).bind((Domain("action", "actions", settings_by="key"),), (sign,), tolerate={"away": "off"})
    start = ("actions", "settings", "security.signature")

    assert settings.is_secret(*start, "password")
    assert not settings.is_secret(*start, "host")
    assert settings.is_secret("actions", "settings", "unknown", "password")
    assert CANARY not in settings.written(sign.key, "kit")
    assert [each.reveal() for each in settings.texts()] == [CANARY]


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("a secret here", ["secret"], "a *** here"),
        ("secrets and secret", ["secret", "secrets"], "*** and ***"),
        ("abc and abcd", ["abc", "abcd"], "abc and ***"),
        ('{"it": "q\\"uote \\u00e9"}', ['q"uote é'], '{"it": "***"}'),
        ("'line\\nline two'", ["line\nline two"], "'***'"),
        ("found: line two", ["line\nline two"], "found: ***"),
        ("it was wrapped\n   here", ["was wrapped here"], "it ***"),
        ("three   spaces", ["three spaces"], "***"),
        (".* is no pattern, [a-z]+ is", ["[a-z]+"], ".* is no pattern, *** is"),
        ("nothing", [], "nothing"),
        ("nothing", ["", " ", "\n", "no"], "nothing"),
    ],
)
def test_known_secrets_are_masked(text, secrets, shown):
    """As they are, quoted, by line and wrapped; the longest first, and none that is too short to be told apart."""
    assert masked(text, secrets) == shown


@given(st.text(), st.lists(st.text(min_size=4), max_size=3))
def test_masking_takes_every_text(text, secrets):
    """And what it gives can be masked again."""
    once = masked(f"{text}{''.join(secrets)}{text}", secrets)

    assert isinstance(masked(once, secrets), str)
