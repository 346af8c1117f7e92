"""What the kernel keeps to, whatever a fetcher does.  B1 to B8 are the rules of ``oneiric.remote.transport``."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import (
    Fetched,
    Fetcher,
    FetchError,
    FileRef,
    Got,
    OneiricError,
    PluginError,
    RemoteError,
    SettingsError,
    SourceSpec,
)

from oneiric.hooks import Answer
from oneiric.remote.transport import ReplayIO, Source, StreamIO, choose_fetcher, open_source
from oneiric.testing import VirtualClock

EMPTY = FileRef("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0, "a")


class Does:
    """A source that calls *does* for each file."""

    def __init__(self, does):
        self.does = does

    def get(self, path, sink, *, etag=None):
        return self.does(sink)

    def close(self):
        raise RuntimeError("not today")


def reader(does, clock=None, **more):
    return StreamIO(Source(Does(does), "acme"), clock=(clock or VirtualClock()).time, **more)


def failure(call, kind=OneiricError):
    with pytest.raises(kind) as error:
        call()
    return error.value


def code(does, clock=None, *, etag=None, limit=10):
    return failure(lambda: reader(does, clock).get("a", limit=limit, etag=etag), FetchError).code


OK = Fetched("ok")


def writes(*chunks, answer=OK):
    def does(sink):
        for each in chunks:
            sink.write(each)
        return answer

    return does


def test_limit_is_exact():
    """B1: ten bytes are ten, in whatever pieces."""
    assert reader(writes(b"12345", b"", memoryview(b"67890"))).get("a", limit=10) == Got(b"1234567890")
    assert code(writes(b"12345", b"678901")) == "too-large"
    assert code(writes(b"x", memoryview(b"x" * 40).cast("I"))) == "too-large"


def test_time_is_for_the_whole(clock):
    """B2: thirty seconds for a small file, however often a piece comes."""
    seen = []

    def does(sink):
        for _ in range(9):
            seen.append(sink.left)
            clock.advance(10.0)
            sink.write(b"")

    assert (code(does, clock), seen) == ("deadline", [30.0, 20.0, 10.0])


@pytest.mark.parametrize(("size", "seconds"), [(0, 30.0), (64 * 1024, 31.0), (64 * 1024 * 100, 130.0)])
def test_time_grows_with_what_was_signed(size, seconds):
    """B2: a second for each 64 KiB beyond."""
    seen = []

    def does(sink):
        seen.append(sink.left)
        return Fetched("absent")

    failure(lambda: reader(does).body(FileRef("0" * 64, size, "a")), FetchError)
    assert seen == [seconds]


def test_answer_that_comes_too_late_is_none(clock):
    """B2: a fetcher that does not look at the time changes nothing about it."""

    def does(sink):
        sink.write(b"head")
        clock.advance(31.0)
        return Fetched("ok")

    assert code(does, clock) == "deadline"


def test_caught_error_is_one_nevertheless():
    """B4: also where another one is made of it."""

    def swallows(sink):
        try:
            sink.write(b"x" * 11)
        except FetchError:
            return Fetched("ok")

    def renames(sink):
        try:
            sink.write(b"x" * 11)
        except FetchError:
            raise RuntimeError("oh") from None

    def goes_on(sink):
        for each in (b"x" * 11, b"x"):
            try:
                sink.write(each)
            except FetchError:
                pass
        return Fetched("absent")

    assert [code(each) for each in (swallows, renames, goes_on)] == ["too-large"] * 3


@pytest.mark.parametrize(
    "does",
    [
        lambda sink: None,
        lambda sink: b"head",
        lambda sink: Fetched("fine"),
        lambda sink: sink.write("text"),
        lambda sink: 1 / 0,
        lambda sink: (_ for _ in ()).throw(PluginError("no")),
        writes(answer=Fetched("unchanged")),
    ],
)
def test_fetcher_that_fails_is_named(does):
    """B4, B6: as a failure of a plugin, that trying again does not mend."""
    assert code(does) == "plugin-error"


def test_error_of_a_library_tells_nothing_private():
    """B8: neither a query nor a user, on one line."""

    def does(sink):
        raise ValueError("no https://ann:pw@shop.test/a?token=hush here\nand more")

    assert str(failure(lambda: reader(does).get("a", limit=1))) == (
        "a: the fetcher of plugin acme failed: ValueError: no https://shop.test/a here"
    )


def test_code_and_time_are_ones():
    """B4: metrics carry the code, and the loop waits for the time."""

    def does(later, code="unreachable"):
        def raises(sink):
            raise FetchError("no", code=code, retry_after=later)

        return failure(lambda: reader(raises).get("a", limit=1))

    odd = [float("nan"), float("inf"), -1.0, "7", True, None]
    assert [does(each).retry_after for each in odd] == [None] * 6
    assert (does(7).retry_after, does(1, "https://ann:pw@shop.test").code) == (7, "plugin-error")


def test_bytes_after_the_end_are_none(clock):
    """B4: what a thread of a fetcher still writes reaches nobody."""
    kept, into = [], io.BytesIO()

    def does(sink):
        kept.append(sink)
        return Fetched("ok")

    reader(does).artifact(EMPTY, into)
    assert (failure(lambda: kept[0].write(b"more")).code, into.getvalue()) == ("plugin-error", b"")


def test_disk_that_is_full_is_not_the_sources_fault():
    """It is the error it is."""

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError) as error:
        reader(writes(b"x")).artifact(FileRef("0" * 64, 1, "a"), Full())
    assert error.value.errno == 28


def test_signed_size_is_not_believed_without_end():
    """B1: what would have to fit into memory is not begun."""
    assert failure(lambda: reader(writes()).body(FileRef("0" * 64, 2**40, "a"))).code == "too-large"


@pytest.mark.parametrize(
    ("given", "kept"),
    [('"1"', '"1"'), ("", None), ("a\r\nb", None), ("x" * 2000, None), ("ä", "ä"), (7, None)],
)
def test_name_of_the_bytes_is_one_that_can_be_asked_with(given, kept):
    """What is sent to a server one day holds no line."""
    assert reader(writes(b"x", answer=Fetched("ok", given))).get("a", limit=1).etag == kept


def test_name_that_cannot_be_asked_with_is_not():
    """B6: what was kept may be damaged; then nothing is known, and unchanged is no answer."""
    seen = []

    class Source_:
        def get(self, path, sink, *, etag=None):
            seen.append(etag)
            return Fetched("unchanged")

    found = StreamIO(Source(Source_(), "acme"), clock=VirtualClock().time)
    assert failure(lambda: found.get("a", limit=1, etag="a\nb")).code == "plugin-error"
    assert (found.get("a", limit=1, etag="a"), seen) == (Got(b"", "a", unchanged=True), [None, "a"])


def test_failed_file_is_counted_and_not_recorded():
    """What came is traffic, also where it was in vain."""
    found = reader(writes(b"123", b"4"))
    failure(lambda: found.get("a", limit=3))

    assert (found.received, found.recorded) == (3, {})


def test_what_was_recorded_is_given_again():
    """By the same paths; nothing else is there, and limits hold."""
    found = reader(writes(b"head"))
    found.get("head.json", limit=4)
    replay = ReplayIO(found.recorded)

    assert (replay.get("head.json", limit=4, etag="x"), replay.get("keyrings/2.json", limit=4)) == (
        Got(b"head"),
        None,
    )
    assert failure(lambda: replay.get("head.json", limit=3)).code == "too-large"


def test_source_that_cannot_be_closed_keeps_nobody():
    """What it says then is nobody's business."""
    assert Source(Does(None), "acme").close() is None


# --- choosing -------------------------------------------------------------------------------------------------------


def declared(*schemes, opens=Does):
    return [Answer(f"plugin{n}", Fetcher(scheme, opens)) for n, scheme in enumerate(schemes)]


@pytest.mark.parametrize(
    ("url", "schemes", "said"),
    [
        ("oc:x", ("oci", "file"), "remote.shop.url: no plugin fetches from oc: (did you mean oci:?)"),
        ("ftp://x", ("oci", "file"), "remote.shop.url: no plugin fetches from ftp: (there are: file, oci)"),
        ("oci:x", ("oci", "oci"), "remote.shop.url: several plugins fetch from oci: plugin0, plugin1 (switch all but one of them off: [plugins] off)"),
        ("/srv/shop", ("file",), "remote.shop.url: expected an address with a scheme (a folder is file:/and/its/path)"),
        ("", (), "remote.shop.url: expected an address with a scheme (there are: none)"),
        ("a b:c", ("oci",), "remote.shop.url: expected an address with a scheme (there are: oci)"),
    ],
)  # fmt: skip
def test_no_fetcher_is_a_problem_of_the_settings(url, schemes, said):
    """B7: it names the nearest, what there is, or both."""
    assert str(failure(lambda: choose_fetcher("shop", url, declared(*schemes)), SettingsError)) == said


def test_scheme_chooses():
    """B7: in whatever letters it is written."""
    fetcher, plugin = choose_fetcher("shop", "OCI:x", declared("file", "oci"))

    assert (fetcher.scheme, plugin) == ("oci", "plugin1")


def test_source_that_cannot_be_opened():
    """B4: what the plugin says is told; what it did not mean to say is a failure of the plugin."""

    def told(error):
        def opens(spec):
            raise error

        spec = SourceSpec("shop", "oci:x")
        found = failure(lambda: open_source(spec, declared("oci", opens=opens), "a.toml:3"))
        return getattr(found, "code", None), str(found)

    assert [told(FetchError("gone")), told(PluginError("no address")), told(KeyError("x"))] == [
        ("unreachable", "gone"),
        (None, "a.toml:3: remote.shop.url: no address"),
        ("plugin-error", "the source: the fetcher of plugin plugin0 failed: KeyError: 'x'"),
    ]


# --- whatever comes -------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=8), max_size=6),
    answer=st.sampled_from([Fetched("ok"), Fetched("absent"), Fetched("unchanged"), None, 7]),
    limit=st.integers(0, 20),
    etag=st.none() | st.text(max_size=3),
)
def test_nothing_beyond_the_limit_is_ever_given_out(chunks, answer, limit, etag):
    """B1: bytes within the limit, nothing, or one of our errors."""
    found = reader(writes(*chunks, answer=answer))
    try:
        got = found.get("a", limit=limit, etag=etag)
    except RemoteError:
        got = None
    assert got is None or len(got.data) <= limit
    assert found.received <= limit
