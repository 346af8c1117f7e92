"""The body of a release: what is read, what is not, and which line is named."""

import gc
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Entry, Malformed

from oneiric.remote.decoding import decode, read_lines

SHA = "a" * 64
PLAIN = {"domain": "adapter", "key": "cache", "provider": "redis", "factory": "ep:redis"}
FULL = {
    **PLAIN,
    "version": "2.1.0",
    "priority": 5,
    "stack_level": -1,
    "settings": {"url": "redis://x/0", "password": {"$secret": "redis"}, "sizes": [1, 2.5, None, True]},
    "needs": ["adapter:database"],
    "distributions": ["redis>=5 ; python_version >= '3.8'"],
    "python": ">=3.11",
    "platforms": ["linux", "darwin"],
    "capabilities": ["ttl"],
    "conflicts": ["memory"],
    "artifact": {"sha256": SHA, "size": 3, "path": "artifacts/x", "media_type": "text/plain"},
    "timeout": 3,
    "retry": {"attempts": 2, "on": ["TimeoutError"]},
    "data": {"topics": ["a.b"]},
    "owner": "team",
    "license": "MIT",
    "docs": "https://example.org",
    "enabled": False,
    "labels": {"tier": "gold", "n": 1},
}


def body(*entries, head=None, **more):
    """A body of *entries*, each a table or its bytes."""
    first = (
        {"spec": "1", "stream": "prod", "version": 3, "count": len(entries), **more} if head is None else head
    )
    lines = [first, *entries]
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def numbered(number, **more):
    return {**PLAIN, "key": f"part-{number:04}", **more}


def refused(data, **more):
    """The line and the text of the error."""
    with pytest.raises(Malformed) as caught:
        decode(data, **more)
    assert caught.value.code == "malformed"
    return caught.value.line, str(caught.value)


def test_every_field_is_read():
    """An entry with every field comes out as it was written, in the types of the contract."""
    manifest = decode(body(FULL), sha256="x").manifest
    (entry,) = manifest.entries.values()
    expected = {
        **FULL,
        "needs": ("adapter:database",),
        "distributions": tuple(FULL["distributions"]),
        "platforms": ("linux", "darwin"),
        "capabilities": ("ttl",),
        "conflicts": ("memory",),
        "timeout": 3.0,
    }
    artifact = expected.pop("artifact")
    found = {name: getattr(entry, name) for name in expected}
    assert found == expected
    assert (entry.artifact.sha256, entry.artifact.size, entry.artifact.path) == (SHA, 3, artifact["path"])
    assert (manifest.stream, manifest.version, manifest.sha256) == ("prod", 3, "x")
    assert dict(manifest.lines) == {entry.identity: 2}


def test_what_is_not_written_has_its_default():
    """An entry of four fields is complete."""
    assert decode(body(PLAIN)).manifest.entries == {
        ("adapter", "cache", "redis", ""): Entry("adapter", "cache", "redis", "ep:redis")
    }


def test_a_body_may_be_empty():
    """No entries is a body; whether it may be applied is for others to say."""
    assert decode(body()).manifest.entries == {}


def test_the_last_line_feed_may_be_missing():
    """Whoever writes JSON Lines decides that; what is read is the same."""
    whole = body(PLAIN)

    assert decode(whole[:-1]).manifest.entries == decode(whole).manifest.entries
    assert decode(body()[:-1]).manifest.entries == {}


BODIES = {
    "nothing": (b"", 1),
    "a mark": (b"\xef\xbb\xbf" + body(), 1),
    "utf-16": (body().decode().encode("utf-16"), 1),
    "another spec": (body(spec="2"), 1),
    "a number for the spec": (body(spec=1), 1),
    "true for the version": (body(version=True), 1),
    "1.0 for the version": (body(version=1.0), 1),
    "version 0": (body(version=0), 1),
    "a version too great": (
        body(head=b'{"spec":"1","stream":"prod","version":9007199254740992,"count":0}'),
        1,
    ),
    "a stream that is no name": (body(stream="Prod"), 1),
    "one field more": (body(more=1), 1),
    "a first line that is a list": (body(head=b"[]"), 1),
    "too few": (body(PLAIN, count=2), 1),
    "too many": (body(PLAIN, numbered(1), count=1), 1),
    "no room": (b'{"spec":"1","stream":"prod","version":1,"count":40}\n' + b"\n" * 40, 1),
    "a carriage return": (body(numbered(1), json.dumps(numbered(2)).encode() + b"\r"), 3),
    "an empty line": (body(numbered(1), b"", numbered(3)), 3),
    "two in a line": (body(numbered(1), json.dumps(PLAIN).encode() + json.dumps(PLAIN).encode()), 3),
    "not utf-8": (body(numbered(1), b'{"domain":"\xff"' + b" " * 60 + b"}"), 3),
    "a lone surrogate": (body(numbered(1, owner="\ud800")), 2),
    "a lone surrogate in free data": (body(numbered(1, labels={"a": "\ud800"})), 2),
    "a surrogate in bytes": (body(b'{"owner":"\xed\xa0\x80"' + b" " * 60 + b"}"), 2),
    "a name twice": (body(json.dumps(PLAIN).encode()[:-1] + b',"key":"other"}'), 2),
    "a name twice, further in": (body(json.dumps(PLAIN).encode()[:-1] + b',"labels":{"a":1,"a":2}}'), 2),
    "nan": (body(json.dumps(PLAIN).encode()[:-1] + b',"labels":{"a":NaN}}'), 2),
    "infinity": (body(json.dumps(PLAIN).encode()[:-1] + b',"settings":{"a":-Infinity}}'), 2),
    "1e999": (body(json.dumps(PLAIN).encode()[:-1] + b',"settings":{"a":[1e999]}}'), 2),
    "1e999 as data": (body(json.dumps(PLAIN).encode()[:-1] + b',"data":1e999}'), 2),
    "2^53": (body(numbered(1, settings={"a": 2**53})), 2),
    "2^53 as priority": (body(numbered(1, priority=2**53)), 2),
    "5000 digits": (body(json.dumps(PLAIN).encode()[:-1] + b',"labels":{"a":' + b"9" * 5000 + b"}}"), 2),
    "33 deep": (body(numbered(1, labels=json.loads('{"a":' * 31 + "[]" + "}" * 31))), 2),
    "brackets": (body(b"[" * 60_000), 2),
    "65 KiB": (body(numbered(1, settings={"a": "x" * 66_000})), 2),
    "a list": (body(b"[" + b" " * 60 + b"]"), 2),
    "twice": (body(PLAIN, PLAIN), 3),
    "unsorted": (body(numbered(2), numbered(1)), 3),
    "unsorted versions": (body({**PLAIN, "version": "2.0"}, {**PLAIN, "version": "1.0"}), 3),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_well_formed_is_refused(name):
    """Whatever is wrong with the whole has one code, and the line it stands on."""
    data, line = BODIES[name]
    assert refused(data)[0] == line


FIELDS = [
    ("domain", "Adapter"),
    ("domain", ["adapter"]),
    ("domain", None),
    ("key", "a__b"),
    ("key", "-a"),
    ("key", 5),
    ("key", "a" * 129),
    ("provider", ""),
    ("provider", "re dis"),
    ("provider", {"a": 1}),
    ("factory", "os"),
    ("factory", "ep:"),
    ("factory", "ep:a b"),
    ("factory", "os:system()"),
    ("factory", "../x:y"),
    ("factory", "ёлка:x"),
    ("factory", "a:b:c"),
    ("factory", 1),
    ("factory", "a." * 300 + "b:c"),
    ("version", "one"),
    ("version", " 1.0"),
    ("version", "١.0"),
    ("version", 1),
    ("version", None),
    ("priority", True),
    ("priority", 1.0),
    ("priority", "5"),
    ("priority", None),
    ("stack_level", False),
    ("settings", []),
    ("settings", None),
    ("settings", {"$secret": "x"}),
    ("settings", {"a": {"$secret": "env:HOME"}}),
    ("settings", {"a": {"$secret": "file:/etc/passwd"}}),
    ("settings", {"a": {"$secret": ["x"]}}),
    ("settings", {"a": {"$secret": "x", "default": "y"}}),
    ("settings", {"a": [{"b": {"$secret": "X"}}]}),
    ("needs", "adapter:cache"),
    ("needs", ["cache"]),
    ("needs", ["adapter:cache", "adapter:cache"]),
    ("needs", [["adapter:cache"]]),
    ("needs", [f"adapter:a{number}" for number in range(65)]),
    ("distributions", ["redis >>> 5"]),
    ("distributions", ["redis @ file:///etc/passwd"]),
    ("distributions", ["redis @ https://example.org/x.whl"]),
    ("distributions", [5]),
    ("python", "3"),
    ("python", 3.11),
    ("platforms", ["Linux!"]),
    ("platforms", "linux"),
    ("capabilities", [""]),
    ("capabilities", ["a\nb"]),
    ("conflicts", ["A"]),
    ("artifact", {"sha256": SHA, "size": 3, "path": "x"}),
    ("artifact", {"sha256": SHA.upper(), "size": 3, "path": "x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": True, "path": "x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": -1, "path": "x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": 3, "path": "../x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": 3, "path": "/x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": 3, "path": "file:x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": 3, "path": "https://h/x", "media_type": "a/b"}),
    ("artifact", {"sha256": SHA, "size": 3, "path": "x", "media_type": "a/b", "mode": 7}),
    ("artifact", "x"),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", True),
    ("timeout", "3"),
    ("timeout", 1e18),
    ("retry", {"attempts": True}),
    ("retry", {"attempts": 0}),
    ("retry", {"attempts": 2.0}),
    ("retry", {"tries": 2}),
    ("retry", {"on": "TimeoutError"}),
    ("retry", {"on": ["os.system()"]}),
    ("retry", 3),
    ("data", {"a": {"$secret": "x"}}),
    ("owner", 5),
    ("owner", "a\x1b[2J"),
    ("owner", "a" * 257),
    ("license", ["MIT"]),
    ("docs", "a\nb"),
    ("enabled", 1),
    ("enabled", "true"),
    ("enabled", None),
    ("labels", []),
    ("labels", {"a": "x" * 4096}),
    ("labels", {"$secret": "x"}),
    ("colour", "red"),
    ("Domain", "adapter"),
]


@pytest.mark.parametrize(
    ("field", "value"), FIELDS, ids=[f"{field}-{number}" for number, (field, _) in enumerate(FIELDS)]
)
def test_a_field_of_another_type_or_form_is_refused(field, value):
    """Every field has one type and form, and the error names the entry, the field and the line, and shows no value."""
    line, said = refused(body(numbered(1), {**numbered(2), field: value}))
    assert (line, field in said) == (3, True)
    assert "/etc/passwd" not in said


@pytest.mark.parametrize("field", ["domain", "key", "provider", "factory"])
def test_four_fields_are_required(field):
    """What an entry is known by, and its factory, cannot be missing."""
    entry = {**FULL}
    del entry[field]
    line, said = refused(body(entry))
    assert (line, f"{field} is missing" in said) == (2, True)


def test_a_field_that_is_not_known_is_passed_over_where_that_is_allowed():
    """Leniently, it is told and the entry is read; strictly, the nearest name is offered."""
    data = body({**PLAIN, "priorty": 5})
    line, said = refused(data)
    assert (line, "did you mean priority?" in said) == (2, True)
    read = decode(data, lenient=True)
    assert read.warnings == ["adapter:cache redis: 'priorty' not known, and passed over"]
    assert list(read.manifest.entries.values()) == [Entry("adapter", "cache", "redis", "ep:redis")]


def test_only_lines_that_differ_are_read():
    """Entries whose line stood in the body before are the same objects, and it is told which are not."""
    before = decode(body(*(numbered(number) for number in range(9))))
    entries = [numbered(number) for number in range(10)]
    entries[4]["priority"] = 7
    del entries[6]
    after = decode(body(*entries), previous=before)
    old, new = before.manifest.entries, after.manifest.entries
    assert [identity[1] for identity in new if new[identity] is not old.get(identity)] == [
        "part-0004",
        "part-0009",
    ]
    assert [identity[1] for identity in after.fresh] == ["part-0004", "part-0009"]
    assert sorted(identity[1] for identity in after.gone) == ["part-0004", "part-0006"]
    assert after.manifest == decode(body(*entries)).manifest


def test_what_was_passed_over_is_told_as_long_as_it_stands():
    """A line that is not read again is warned of all the same; one that is gone is not."""
    before = decode(body(numbered(1, a=1), numbered(2, b=1), numbered(3)), lenient=True)
    after = decode(body(numbered(1, a=1), numbered(2), numbered(3)), lenient=True, previous=before)
    assert after.warnings == ["adapter:part-0001 redis: 'a' not known, and passed over"]


def test_what_was_read_leniently_is_read_again_strictly():
    """Another policy is not fooled by what an earlier one let pass."""
    data = body(numbered(1, a=1))
    before = decode(data, lenient=True)
    assert refused(data, previous=before)[0] == 2


tables = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(["1.0", "2.0", ""]), st.integers(0, 2)), max_size=8
)


@settings(deadline=None)
@given(tables, tables, st.booleans())
def test_reading_what_changed_is_reading_all(one, other, shuffled):
    """Whatever stood there before, the result, or the refusal, is that of reading the whole."""

    def text(rows):
        entries = [numbered(number, version=version, priority=priority) for number, version, priority in rows]
        if not shuffled:
            entries = list({(each["key"], each["version"]): each for each in entries}.values())
            entries.sort(key=lambda each: (each["key"], each["version"]))
        return body(*entries)

    def outcome(data, previous):
        try:
            return decode(data, previous=previous)
        except Malformed as error:
            return str(error)

    before = outcome(text(one), None)
    previous = None if isinstance(before, str) else before
    whole, part = outcome(text(other), None), outcome(text(other), previous)
    if isinstance(whole, str):
        assert part == whole
    else:
        assert (list(part.manifest.entries), part.manifest) == (list(whole.manifest.entries), whole.manifest)
        assert dict(part.manifest.lines) == dict(whole.manifest.lines)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_no_bytes_are_more_than_malformed(data):
    """Whatever stands in a line, or in the place of the first one, is read, or refused with a line."""
    for attempt in (data, body(data), body(head=data)):
        try:
            decode(attempt)
        except Malformed as error:
            assert error.line is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*FULL, "other"]), json_values, max_size=6))
def test_no_value_of_a_field_is_more_than_malformed(values):
    """Whatever JSON stands in a field, the entry is read with it, or refused with its line."""
    try:
        decode(body({**PLAIN, **values}))
    except Malformed as error:
        assert error.line == 2


def test_the_collector_is_as_it_was():
    """It rests while a body is read, and does afterwards what it did before, after a refusal too."""
    states = []
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            decode(body(PLAIN))
            states.append(gc.isenabled())
            refused(b"")
            states.append(gc.isenabled())
        finally:
            gc.enable()
    assert states == [True, True, False, False]


def test_lines_are_read_by_themselves():
    """Lines that were kept apart from their body are entries once more."""
    assert list(read_lines([json.dumps(PLAIN).encode()])) == [("adapter", "cache", "redis", "")]


@pytest.mark.once
def test_brackets_take_no_memory():
    """16 MiB of brackets, in one line or in very many, are refused within 200 MiB."""
    code = """
import resource, sys
from oneiric.remote.decoding import decode
from oneiric_hookspecs import Malformed
head = b'{"spec":"1","stream":"prod","version":1,"count":%d}\\n'
size = 16 * 1024 * 1024
bodies = [head % 1 + b"[" * size + b"\\n", head % (size // 2) + b"[\\n" * (size // 2), b"[" * size,
    head % 256 + (b"[" * 65_000 + b"\\n") * 256]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
resource.setrlimit(resource.RLIMIT_AS, (before + 400 * 2**20,) * 2)
for body in bodies:
    try:
        decode(body)
    except Malformed as error:
        print(error.line)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) // 2**20 < 200)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["2", "1", "1", "2", "True"], "")
