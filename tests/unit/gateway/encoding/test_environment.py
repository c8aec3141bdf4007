"""Tests of what a codec process gets of our environment: an interpreter starts with it, and no key is in it.

Invariant under test: names decide, not values.
It must not start any process.
"""

import os
import sys

from gateway.encoding.environment import of_interpreter


def test_what_an_interpreter_needs_goes_along_and_no_key() -> None:
    """Paths, languages and Python's switches; not what we are told by name, nor what anybody else keeps there."""
    given = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "DASHSCOPE_API_KEY": "sk-1",
        "WAVEGATE__CLUSTER__REDIS_URL": "redis://:pw@h",
        "AWS_SECRET": "x",
    }
    passed = of_interpreter(given)
    assert {name: passed[name] for name in ("PATH", "LC_ALL", "PYTHONHASHSEED")} == {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
    }
    assert not {"DASHSCOPE_API_KEY", "WAVEGATE__CLUSTER__REDIS_URL", "AWS_SECRET"} & passed.keys()


def test_our_packages_are_found_from_anywhere() -> None:
    """The search path is the one by which we have found them."""
    assert of_interpreter({})["PYTHONPATH"].split(os.pathsep) == [path or "." for path in sys.path]
