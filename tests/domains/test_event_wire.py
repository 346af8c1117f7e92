"""Events on the wire: CloudEvents 1.0, both ways, and nothing that is none."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Envelope, PluginError

from oneiric.plugins._cloudevents import from_cloudevent, to_cloudevent

NOON = dt.datetime(2026, 2, 28, 12, 0, tzinfo=dt.UTC)


def test_an_envelope_has_the_names_of_cloudevents():
    """As section 3 of the specification, and its JSON format, say."""
    envelope = Envelope(
        "order.paid",
        {"total": 5},
        source="/shop",
        id="1",
        time=NOON,
        headers={"tenant": "a"},
        correlation="0",
        causation="0",
    )

    assert to_cloudevent(envelope) == {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "order.paid",
        "time": "2026-02-28T12:00:00Z",
        "datacontenttype": "application/json",
        "correlationid": "0",
        "causationid": "0",
        "tenant": "a",
        "data": {"total": 5},
    }


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
SCALAR = st.none() | st.booleans() | st.integers() | TEXT
JSON = SCALAR | st.lists(SCALAR) | st.dictionaries(TEXT, SCALAR | st.lists(SCALAR))


@given(
    st.from_regex(r"[a-zA-Z0-9_-]{1,9}(\.[a-zA-Z0-9_-]{1,9}){0,3}", fullmatch=True),
    JSON,
    TEXT,
    TEXT,
    st.datetimes(timezones=st.timezones()),
    st.dictionaries(st.from_regex(r"x[a-z0-9]{0,18}", fullmatch=True), TEXT, max_size=3),
    TEXT,
    st.none() | TEXT,
)
def test_what_goes_out_comes_back(topic, payload, source, id_, time, headers, correlation, causation):
    """Nothing is lost, and times are the same instant."""
    envelope = Envelope(
        topic,
        payload,
        source=source,
        id=id_,
        time=time,
        headers=headers,
        correlation=correlation,
        causation=causation,
    )

    assert from_cloudevent(to_cloudevent(envelope)) == envelope


GOOD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid"}


def test_the_least_there_must_be_is_enough():
    """Without a time it is now; without a story, it begins one."""
    envelope = from_cloudevent(GOOD)

    assert (envelope.topic, envelope.payload, envelope.correlation, envelope.causation) == (
        "order.paid",
        None,
        "1",
        None,
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"specversion": "0.3"}, "a CloudEvent has specversion 1.0, found '0.3'"),
        ({"id": 5}, "a CloudEvent has the text id, found 5"),
        ({"id": ""}, "the id of an event is a text, found ''"),
        ({"type": "order paid"}, "'order paid' is not a topic"),
        ({"time": "noon"}, "the time of a CloudEvent is RFC 3339, found 'noon'"),
        ({"time": "2026-02-28T12:00:00"}, "the time of an event has a zone, found "),
        ({"Tenant": "a"}, "'Tenant' is not a header of an event"),
        ({"tenant": 5}, "the header tenant is a text, found 5"),
        ({"data_base64": "AA=="}, "a payload in base64 is not understood"),
    ],
    ids=["version", "id", "empty", "type", "time", "zone", "header", "value", "base64"],
)
def test_what_is_no_cloudevent_is_refused(change, message):
    """With the name of what is wrong."""
    with pytest.raises(PluginError) as caught:
        from_cloudevent(GOOD | change)

    assert caught.value.message.startswith(message)
