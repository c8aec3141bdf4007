"""The provider's keys: where they come from, and which of them works; nothing about what they open.

Invariant: no key is in any repr, error or log; there it has a name, the first 8 hex digits of its SHA-256. A key file
is read anew for each generation, in a thread, so a rotated key is used by the next one; what runs with a key that has
gone from the file runs on. A key that the provider refuses is set aside, for the model it was refused for.
It must not know the environment: the value is passed in.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.secret import Secret, SecretFileError, key_hash, key_id, shown_path
from gateway.errors import UpstreamError
from gateway.log import conceal
from gateway.log import event as log_event
from gateway.upstream.breaker import Circuit, CircuitBreaker

logger = logging.getLogger("wavegate.upstream")

# After this time a refused key gets one more try: it may have been mended at the provider.
SET_ASIDE_SECONDS = 30.0

_MAX_FILE_BYTES = 65536
_MAX_KEY_LENGTH = 4096
_MAX_KEYS = 64
# Of keys that were in the file, as many are remembered, so that they are written nowhere.
_MOST_HELD = 256
# One that is shorter, such as a simulator takes, stands in many a text by chance.
_LEAST_KEY = 8
_READ_TIMEOUT = 5.0
_ADVICE = "No other key is left: put one that works into DASHSCOPE_API_KEY or upstream.api_key_file."


class KeyRefusedError(UpstreamError):
    """The provider refuses the key of this call, and there is another one to try at once."""


def read_keys(path: str | Path) -> list[Secret]:
    """The keys in a file, one a line, in their order; blank lines and lines from # on are left out.

    Raises SecretFileError, whose sentence names the file and nothing in it, when there is no key or something else.
    """
    name = f"the key file {shown_path(path)}"
    file = Path(path)
    try:
        # Only a regular file of a sensible size: a pipe would hold the thread, a wrong path could be anything.
        if not file.is_file() or file.stat().st_size > _MAX_FILE_BYTES:
            raise SecretFileError(f"{name} is not there, or not a file of at most {_MAX_FILE_BYTES} bytes")
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:  # ValueError: not a file name, or not text
        if isinstance(error, SecretFileError):
            raise
        raise SecretFileError(f"{name} cannot be read as text") from None
    keys = [Secret(line) for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not keys:
        raise SecretFileError(f"{name} holds no key")
    if len(keys) > _MAX_KEYS or not all(map(_usable, keys)):
        raise SecretFileError(f"{name} must hold one key a line, of visible ASCII, and at most {_MAX_KEYS}")
    return list(dict.fromkeys(keys))


@dataclass(slots=True)
class _Circuit:
    """Whether one key works for one model; `sentence` is what was last said of it."""

    breaker: CircuitBreaker = field(
        default_factory=lambda: CircuitBreaker(
            failures=1, open_seconds=SET_ASIDE_SECONDS, probe_seconds=SET_ASIDE_SECONDS
        )
    )
    sentence: str = ""


class ProviderKey:
    """The key to buy with: given as `value`, or else the first that works of those in the file at `path`.

    A value wins, as the environment does over files.
    """

    def __init__(
        self,
        value: str | None = None,
        path: str | Path | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        value = (value or "").strip()
        self._value = Secret(value) if value else None
        self._path = Path(path) if path else None
        self._now = now
        self._keys: list[Secret] = []
        self._held: tuple[Secret, ...] = ()
        self._circuits: dict[tuple[Secret, str], _Circuit] = {}

    def __repr__(self) -> str:
        origin = "given" if self._value else "from a file" if self._path else "missing"
        return f"<ProviderKey {origin}>"

    @property
    def configured(self) -> bool:
        """Whether there is any place to take a key from; the file itself is not looked at."""
        return self._value is not None or self._path is not None

    def held(self) -> tuple[Secret, ...]:
        """All keys that were used since the start, for who keeps them out of what is written.

        Answers to calls with an older one may still come.
        """
        return self._held

    async def current(self, model: str) -> Secret:
        """The key for a generation with this model, as of now. Raises UpstreamError `upstream_refused` without one."""
        keys = await self._load()
        if keys != self._keys:
            # A key that is new in the file is as secret as those that were there at the start.
            real = [key for key in keys if len(key.reveal()) >= _LEAST_KEY]
            conceal(real)
            self._held = tuple(dict.fromkeys((*self._held, *real)))[-_MOST_HELD:]
        self._keys = keys
        known = set(self._keys)
        self._circuits = {at: circuit for at, circuit in self._circuits.items() if at[0] in known}
        now = self._now()
        circuits = {key: self._circuits.get((key, model)) for key in self._keys}
        for key, circuit in circuits.items():
            if circuit is None or circuit.breaker.allow(now):
                return key
        for key, circuit in circuits.items():
            # Another generation is trying it out at this moment: with nothing better, this one may as well.
            if circuit is not None and circuit.breaker.state(now) is Circuit.HALF_OPEN:
                return key
        sentences = [circuit.sentence for circuit in circuits.values() if circuit is not None]
        raise _refused(f"{sentences[0]} {_ADVICE}")

    def accepted(self, key: Secret, model: str) -> None:
        """The provider has taken a call with this key."""
        self._circuits.pop((key, model), None)

    def refused(self, key: Secret, model: str, error: UpstreamError) -> UpstreamError:
        """Sets the key aside. The error to raise: KeyRefusedError if another one is left, else one for the operator."""
        now = self._now()
        circuit = self._circuits.setdefault((key, model), _Circuit())
        circuit.breaker.failed(now)
        circuit.sentence = error.message
        name = key_id(key_hash(key.reveal()))
        log_event(logger, "upstream.key_set_aside", key=name, model=model)
        others = (self._circuits.get((other, model)) for other in self._keys if other != key)
        if any(other is None or other.breaker.state(now) is not Circuit.OPEN for other in others):
            return KeyRefusedError(error.code, error.message, request_id=error.request_id)
        return UpstreamError(error.code, f"{error.message} {_ADVICE}", request_id=error.request_id)

    async def _load(self) -> list[Secret]:
        if self._value is not None:
            if not _usable(self._value):
                raise _refused("The gateway's provider key is empty or has characters that no key has.")
            return [self._value]
        if self._path is None:
            raise _refused("The gateway has no provider key. Set DASHSCOPE_API_KEY or upstream.api_key_file.")
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                return await asyncio.to_thread(read_keys, self._path)
        except SecretFileError as error:
            reason = str(error)
        except TimeoutError:
            reason = "reading takes too long"
        failure = _refused("The gateway cannot read its provider key. The operator must check upstream.api_key_file.")
        failure.add_note(reason)  # for the log alone
        raise failure


def _usable(key: Secret) -> bool:
    # It goes into a header: anything but visible ASCII would be an injection or a paste accident.
    value = key.reveal()
    return 0 < len(value) <= _MAX_KEY_LENGTH and all("!" <= character <= "~" for character in value)


def _refused(message: str) -> UpstreamError:
    return UpstreamError("upstream_refused", message)
