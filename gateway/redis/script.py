"""A Lua script, known to the server by the hash of its text, so that the text travels once.

Invariant: the hash is that of the very text that is sent, and a script lies as a file beside the code that runs it.
It must not know a connection, nor what any script does.
"""

import hashlib
from importlib.resources import files


class Script:
    """`text` is what runs, `sha` is how the server knows it."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # SHA-1 is Redis's own name for it, and no secret.
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def of(cls, package: str, name: str) -> "Script":
        """The file `name` that lies in this package, such as `gateway.quota` and `reserve.lua`."""
        return cls(files(package).joinpath(name).read_text("utf-8"))
