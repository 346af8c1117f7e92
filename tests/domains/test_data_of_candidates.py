"""What a domain wants to know of its candidates is there, and right, before anything is registered."""

import attrs
import pytest
from oneiric_hookspecs import Candidate, Domain, Key, PluginError, hookimpl

from oneiric import assemble


@attrs.frozen
class Size:
    width: int = 80

    def __attrs_post_init__(self):
        if self.width < 1:
            raise PluginError("a report has a width")


@attrs.frozen
class Wanted:
    width: int


def small(candidate):
    if candidate.data is not None and candidate.data.width > 1000:
        raise PluginError("it does not fit on paper", hint="make it narrower")


def runtime_with(**options):
    """A runtime with a domain ``report``."""

    class Reports:
        @hookimpl
        def oneiric_domains(self):
            yield Domain("report", "reports", **options)

    return assemble({}, plugins=[Reports()], environment=False)


def registered(runtime, data):
    """The data of a candidate that was registered with *data*; or why it was refused."""
    candidate = Candidate(Key("report", "sales"), "mine", object, data=data)
    try:
        runtime.register(candidate)
    except PluginError as error:
        assert runtime.keys("report") == ()
        return str(error)
    return runtime.resolve("report", "sales").data


REFUSED = "source application: its candidate number 1: candidate report:sales 'mine': "


@pytest.mark.parametrize(
    "options, data, found",
    [
        ({"entry": Size}, Size(5), Size(5)),
        ({"entry": Size}, None, Size(80)),
        (
            {"entry": Wanted},
            None,
            f"{REFUSED}the domain report expects a Wanted as its data, found nothing\n"
            "  give the candidate data=Wanted(...)",
        ),
        (
            {"entry": Size},
            {"width": 5},
            f"{REFUSED}the domain report expects a Size as its data, found a dict\n"
            "  give the candidate data=Size(...)",
        ),
        ({}, Size(), f"{REFUSED}the domain report expects nothing as its data, found a Size"),
        ({}, None, None),
        ({"entry": Size, "check": small}, Size(1000), Size(1000)),
        (
            {"entry": Size, "check": small},
            Size(1001),
            f"{REFUSED}it does not fit on paper\n  make it narrower",
        ),
        ({"check": small}, None, None),
    ],
    ids=[
        "given",
        "defaults",
        "wanted",
        "wrong",
        "none-wanted",
        "none",
        "check",
        "check-refuses",
        "check-alone",
    ],
)
def test_a_candidate_brings_what_its_domain_wants_to_know(options, data, found):
    """It is of the domain's class, of its defaults where it brings none, and passes the domain's check."""
    assert registered(runtime_with(**options), data) == found


@pytest.mark.parametrize(
    "options, message",
    [
        ({"entry": dict}, "domain report: entry is an attrs class, found <class 'dict'>"),
        ({"settings_by": "plugin"}, "domain report: settings_by is provider or key, found 'plugin'"),
        ({"to_candidate": print}, "domain report: declared_by and to_candidate go together"),
    ],
    ids=["entry", "settings_by", "to_candidate"],
)
def test_a_domain_is_well_formed(options, message):
    """A slip is found where it is made."""
    with pytest.raises(PluginError) as caught:
        Domain("report", "reports", **options)

    assert caught.value.message == message
