"""``oneiric secrets list``: what is known of secrets, and with ``--check`` whether they can be had."""

from textwrap import dedent

TOML = """\
    [app]
    plugins = ["shop"]

    [secrets]
    db = "env:DB_PASSWORD"
    mail = "file:/nowhere/mail"
    unused = "adapter:vault#x"

    [adapters.settings.db.pg]
    password = { "$secret" = "db" }
    others = [{ "$secret" = "mail" }, "plain", { "$secret" = "db" }]
"""

SETTINGS = """
    @attrs.frozen
    class Settings:
        password: Secret
        others: list[Secret] = attrs.field(factory=list)

    def never(*, settings: Settings):
        raise SystemExit("built")
"""


def project(folder):
    folder.write("oneiric.toml", TOML)
    folder.plugin(
        "shop",
        'Candidate(Key.of("adapter", "db"), "pg", never, settings_class=Settings)',
        before="from oneiric_hookspecs import Secret\n" + dedent(SETTINGS),
    )


def test_it_says_where_each_comes_from_and_what_wants_it(folder):
    """Nothing is fetched, and it does not matter whether it could be."""
    project(folder)

    ended = folder.run("secrets", "list")

    assert (ended.code, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()] == [
        ["NAME", "SOURCE", "WHERE", "USED", "BY"],
        ["db", "env:DB_PASSWORD", "oneiric.toml:5", "adapters.settings.db.pg.password", "and", "1", "more"],
        ["mail", "file:/nowhere/mail", "oneiric.toml:6", "adapters.settings.db.pg.others[0]"],
        ["unused", "adapter:vault#x", "oneiric.toml:7", "(nobody)"],
    ]


def test_for_machines_there_is_all_of_it(folder):
    """Whole paths, and no state where nobody has looked."""
    project(folder)

    found = folder.run("secrets", "list", "--json").json

    assert (found["schema"], len(found["secrets"])) == ("oneiric/secrets/1", 3)
    first = found["secrets"][0]
    assert first.pop("where").endswith("oneiric.toml:5")
    assert first == {
        "name": "db",
        "source": "env:DB_PASSWORD",
        "plugin": "secrets.env",
        "used_by": ["adapters.settings.db.pg.password", "adapters.settings.db.pg.others[2]"],
        "state": None,
        "reason": None,
    }


def test_check_fetches_each_and_exits_with_6_if_one_cannot_be_had(folder):
    """The settings are right; what they count on is not there.  It builds no part but the stores of secrets."""
    project(folder)

    ended = folder.run("secrets", "list", "--check", "-q", DB_PASSWORD="canary")

    assert ended.code == 6
    assert [line.split()[:3] for line in ended.out.splitlines()[:4]] == [
        ["NAME", "STATE", "SOURCE"],
        ["db", "ok", "env:DB_PASSWORD"],
        ["mail", "missing", "file:/nowhere/mail"],
        ["unused", "missing", "adapter:vault#x"],
    ]
    assert ended.out.splitlines()[4:] == [
        "mail: file has no '/nowhere/mail'",
        "unused: no candidate fills adapter:vault",
    ]
    assert "canary" not in ended.out + ended.err


def test_check_exits_with_0_where_all_can_be_had(folder):
    """For machines, too."""
    folder.write("oneiric.toml", '[secrets]\ndb = "env:DB_PASSWORD"\n')

    plain = folder.run("secrets", "list", "--check", DB_PASSWORD="canary")
    ended = folder.run("secrets", "list", "--check", "--json", DB_PASSWORD="canary")

    assert (plain.code, ended.code) == (0, 0)
    assert [(each["name"], each["state"], each["reason"]) for each in ended.json["secrets"]] == [
        ("db", "ok", None)
    ]


def test_without_secrets_it_says_so(folder):
    """And how that would look."""
    ended = folder.run("secrets", "list")

    assert (ended.code, ended.out) == (0, "[secrets] names none\n")


def test_what_is_wrong_with_the_settings_comes_first(folder):
    """With exit code 5, and not as a secret that is missing."""
    folder.write("oneiric.toml", '[secrets]\ndb = "evn:DB_PASSWORD"\nmail = "canary"\n')

    ended = folder.run("secrets", "list", "--check")

    assert ended.code == 5
    assert "evn" in ended.err
    assert "canary" not in ended.out + ended.err


def test_another_source_of_a_secret_is_planned(folder):
    """It changes what a part would be built from."""
    project(folder)
    folder.write("new.toml", TOML.replace("env:DB_PASSWORD", "env:OTHER"))

    ended = folder.run("plan", "new.toml", "-q")

    assert ended.code == 10
    assert [line.split() for line in ended.out.splitlines()] == [
        ["DOMAIN", "KEY", "NOW", "THEN", "WHY"],
        ["adapter", "db", "pg", "pg", "its", "settings", "are", "others"],
        ["[secrets]", "differs:", "when", "something", "is", "built", "from", "one", "the", "next", "time"],
    ]
