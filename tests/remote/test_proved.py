"""What is made without asking again is what would have been made with asking."""

import copy
import gc
import json
import pickle
import weakref

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Entry, Key, Malformed
from stream_publisher import entry

from oneiric.remote.fields import _DEFAULTS, LineReader
from oneiric.remote.proved import candidate_maker, entry_maker
from oneiric.remote.quiet import no_collection

SHA = "a" * 64
PLAIN = {"domain": "adapter", "key": "cache", "provider": "redis", "factory": "ep:redis"}
#: Of each field, what is right, and what is nearly right.
VALUES = {
    "domain": ["adapter", "service", "Adapter", "", None, 1],
    "key": ["cache", "a.b-c_d", "a__b", "", None, ["cache"], {}],
    "provider": ["redis", "REDIS", None, {}],
    "factory": ["ep:redis", "pkg.mod:attr", "os", "pkg:", "ep:é", None, []],
    "version": ["", "1.2", "1.2.post1", "one", " 1", None, 1, 1.0, []],
    "priority": [0, 5, -5, True, 1.0, "1", None, 2**53, 2**53 - 1],
    "stack_level": [0, 5, -1, False, 0.0, "", None, [], -(2**53)],
    "settings": [{}, {"a": [1, {"$secret": "x"}]}, {"$secret": "x"}, {"a": {"$secret": 1}}, None, [], 0],
    "needs": [[], ["adapter:a"], ["a"], ["adapter:a", "adapter:a"], None, "adapter:a", {}, [[]]],
    "distributions": [[], ["redis>=5"], ["redis @ file:///x"], [1], None, ""],
    "python": ["", ">=3.11", "3", None, 0, False, []],
    "platforms": [[], ["linux"], ["Linux"], ["linux", "linux"], None, ""],
    "capabilities": [
        [],
        ["ttl"],
        ["ttl", "scan"],
        ["ttl", "ttl"],
        [""],
        [True],
        [[]],
        ["\n"],
        ["a"] * 65,
        None,
        "ttl",
        {},
    ],
    "conflicts": [[], ["memory"], ["M"], None, ""],
    "artifact": [None, {"sha256": SHA, "size": 3, "path": "a/x", "media_type": "t/p"}, {}, [], "x", 0],
    "timeout": [None, 1, 0.5, 0, -1, True, "1", 2**53],
    "retry": [None, {}, {"attempts": 2, "on": ["TimeoutError"]}, {"attempts": True}, {"n": 1}, [], 0],
    "data": [None, {}, [1, 2.5], 2**53, {"$secret": "x"}, "x", True],
    "owner": ["", "team", "a\nb", "x" * 256, "x" * 257, None, 1, []],
    "license": ["", "MIT", "a\tb", "x" * 257, None, False],
    "docs": ["", "https://example.org", "x" * 512, "x" * 513, None, {}],
    "enabled": [True, False, 1, 0, None, "true"],
    "labels": [{}, {"tier": "gold", "n": 1}, {"$secret": "x"}, {"n": 2**53}, {"x": "y" * 5000}, None, []],
    "other": [None, 1],
}


@st.composite
def tables(draw):
    """The fields of an entry: mostly right, in any order."""
    names = draw(st.lists(st.sampled_from([*VALUES]), unique=True, max_size=8))
    found = {name: draw(st.sampled_from(VALUES[name])) for name in names}
    for name in draw(st.sets(st.sampled_from([*PLAIN]), max_size=4)) if names[4:] else PLAIN:
        found.setdefault(name, PLAIN[name])
    return found


def outcome(read, table):
    """What comes of a line, told so that 1 is another thing than 1.0 or true."""
    line = json.dumps(table, ensure_ascii=False).encode()
    try:
        return repr(read(line))
    except Malformed as error:
        return str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in VALUES for value in VALUES[name]],
    ids=range(sum(map(len, VALUES.values()))),
)
@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_a_field_is_read_quickly_as_it_is_carefully(lenient, name, value):
    """Whether a field holds is one question, whichever way it is asked."""
    reader, careful = LineReader(lenient), LineReader(lenient)
    table = {**PLAIN, name: value}
    assert outcome(lambda line: reader(line, 2), table) == outcome(
        lambda line: careful._carefully(json.loads(line), line, 2), table
    )


@settings(deadline=None, max_examples=400)
@given(st.lists(tables(), max_size=4), st.booleans())
def test_lines_are_read_quickly_as_they_are_carefully(lines, lenient):
    """Whatever one reader has seen before, it reads or refuses the next line as one that asks everything anew."""
    reader = LineReader(lenient)
    for table in lines:
        assert outcome(lambda line: reader(line, 2), table) == outcome(
            lambda line: LineReader(lenient)._carefully(json.loads(line), line, 2), table
        )


LINES = {
    "a value": (b"%s", True),
    "room around it": (b" \t%s\t ", True),
    "a mark behind it": (b"%s,", False),
    "a letter behind it": (b"%sx", False),
    "another behind it": (b"%s {}", False),
    "nothing": (b"", False),
    "room alone": (b" ", False),
    "a mark before it": (b"\xef\xbb\xbf%s", False),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_one_value(name):
    """Room may be around it; anything else may not."""
    form, holds = LINES[name]
    line = form.replace(b"%s", json.dumps(PLAIN).encode())
    if holds:
        assert LineReader(False)(line, 2)[1] == Entry(**PLAIN)
    else:
        with pytest.raises(Malformed, match="line 2: the line is not well formed"):
            LineReader(False)(line, 2)


def test_no_entry_shares_a_table():
    """What is not given is each entry's own."""
    read = LineReader(False)
    made = [read(json.dumps({**PLAIN, "key": key}).encode(), 2)[1] for key in "ab"]
    assert (made[0].settings, made[0].labels) == ({}, {})
    assert made[0].settings is not made[1].settings
    assert made[0].labels is not made[1].labels


def test_every_field_has_its_default():
    """The fields that are gone through are those of an entry, in its order, with its defaults."""
    assert list(_DEFAULTS) == [field.name for field in attrs.fields(Entry)]
    given = {name: value for name, value in _DEFAULTS.items() if name not in PLAIN}
    assert Entry(**PLAIN, **given) == Entry(**PLAIN)


CANDIDATE = {
    "key": Key.of("adapter", "cache"),
    "provider": "redis",
    "factory": "ep:redis",
    "priority": 5,
    "stack_level": 1,
    "version": "1.0",
    "capabilities": frozenset({"ttl"}),
    "distributions": ("redis>=5",),
    "platforms": frozenset({"linux"}),
    "metadata": {"owner": "team"},
}
ENTRY = {field.name: f"the {field.name}" for field in attrs.fields(Entry)}
MADE = {
    "candidate": (Candidate, candidate_maker, CANDIDATE),
    "entry": (Entry, entry_maker, ENTRY),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_is_what_the_class_makes(name):
    """In every field, in class, text, copies, and in being frozen."""
    cls, maker, fields = MADE[name]
    made, asked = maker()(*fields.values()), cls(**fields)
    assert type(made) is cls
    assert attrs.asdict(made, recurse=False) == attrs.asdict(asked, recurse=False)
    assert (made, repr(made), copy.copy(made)) == (asked, repr(asked), asked)
    assert pickle.loads(pickle.dumps(made)) == asked
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.key = "another"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.key


def test_a_candidate_hashes_as_one():
    """Sets hold either for the other."""
    assert len({candidate_maker()(*CANDIDATE.values()), Candidate(**CANDIDATE)}) == 1


def test_an_entry_may_be_referred_to_weakly():
    """As one that the class made."""
    made = entry_maker()(*ENTRY.values())
    assert weakref.ref(made)() is made


def test_candidates_of_a_stream_are_what_their_class_would_make(project):
    """The first of a kind is asked everything, the others are not; all of them hold what is asked."""
    rows = [
        entry("adapter", f"part-{number}", "a", "stream_kit:plain", **more)
        for number, more in enumerate(
            [
                {},
                {},
                {"version": "1.0", "priority": 3, "stack_level": 2, "capabilities": ["ttl"]},
                {"platforms": ["linux", "darwin", "win32"], "distributions": ["pluggy"]},
                {"owner": "team", "license": "MIT", "docs": "https://example.org", "labels": {"a": 1}},
            ]
        )
    ]
    project.publisher.publish(*rows)
    runtime = project.runtime()
    assert project.synced(runtime).outcome == "applied"
    snapshot = runtime.registry.snapshot
    found = [record.candidate for row in rows for record in snapshot.records(Key("adapter", row["key"]))]
    assert len(found) == len(rows)
    for candidate in found:
        again = attrs.evolve(candidate)  # by the class itself
        assert attrs.asdict(candidate, recurse=False) == attrs.asdict(again, recurse=False)
        assert [type(value) for value in attrs.astuple(candidate, recurse=False)] == [
            type(value) for value in attrs.astuple(again, recurse=False)
        ]


def test_the_collector_wakes_to_nothing():
    """What was made while it rested is not the first thing that it looks at."""
    gc.collect()
    with no_collection():
        many = [[] for _ in range(100_000)]
    young = len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1))
    assert young < 10_000 < len(many)


def test_what_the_application_froze_stays_frozen():
    """A collector that was told to leave things alone goes on leaving them alone."""
    gc.collect()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with no_collection():
            pass
        assert 1_000 < frozen <= gc.get_freeze_count() + 100
    finally:
        gc.unfreeze()
