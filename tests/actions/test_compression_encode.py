"""compression.encode: what goes in comes out, and a few bytes never become many."""

import base64
import bz2
import gzip
import lzma
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "compression.encode"
ALGORITHMS = ["zlib", "gzip", "bz2", "lzma"]


def b64(data):
    return base64.b64encode(data).decode()


#: The same five letters, in streams put together by hand: RFC 1950, 1951 (a stored block), 1952.
STORED = bytes.fromhex("01 0500 faff") + b"hello"
PUBLISHED = {
    "zlib": bytes.fromhex("7801") + STORED + zlib.adler32(b"hello").to_bytes(4, "big"),
    "gzip": bytes.fromhex("1f8b 08 00 00000000 00 ff")
    + STORED
    + zlib.crc32(b"hello").to_bytes(4, "little")
    + (5).to_bytes(4, "little"),
    "lzma": lzma.compress(b"hello", preset=9),
}


@pytest.mark.parametrize("algorithm", ["zlib", "gzip", "lzma"])
def test_streams_of_others_are_read(kits, algorithm):
    """What another program has written comes out as it went in."""
    given = {"operation": "decompress", "algorithm": algorithm, "base64": b64(PUBLISHED[algorithm])}

    assert kits.call(KEY, **given) == {
        "algorithm": algorithm,
        "text": "hello",
        "base64": None,
        "bytes_in": len(PUBLISHED[algorithm]),
        "bytes_out": 5,
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_others_read_its_streams(kits, algorithm):
    """What it writes is what the standard library reads."""
    read = {"zlib": zlib.decompress, "gzip": gzip.decompress, "bz2": bz2.decompress, "lzma": lzma.decompress}
    made = kits.calls(
        KEY, [{"algorithm": algorithm, "text": "hey " * 9, "level": level} for level in (None, 1, 9)]
    )

    assert [read[algorithm](base64.b64decode(each["base64"])) for each in made] == [b"hey " * 9] * 3


def test_equal_data_give_equal_bytes(kits):
    """There is no time in a header."""
    one, other = kits.calls(KEY, [{"text": "x"}, {"text": "x"}])

    assert one == other
    assert base64.b64decode(one["base64"])[4:8] == b"\0\0\0\0"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), algorithm=st.sampled_from(ALGORITHMS), level=st.integers(1, 9))
def test_what_goes_in_comes_out(kits, data, algorithm, level):
    """Any bytes, by any algorithm and level."""

    async def scenario(runtime):
        there = await runtime.call(
            "action", KEY, {"base64": b64(data), "algorithm": algorithm, "level": level}
        )
        back = {"operation": "decompress", "algorithm": algorithm, "output": "base64"}
        return await runtime.call("action", KEY, {**back, "base64": there["base64"]})

    assert base64.b64decode(kits.run(scenario)["base64"]) == data


@pytest.mark.parametrize("algorithm", ["gzip", "bz2", "lzma"])
def test_streams_may_follow_one_another(kits, algorithm):
    """As in a file that was appended to; across the pieces in which it is read, too."""
    make = {"gzip": gzip.compress, "bz2": bz2.compress, "lzma": lzma.compress}[algorithm]
    parts = [b"one", b"", b"x" * 200_000, bytes(range(256)) * 300]
    given = {"operation": "decompress", "algorithm": algorithm, "output": "base64"}
    made = kits.call(KEY, **given, base64=b64(b"".join(map(make, parts))))

    assert base64.b64decode(made["base64"]) == b"".join(parts)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bomb_is_refused_before_it_goes_off(kits, algorithm):
    """By bytes and by ratio; the setting that is the limit is named."""
    import tracemalloc

    make = {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress, "lzma": lzma.compress}
    bomb = make[algorithm](bytes(16_000_000))
    given = {"operation": "decompress", "algorithm": algorithm, "base64": b64(bomb)}
    kits.settings(f'[actions.settings."{KEY}"]\nmax_ratio = 10\n')
    tracemalloc.start()
    said = kits.refused(KEY, **given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    limit = max(1024 * 1024, len(bomb) * 10)
    assert said == [
        f"base64: comes to more than {limit:,} bytes, out of {len(bomb):,}",
        f'see the setting actions.settings."{KEY}".max_ratio',
    ]
    assert peak < 14_000_000
    kits.settings(f'[actions.settings."{KEY}"]\nmax_output = 999\nmax_ratio = 1000000\n')
    assert kits.refused(KEY, **given)[1] == f'see the setting actions.settings."{KEY}".max_output'


def test_exactly_the_limit_is_allowed(kits):
    """One byte more is not."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_output = 999\nmax_input = 1000\n')
    fits, too_much = (b64(gzip.compress(b"x" * size)) for size in (999, 1000))

    assert kits.call(KEY, operation="decompress", base64=fits)["bytes_out"] == 999
    assert "999 bytes" in kits.refused(KEY, operation="decompress", base64=too_much)[0]
    assert kits.call(KEY, text="x" * 1000)["bytes_in"] == 1000
    assert kits.refused(KEY, text="é" * 501) == [
        "text: is 1,002 bytes long, and 1,000 are allowed",
        f'see the setting actions.settings."{KEY}".max_input',
    ]
    assert "is 1,001 bytes long" in kits.refused(KEY, base64=b64(b"x" * 1001))[0]


GZIP = gzip.compress(b"hello", mtime=0)


@pytest.mark.parametrize(
    ("algorithm", "data", "said"),
    [
        ("gzip", GZIP[:-1], "base64: ends in the middle of a gzip stream"),
        ("gzip", b"", "base64: ends in the middle of a gzip stream"),
        ("gzip", GZIP + b"garbage", "base64: holds 1 whole streams, and then is no gzip stream: "),
        ("gzip", GZIP + b"\0", "base64: "),
        ("gzip", GZIP[:-8] + b"\0" * 8, "base64: is no gzip stream: "),
        ("zlib", zlib.compress(b"x") + b"\0", "base64: goes on behind the end of its zlib stream"),
        ("zlib", b"nonsense", "base64: is no zlib stream: "),
        ("bz2", bz2.compress(b"x")[:-1], "base64: ends in the middle of a bz2 stream"),
        ("bz2", b"nonsense", "base64: is no bz2 stream: "),
        ("lzma", lzma.compress(b"x")[:-1], "base64: ends in the middle of a lzma stream"),
        ("lzma", lzma.compress(b"x", lzma.FORMAT_ALONE), "base64: is no lzma stream: "),
        ("gzip", gzip.compress(b"") * 1001, "base64: holds more than 1,000 streams"),
    ],
    ids=range(12),
)
def test_a_stream_that_is_none_is_refused(kits, algorithm, data, said):
    """Cut off, followed by something else, damaged, of another kind; in one sentence."""
    [line] = kits.refused(KEY, operation="decompress", algorithm=algorithm, base64=b64(data))

    assert line.startswith(said)


def test_lzma_may_not_ask_for_much_memory(kits):
    """A header that asks for a dictionary of gigabytes is refused by what it asks for."""
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    made = bytearray(lzma.compress(b"x" * 100, lzma.FORMAT_XZ, filters=chain))
    place = made.index(bytes([0x21, 0x01])) + 2  # the filter, the length of its properties, the dictionary
    made[place] = 40
    start = 12
    size = (made[start] + 1) * 4
    made[start + size - 4 : start + size] = zlib.crc32(made[start : start + size - 4]).to_bytes(4, "little")
    [line] = kits.refused(KEY, operation="decompress", algorithm="lzma", base64=b64(bytes(made)))

    assert line == "base64: is no lzma stream: Memory usage limit exceeded"


def test_the_settings_decide_what_a_request_may_ask_for(kits):
    """An algorithm that is not allowed is refused, whether compressing or not."""
    kits.settings(f'[actions.settings."{KEY}"]\nalgorithms = ["zlib", "gzip"]\n')
    asked = [
        {"text": "x", "algorithm": "bz2"},
        {"base64": "QlpoOQ==", "algorithm": "bz2", "operation": "decompress"},
    ]

    assert (
        kits.refusals(KEY, asked)
        == [
            "the request does not fit compression.encode\n"
            "  algorithm: 'bz2' is not allowed here; allowed: zlib, gzip\n"
            '  see the setting actions.settings."compression.encode".algorithms'
        ]
        * 2
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "give one of text and base64, found none of them"),
        ({"text": "x", "base64": "eA=="}, "give one of text and base64, found text and base64"),
        ({"text": "x", "operation": "decompress"}, "what is compressed is no text: give it as base64"),
        ({"text": "x", "output": "text"}, "what is compressed is no text: ask for output 'base64'"),
        ({"text": 5}, "text: expected a text, found 5"),
        ({"text": "x", "level": True}, "level: expected a whole number, found true"),
        ({"text": "x", "level": 10}, "level: "),
        ({"text": "x", "level": 0, "algorithm": "bz2"}, "level: is 1 to 9 for bz2, found 0"),
        ({"text": "x", "algorithm": "gzi"}, "algorithm: expected one of "),
        ({"text": "x", "levle": 1}, "levle: unknown key (did you mean level?)"),
        ({"base64": "eA"}, "base64: is not base64, in the standard alphabet and padded"),
        ({"base64": "e A=="}, "base64: is not base64"),
        ({"base64": "eB=="}, "base64: is not base64"),
        ({"base64": "_-=="}, "base64: is not base64"),
        ({"text": "\ud800"}, "text: character 0 is half a surrogate pair, which UTF-8 cannot write"),
        ({"operation": "decompress", "base64": "", "level": 1}, "level is for operation 'compress'"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, not in the right form: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)


def test_what_is_no_text_is_not_given_as_one(kits):
    """Bytes that are not UTF-8 are given in base64, on demand."""
    asked = {"operation": "decompress", "base64": b64(gzip.compress(b"\xff"))}

    assert kits.refused(KEY, **asked) == [
        "output: what was decompressed is no text in UTF-8; ask for 'base64'"
    ]
    assert kits.call(KEY, **asked, output="base64")["base64"] == "/w=="
