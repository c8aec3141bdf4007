"""A script and the name that the server has for it.

Invariant: what is sent is what was hashed.
It must not need a server.
"""

import hashlib

from gateway.redis.script import Script


def test_is_named_by_its_own_text() -> None:
    script = Script("return 1")
    assert script.sha == hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest()
    assert script.text == "return 1"
