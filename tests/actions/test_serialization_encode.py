"""serialization.encode: four formats, only plain data, and nothing that grows."""

import base64
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "serialization.encode"


def b64(data):
    return base64.b64encode(data).decode()


DATA = {"name": "Ünï", "n": [1, 2.5, True], "table": {"deep": {"er": "x\ny"}}}


@pytest.mark.parametrize(
    ("format_", "encoded"),
    [
        ("json", '{"name": "Ünï", "n": [1, 2.5, true], "table": {"deep": {"er": "x\\ny"}}}'),
        ("toml", 'name = "Ünï"\nn = [\n    1,\n    2.5,\n    true,\n]\n\n[table.deep]\ner = "x\\ny"\n'),
        ("yaml", "name: Ünï\nn:\n- 1\n- 2.5\n- true\ntable:\n  deep:\n    er: 'x\n\n      y'\n"),
    ],
)
def test_text_formats(kits, format_, encoded):
    """There and back."""
    there, back = kits.calls(
        KEY,
        [{"format": format_, "data": DATA}, {"format": format_, "operation": "decode", "text": encoded}],
    )

    assert there == {"format": format_, "text": encoded, "base64": None, "data": None}
    assert back == {"format": format_, "text": None, "base64": None, "data": DATA}


def test_messagepack_is_bytes(kits):
    """The sample of its specification, there and back; times become texts."""
    sample = "gqdjb21wYWN0w6ZzY2hlbWEA"  # {"compact": true, "schema": 0}
    there, back, time = kits.calls(
        KEY,
        [
            {"format": "msgpack", "data": {"compact": True, "schema": 0}},
            {"format": "msgpack", "operation": "decode", "base64": sample},
            {"format": "msgpack", "operation": "decode", "base64": b64(b"\xd6\xff\0\0\0\x01")},
        ],
    )

    assert there["base64"] == sample
    assert back["data"] == {"compact": True, "schema": 0}
    assert time["data"] == "1970-01-01T00:00:01+00:00"


def test_toml_and_yaml_have_times(kits):
    """They become texts, as plain data have no times."""
    text = "at = 2026-01-02T03:04:05Z\nday = 2026-01-02\nclock = 03:04:05\n"
    by_toml = kits.call(KEY, format="toml", operation="decode", text=text)["data"]
    by_yaml = kits.call(KEY, format="yaml", operation="decode", text="day: 2026-01-02\nraw: !!binary /w==\n")[
        "data"
    ]

    assert by_toml == {"at": "2026-01-02T03:04:05+00:00", "day": "2026-01-02", "clock": "03:04:05"}
    assert by_yaml == {"day": "2026-01-02", "raw": "/w=="}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=plain)
def test_plain_data_come_back(kits, data):
    """Whatever they are, by each format that can hold them."""

    async def scenario(runtime):
        results = {}
        for form in ("json", "yaml", "msgpack"):
            there = await runtime.call("action", KEY, {"format": form, "data": data})
            given = {name: there[name] for name in ("text", "base64") if there[name] is not None}
            back = await runtime.call("action", KEY, {"format": form, "operation": "decode", **given})
            results[form] = back["data"]
        return results

    assert kits.run(scenario) == {"json": data, "yaml": data, "msgpack": data}


def test_order_and_layout(kits):
    """Names keep their order unless they are to be sorted, at every depth."""
    data = {"b": [{"z": 1, "y": 2}], "a": 1}
    kept, ordered, laid_out = kits.calls(
        KEY, [{"data": data}, {"data": data, "sort_keys": True}, {"data": {"a": 1}, "indent": 2}]
    )

    assert kept["text"] == '{"b": [{"z": 1, "y": 2}], "a": 1}'
    assert ordered["text"] == '{"a": 1, "b": [{"y": 2, "z": 1}]}'
    assert laid_out["text"] == '{\n  "a": 1\n}'


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{one}: &{one} [{','.join([f'*{other}'] * 9)}]"
    for other, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("format_", "text", "said"),
    [
        ("json", "", "text: is no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("json", '{"a": 1, "a": 2}', "text: is no JSON: 'a' is given twice"),
        ("json", "NaN", "text: is no JSON: NaN is no number of JSON"),
        ("json", "[1e999]", "text[0]: inf is no number of JSON"),
        ("json", "1 2", "text: is no JSON: Extra data: line 1 column 3 (char 2)"),
        ("json", "[" * 100_000, "text: is nested deeper than 64"),
        ("json", "[" * 65 + "]" * 65, "text[0][0][0][0][0]"),
        ("json", "1" * 5000, "text: is no JSON: Exceeds the limit"),
        ("toml", "a = ", "text: is no TOML: "),
        ("toml", "a = nan", "text.a: nan is no number of JSON"),
        ("toml", "a = " + "[" * 100_000, "text: is nested deeper than 64"),
        ("yaml", "a: [", "text: is no YAML: "),
        ("yaml", BOMB, "text: is no YAML: an alias (*name) is not followed; write it out"),
        ("yaml", "a: &x {}\nb: {<<: *x}", "text: is no YAML: an alias (*name) is not followed; write it out"),
        ("yaml", "a: 1\na: 2", "text: is no YAML: a name is given twice in one table"),
        (
            "yaml",
            "!!python/object/apply:os.system [true]",
            "text: is no YAML: could not determine a constructor",
        ),
        ("yaml", "!!set {a}", "text: a set is not plain data"),
        ("yaml", "1: 2", "text: a table's names are texts, found a int"),
        ("yaml", "a: 1\n--- b", "text: is no YAML: expected a single document"),
        ("yaml", "[" * 5000, "text: is nested deeper than 64"),
        ("yaml", "x" * 1_048_577, "text: is 1,048,577 bytes long, and YAML is read up to 1,048,576"),
    ],
)
def test_a_text_that_does_not_do_is_refused(kits, format_, text, said):
    """Cut off, ambiguous, endless, or with code in it."""
    line = kits.refused(KEY, operation="decode", format=format_, text=text)[0]

    assert line.startswith(said)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (b"", "base64: is no MessagePack: Unpack failed: incomplete input"),
        (b"\x01\x01", "base64: is no MessagePack: unpack(b) received extra data."),
        (b"\xdf\xff\xff\xff\xff", "base64: is no MessagePack: "),
        (b"\xdd\xff\xff\xff\xff", "base64: is no MessagePack: "),
        (b"\x91" * 5000, "base64: is no MessagePack: "),
        (b"\x81\x01\x01", "base64: is no MessagePack: int is not allowed for map key"),
        (b"\xc7\x01\x05x", "base64: is no MessagePack: extension type 5 is not understood"),
        (b"\xcb\x7f\xf8\0\0\0\0\0\0", "base64: nan is no number of JSON"),
        (b"\xa1\xff", "base64: is no MessagePack: 'utf-8' codec can't decode"),
        (b"\x91" * 65 + b"\x01", "base64[0][0][0]"),
    ],
)
def test_messagepack_that_does_not_do_is_refused(kits, packed, said):
    """Cut off, followed by something, promising too much, or with types of somebody's own."""
    [line] = kits.refused(KEY, operation="decode", format="msgpack", base64=b64(packed))

    assert line.startswith(said)


@pytest.mark.parametrize(
    ("format_", "data", "said"),
    [
        ("toml", [1], "data: is a table in TOML"),
        ("toml", {"a": [{"b": None}]}, "data.a[0].b: is null, which TOML cannot write"),
        ("json", {"a": "\ud800"}, "data: character 7 is half a surrogate pair, which UTF-8 cannot write"),
        ("msgpack", 2**64, "data: cannot be written as MessagePack: "),
        ("msgpack", "\ud800", "data: cannot be written as MessagePack: "),
        pytest.param("json", 10**5000, "data: has too many digits", id="digits"),
        ("json", {"a": float("inf")}, "data.a: inf is no number of JSON"),
    ],
)
def test_data_that_a_format_cannot_hold_are_refused(kits, format_, data, said):
    """By their path; nothing is left out silently."""
    [line] = kits.refused(KEY, format=format_, data=data)

    assert line.startswith(said)


def test_limits_come_from_the_settings(kits):
    """Bytes, depth, number of values, formats; each is named."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nmax_bytes = 10\nmax_depth = 2\nmax_values = 3\nformats = ["json"]\n'
    )
    asked = [
        {"data": "x" * 9},
        {"operation": "decode", "text": '"' + "x" * 9 + '"'},
        {"data": [[[]]]},
        {"operation": "decode", "text": "[1,1,1]"},
        {"format": "toml", "data": {}},
    ]

    assert [kits.refused(KEY, **each)[0] for each in asked] == [
        "data: is 11 bytes long, and 10 are allowed",
        "text: is 11 bytes long, and 10 are allowed",
        "data[0][0]: is nested deeper than 2",
        "text: holds more than 3 values",
        "format: 'toml' is not allowed here; allowed: json",
    ]


def test_a_file_in_an_open_folder_is_decoded(kits):
    """No other; a byte order mark is no part of a text."""
    (kits.folder / "open").mkdir()
    (kits.folder / "open" / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    with (kits.folder / "open" / "large").open("wb") as file:
        file.truncate(1 << 40)  # nobody can have read all of it
    (kits.folder / "open" / "latin").write_bytes(b'"\xe9"')
    (kits.folder / "b.json").write_text("[2]")
    (kits.folder / "open" / "link").symlink_to("../b.json")
    kits.settings(f'[actions.settings."{KEY}"]\nroots = ["{kits.folder}/open"]\nmax_bytes = 100\n')
    outside = "path: is no file in a folder that is open for reading"

    assert kits.call(KEY, operation="decode", path="a.json")["data"] == [1]
    assert [
        kits.refused(KEY, operation="decode", path=path)[0]
        for path in ("../b.json", "link", "large", "latin")
    ] == [outside, outside, "path: is longer than 100 bytes", "path: is no text in UTF-8: byte 1"]


@pytest.mark.parametrize(("format_", "module"), [("yaml", "yaml"), ("msgpack", "msgpack")])
def test_a_library_that_is_not_installed_is_named(kits, monkeypatch, format_, module):
    """What to install is said."""
    monkeypatch.setitem(sys.modules, module, None)
    [said] = kits.refusals(KEY, [{"format": format_, "data": {}}])

    assert said == (
        "serialization.encode: the format needs a library that is not installed\n"
        f"  pip install {'pyyaml' if format_ == 'yaml' else 'msgpack'}"
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"operation": "decode"}, "give one of text, base64 and path, to be decoded"),
        (
            {"operation": "decode", "text": "1", "path": "x"},
            "give one of text, base64 and path, to be decoded",
        ),
        ({"operation": "decode", "text": "1", "data": 1}, "data is for operation 'encode', found 'decode'"),
        ({"text": "1"}, "text is for operation 'decode', found 'encode'"),
        ({"data": 1, "indent": True}, "indent: expected a whole number, found true"),
        ({"data": 1, "indent": 100}, "indent: "),
        ({"data": 1, "sort_keys": 1}, "sort_keys: expected true or false, found 1"),
        (
            {"data": 1, "format": "pickle"},
            "format: expected one of 'json', 'toml', 'yaml', 'msgpack', found 'pickle'",
        ),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)


def test_json_is_what_json_says(kits):
    """What it writes is what the standard library reads."""
    assert json.loads(kits.call(KEY, data=DATA)["text"]) == DATA
