"""The provider's key: where it comes from, and nothing about what it opens.

Invariant: the key is in no repr and in no error. A key file is read anew for each generation, in a thread, so a
rotated key is used by the next one without a restart. It must not know the environment: the value is passed in.
"""

import asyncio
from pathlib import Path

from gateway.errors import UpstreamError

_MAX_BYTES = 4096
_READ_TIMEOUT = 5.0


class ProviderKey:
    """A key given as `value`, or else kept in the file at `path`. A value wins, as the environment does over files."""

    def __init__(self, value: str | None = None, path: str | Path | None = None) -> None:
        self._value = (value or "").strip() or None
        self._path = Path(path) if path else None

    def __repr__(self) -> str:
        origin = "given" if self._value else "from a file" if self._path else "missing"
        return f"<ProviderKey {origin}>"

    @property
    def configured(self) -> bool:
        """Whether there is any place to take a key from; the file itself is not looked at."""
        return self._value is not None or self._path is not None

    async def current(self) -> str:
        """The key as of now. Raises UpstreamError `upstream_refused` when there is none that can be used."""
        if self._value is not None:
            return self._usable(self._value)
        if self._path is None:
            raise _refused("The gateway has no provider key. Set DASHSCOPE_API_KEY or upstream.api_key_file.")
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                text = await asyncio.to_thread(self._read, self._path)
        except (OSError, UnicodeDecodeError):  # A timeout is an OSError too.
            text = None
        if text is None:
            raise _refused("The gateway cannot read its provider key. The operator must check upstream.api_key_file.")
        return self._usable(text.strip())

    @staticmethod
    def _read(path: Path) -> str | None:
        # Only a regular file of a key's size: a pipe would hold the thread, a wrong path could be anything.
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text("ascii")

    @staticmethod
    def _usable(key: str) -> str:
        # It goes into a header: anything but visible ASCII would be an injection or a paste accident.
        if not key or not all("!" <= character <= "~" for character in key):
            raise _refused("The gateway's provider key is empty or has characters that no key has.")
        return key


def _refused(message: str) -> UpstreamError:
    return UpstreamError("upstream_refused", message)
