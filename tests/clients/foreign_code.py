"""What a test of other people's code needs."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def foreign_warnings() -> Iterator[None]:
    """Other people's libraries warn about their own code; that is not ours to fail on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
