"""``oneiric manifest``: what a publisher does, from keys to a stream that readers believe."""

import json
import shutil
import stat

import pytest

ENTRY = """
[[entries]]
domain = "adapter"
key = "cache"
provider = "{name}"
factory = "ep:{name}"
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """``once(name, folder, make)``: what *make* writes into *folder*, made once and copied afterwards."""
    kept = tmp_path_factory.mktemp("kept")

    def fill(name, folder, make):
        if not (kept / name).exists():
            make()
            shutil.copytree(folder.path, kept / name)
        else:
            shutil.copytree(kept / name, folder.path, dirs_exist_ok=True)

    return fill


@pytest.fixture
def shop(folder, once):
    """A folder with keys and entries."""

    def make():
        for name in ("root-a", "root-b", "rel-a", "rel-b", "stranger"):
            folder.run("manifest", "keygen", name, "--id", name)

    once("keys", folder, make)
    folder.write("entries.toml", ENTRY.format(name="fast"))
    return folder


@pytest.fixture
def signed(shop, once):
    """The same with a stream that is signed."""
    once("signed", shop, lambda: published(shop))
    return shop


def done(ended):
    """Its answer, where it was done."""
    assert ended.code == 0, ended.err
    return ended.json


def keyring(shop, *more):
    done(
        shop.run(
            *("manifest", "keyring", "init", "shop", "--root", "root-a.pub", "--release", "rel-a.pub"),
            *("--out", "s/keyrings/1.json", "--json", *more),
        )
    )
    return done(shop.run("manifest", "keyring", "sign", "s/keyrings/1.json", "--key", "root-a", "--json"))


def published(shop, *build):
    keyring(shop)
    done(shop.run("manifest", "build", "entries.toml", "--out", "s", "--json", *build))
    done(shop.run("manifest", "sign", "s", "--key", "rel-a", "--json"))
    return shop


def verify(shop, what="s", *more):
    return shop.run("manifest", "verify", what, "--keyring", "s/keyrings/1.json", *more, "--json")


def test_a_key_is_its_owners(folder):
    """The private file is readable by its owner alone, its content is never shown, and it is never overwritten."""
    made = folder.run("manifest", "keygen", "key", "--json")

    assert stat.S_IMODE((folder.path / "key").stat().st_mode) == 0o600
    assert made.json.keys() == {"schema", "keyid", "public", "private_file", "public_file", "warnings"}
    secret = (folder.path / "key").read_text()
    assert secret.splitlines()[1] not in made.out + made.err
    again = folder.run("manifest", "keygen", "key")
    assert (again.code, (folder.path / "key").read_text()) == (4, secret)
    (folder.path / "key.pub").unlink()
    assert folder.run("manifest", "keygen", "key").code == 4
    assert (folder.path / "key").read_text() == secret


def test_a_passphrase_is_never_shown(shop):
    """It is taken from the environment; without it, or with another one, nothing is signed."""
    shop.run("manifest", "keygen", "locked", "--passphrase-env", "PASS", PASS="correct horse")
    shop.run(
        *(
            "manifest",
            "keyring",
            "init",
            "shop",
            "--root",
            "locked.pub",
            "--release",
            "rel-a.pub",
            "--out",
            "k.json",
        )
    )
    sign = ("manifest", "keyring", "sign", "k.json", "--key", "locked", "--passphrase-env", "PASS")
    wrong, good = shop.run(*sign, PASS="incorrect mule"), shop.run(*sign, PASS="correct horse")

    assert (wrong.code, good.code) == (7, 0)
    assert "is no private key (PEM) with that passphrase" in wrong.err
    for said in (wrong.out, wrong.err, good.out, good.err):
        assert "horse" not in said
        assert "mule" not in said
    assert shop.run(*sign, PASS="").code == 2
    assert b"correct" not in (shop.path / "locked").read_bytes()


def test_from_keys_to_readers(signed):
    """What `sign` writes, `verify` accepts: as a folder, as a copy of it, and as a bundle."""
    done(signed.run("manifest", "publish", "s", "public", "--json"))
    done(signed.run("manifest", "bundle", "s", "shop.bundle", "--json"))
    found = [done(verify(signed, what)) for what in ("s", "public", "shop.bundle")]

    assert found[0] == found[1] == found[2]
    assert {name: found[0][name] for name in ("stream", "epoch", "version", "signed_by", "entries")} == {
        "stream": "shop",
        "epoch": 1,
        "version": 1,
        "signed_by": ["rel-a"],
        "entries": 1,
    }


def test_a_threshold_is_signed_one_by_one(shop):
    """Each signer adds a signature to the same bytes; before there are enough, nobody believes it."""
    keyring(shop, "--release", "rel-b.pub", "--release-threshold", "2")
    done(shop.run("manifest", "build", "entries.toml", "--out", "s", "--json"))
    first = done(shop.run("manifest", "sign", "s", "--key", "rel-a", "--json"))
    early = verify(shop)
    publish = shop.run("manifest", "publish", "s", "public", "--json")
    second = done(shop.run("manifest", "sign", "s", "--key", "rel-b", "--json"))

    assert (first["signed"], first["threshold"], second["signed"]) == (["rel-a"], 2, ["rel-a", "rel-b"])
    assert (early.code, publish.code, (shop.path / "public").exists()) == (7, 7, False)
    assert done(verify(shop))["signed_by"] == ["rel-a", "rel-b"]


def test_a_stranger_signs_nothing(shop):
    """A key that the keyring does not name is refused before anything is written."""
    keyring(shop)
    done(shop.run("manifest", "build", "entries.toml", "--out", "s", "--json"))
    ended = shop.run("manifest", "sign", "s", "--key", "stranger")

    assert (ended.code, (shop.path / "s/head.json").exists()) == (7, False)
    assert ended.err.splitlines()[0].endswith("the key of stranger may not sign releases")
    assert shop.run("manifest", "keyring", "sign", "s/keyrings/1.json", "--key", "stranger").code == 7


def test_tampering_is_noticed(signed):
    """A body that is another one, and a head that is."""
    [body] = (signed.path / "s/manifests").iterdir()
    good = body.read_bytes()
    body.write_bytes(good.replace(b"fast", b"evil"))
    assert verify(signed).code == 7
    body.write_bytes(good + b"\n")
    assert verify(signed).code in (7, 8)
    body.write_bytes(good)
    assert verify(signed).code == 0
    head = json.loads((signed.path / "s/head.json").read_text())
    head["signatures"] = []
    (signed.path / "s/head.json").write_text(json.dumps(head))
    ended = verify(signed)
    assert (ended.code, ended.error["message"]) == (7, "the head is not signed")


def test_keys_change(signed):
    """The next keyring is signed by the root before and by its own; then the new key signs, and the old one does not."""
    rotate = (
        *(
            "manifest",
            "keyring",
            "rotate",
            "s/keyrings/1.json",
            "--add-root",
            "root-b.pub",
            "--remove",
            "root-a",
        ),
        *("--add-release", "rel-b.pub", "--remove", "rel-a", "--out", "s/keyrings/2.json", "--json"),
    )
    assert done(signed.run(*rotate))["version"] == 2
    sign = ("manifest", "keyring", "sign", "s/keyrings/2.json", "--json", "--key")
    half = done(signed.run(*sign, "root-b"))
    assert (half["signed"], half["signed_before"], half["threshold_before"]) == (["root-b"], [], 1)
    assert verify(signed).code == 7
    both = done(signed.run(*sign, "root-a"))
    assert (both["signed"], both["signed_before"]) == (["root-b"], ["root-a"])
    assert verify(signed).code == 7  # the head is signed by a key that was removed

    assert signed.run("manifest", "sign", "s", "--renew", "--key", "rel-a").code == 7
    done(signed.run("manifest", "sign", "s", "--renew", "--key", "rel-b", "--json"))
    assert {name: done(verify(signed))[name] for name in ("keyring", "signed_by")} == {
        "keyring": 2,
        "signed_by": ["rel-b"],
    }


def test_a_version_is_signed_once(signed):
    """The next build has the next version; another body of one that was signed is refused, and so is going back."""
    signed.write("entries.toml", ENTRY.format(name="faster"))
    assert done(signed.run("manifest", "build", "entries.toml", "--out", "s", "--json"))["version"] == 2
    done(signed.run("manifest", "build", "entries.toml", "--out", "s", "--version", "1", "--json"))
    other = signed.run("manifest", "sign", "s", "--key", "rel-a")
    assert (other.code, "was signed already, of another body" in other.err) == (4, True)

    done(signed.run("manifest", "build", "entries.toml", "--out", "s", "--json"))
    done(signed.run("manifest", "publish", "s", "old", "--json"))
    done(signed.run("manifest", "sign", "s", "--key", "rel-a", "--json"))
    done(signed.run("manifest", "publish", "s", "public", "--json"))
    back = signed.run("manifest", "publish", "old", "public")
    assert (back.code, "it never goes back" in back.err) == (4, True)
    assert done(verify(signed, "public"))["version"] == 2


def test_publishing_again_writes_nothing(signed):
    """And keeps what is there as it is."""
    first = done(signed.run("manifest", "publish", "s", "public", "--json"))["written"]
    assert first[-1] == "head.json"
    assert done(signed.run("manifest", "publish", "s", "public", "--json"))["written"] == []


@pytest.mark.parametrize("source", ["toml", "json", "jsonl"])
def test_entries_come_in_three_forms(shop, source):
    """And make the same body, sorted, whatever their order."""
    entries = [
        {"domain": "adapter", "key": "cache", "provider": name, "factory": f"ep:{name}"}
        for name in ("b", "a")
    ]
    text = {
        "toml": "".join(ENTRY.format(name=each["provider"]) for each in entries),
        "json": json.dumps(entries),
        "jsonl": "".join(json.dumps(each) + "\n" for each in entries),
    }[source]
    if source == "toml":
        text = text.replace('key = "cache"\n', 'key = "cache"\n')
    shop.write(f"given.{source}", text)
    made = done(shop.run("manifest", "build", f"given.{source}", "--stream", "shop", "--out", "s", "--json"))
    lines = [json.loads(line) for line in (shop.path / made["body"]).read_text().splitlines()]

    assert lines[0] == {"spec": "1", "stream": "shop", "version": 1, "count": 2}
    assert lines[1:] == entries[::-1]


def test_an_artifact_is_hashed_and_copied(shop):
    """Named in the entry, or on the command line; `publish` brings it along, and a damaged one is noticed."""
    shop.write("model.bin", "model")
    published(shop, "--artifact", "adapter:cache:fast=model.bin")
    [artifact] = (shop.path / "s/artifacts").iterdir()
    assert artifact.read_text() == "model"
    assert done(verify(shop))["artifacts"] == 1
    done(shop.run("manifest", "publish", "s", "public", "--json"))
    assert (shop.path / "public/artifacts" / artifact.name).read_text() == "model"
    artifact.write_text("MODEL")
    assert verify(shop).code == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entries = 1", "has no list of entries"),
        ("[[entry]]", "'entry' is not known"),
        ("[[entries]", "is no TOML"),
        (ENTRY.format(name="a") * 2, "is given twice"),
        (ENTRY.format(name="a") + "when = 2020-01-01", "what JSON does not"),
        (ENTRY.format(name="A"), "provider"),
        (ENTRY.format(name="a") + 'more = "x"', "more"),
        (ENTRY.format(name="a") + 'artifact = "nothing"', "nothing"),
    ],
)
def test_entries_that_nobody_would_read(shop, text, said):
    """Are told in a few lines, and nothing is written."""
    shop.write("entries.toml", text)
    ended = shop.run("manifest", "build", "entries.toml", "--stream", "shop", "--out", "s")

    assert ended.code in (3, 7)
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 3
    assert not (shop.path / "s").exists()


def test_what_is_between_two_bodies(signed):
    """Which entries were added, changed and removed."""
    done(signed.run("manifest", "bundle", "s", "one", "--json"))
    signed.write("entries.toml", ENTRY.format(name="fast") + "priority = 3\n" + ENTRY.format(name="new"))
    done(signed.run("manifest", "build", "entries.toml", "--out", "s", "--json"))
    done(signed.run("manifest", "sign", "s", "--key", "rel-a", "--json"))
    found = done(signed.run("manifest", "diff", "one", "s", "--json"))["changes"]

    assert [(each["change"], each["provider"]) for each in found] == [("changed", "fast"), ("added", "new")]
    assert signed.run("manifest", "diff", "s", "s").out == "no entry differs\n"


@pytest.mark.parametrize("what", ["s", "s/head.json", "s/keyrings/1.json", "shop.bundle"])
def test_what_there_is_can_be_looked_at(signed, what):
    """A folder, a head, a keyring, a bundle: without a key, and without believing any of it."""
    done(signed.run("manifest", "bundle", "s", "shop.bundle", "--json"))
    found = done(signed.run("manifest", "inspect", what, "--json"))

    assert found["stream"] == "shop"
    assert found["signatures"] == (["root-a"] if "keyrings" in what else ["rel-a"])
    people = signed.run("manifest", "inspect", what)
    assert (people.code, max(map(len, people.out.splitlines())) <= 100) == (0, True)


def test_a_key_is_distrusted_here(signed):
    """By its id in the keyring of the settings; a name that nobody knows is said to be wrong."""
    signed.write("oneiric.toml", '[remote.shop]\nurl = "file:///nowhere"\nkeyring = "s/keyrings/1.json"\n')
    words, place = (
        ("manifest", "distrust", "--stream", "shop", "--json"),
        {"ONEIRIC_STATE_DIR": str(signed.path / "state")},
    )
    dry = signed.run(*words, "rel-a", "--dry-run", **place)
    first, again = (done(signed.run(*words, "rel-a", **place)) for _ in range(2))
    undone = done(signed.run(*words, "rel-a", "--undo", **place))
    slip = signed.run(*words, "rel-b", **place)

    assert dry.code == 10
    assert [(each["changed"], each["distrusted"]) for each in (first, again, undone)] == [
        (True, 1),
        (False, 1),
        (True, 0),
    ]
    assert (slip.code, "did you mean 'rel-a'?" in slip.err) == (3, True)
    assert signed.run("manifest", "distrust", "rel-a", "--stream", "shpo", **place).code == 5


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("verify nowhere --keyring s/keyrings/1.json", 3),
        ("verify s --keyring nowhere", 3),
        ("verify s --keyring s/head.json", 7),
        ("verify s --keyring s/keyrings/1.json --stream other", 7),
        ("verify gopher://nowhere --keyring s/keyrings/1.json", 5),
        ("sign s --key nowhere", 3),
        ("sign s --key entries.toml", 7),
        ("sign nowhere --key rel-a", 3),
        ("sign s --key rel-a --issued yesterday", 2),
        ("sign s --key rel-a --expires 0", 2),
        ("inspect nowhere", 3),
        ("inspect .", 3),
        ("inspect entries.toml", 7),
        ("diff s nowhere", 3),
        ("keyring sign s/head.json --key root-a", 7),
        ("keyring rotate s/keyrings/1.json --remove nobody --out k.json", 7),
        ("keyring rotate s/keyrings/1.json --remove root-a --out k.json", 7),
        ("keyring init shop --root root-a.pub --release rel-a.pub --root-threshold 2 --out k.json", 7),
        ("keyring init shop --root root-a.pub --release rel-a.pub --out s/keyrings/1.json", 4),
        ("keygen x --id Not_A_Name!", 7),
        ("keygen nowhere/../x --passphrase-env UNSET", 2),
        ("publish s entries.toml", 4),
    ],
)
def test_slips_are_told_in_a_few_lines(signed, words, code):
    """With the exit code of what went wrong, and without a traceback."""
    ended = signed.run("manifest", *words.split())

    assert (ended.code, ended.out) == (code, ""), ended.err
    if code != 2:
        assert 1 <= len(ended.err.splitlines()) <= 3, ended.err


@pytest.fixture
def reader(shop, monkeypatch):
    """An application that reads the stream from a folder, and what its sync says."""
    shop.write("shopkit.py", "class Fast:\n    pass\n\n\nasync def create():\n    return Fast()\n")
    shop.write("entries.toml", ENTRY.format(name="fast").replace("ep:fast", "shopkit:create"))
    published(shop)
    done(shop.run("manifest", "publish", "s", "public", "--json"))
    shop.write(
        "oneiric.toml",
        f'[remote.shop]\nurl = "file://{shop.path}/public/"\nkeyring = "s/keyrings/1.json"\nfactories = ["shopkit"]\n',
    )
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(shop.path / "state"))

    def sync():
        [row] = shop.run("remote-sync", "--json").json["streams"]
        return row["outcome"], row["code"]

    return sync


def test_an_application_takes_what_was_published(shop, reader):
    """From a settings file and a folder, and again when nothing has changed; `verify` agrees about the address."""
    assert [reader(), reader()] == [("applied", None), ("unchanged", None)]
    assert done(verify(shop, f"file://{shop.path}/public/")) == done(verify(shop))


def test_an_application_follows_new_keys(shop, reader):
    """The keyring of its settings stays the first; a key that was removed counts no more."""
    assert reader() == ("applied", None)
    done(
        shop.run(
            *("manifest", "keyring", "rotate", "s/keyrings/1.json", "--add-release", "rel-b.pub"),
            *("--remove", "rel-a", "--out", "s/keyrings/2.json", "--json"),
        )
    )
    done(shop.run("manifest", "keyring", "sign", "s/keyrings/2.json", "--key", "root-a", "--json"))
    done(shop.run("manifest", "build", "entries.toml", "--out", "s", "--json"))
    done(shop.run("manifest", "sign", "s", "--key", "rel-a", "--keyring", "s/keyrings/1.json", "--json"))
    shutil.copytree(shop.path / "s", shop.path / "public", dirs_exist_ok=True)
    assert reader() == ("rejected", "signature")
    done(shop.run("manifest", "sign", "s", "--key", "rel-b", "--renew", "--json"))
    done(shop.run("manifest", "publish", "s", "public", "--json"))
    assert reader() == ("applied", None)


def test_an_application_distrusts_at_once(shop, reader):
    """What its machine distrusts is not believed at the next sync, though nothing has changed."""
    assert reader() == ("applied", None)
    done(shop.run("manifest", "distrust", "rel-a", "--stream", "shop", "--json"))
    assert reader() == ("rejected", "key")
    done(shop.run("manifest", "distrust", "rel-a", "--stream", "shop", "--undo", "--json"))
    assert reader()[0] != "rejected"
