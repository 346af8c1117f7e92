"""What was there before the tests of the lifecycle stays out of every collection of garbage, which they make many of."""

import gc

import pytest


@pytest.fixture(scope="package", autouse=True)
def _frozen():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
