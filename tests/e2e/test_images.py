"""The real images that other tests need: made here once, before those begin (ctest runs it first), or skipped with a word."""
import os

import pytest

import images


@pytest.mark.parametrize("name", images.NEEDS)
def test_made(name):
    assert os.path.exists(os.path.join(images.real_image(name), "index.json"))
