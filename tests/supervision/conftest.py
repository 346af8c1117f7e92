"""A runtime of a settings file, supervised."""

import gc

import pytest

from oneiric.testing.supervised import watched


@pytest.fixture(scope="package", autouse=True)
def _frozen():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def supervised(tmp_path):
    """Supervise a runtime of settings and candidates; probes come at their very times, unless ``draw`` differs."""

    def enter(toml="", *candidates, **more):
        return watched(tmp_path, toml, candidates, **more)

    return enter
