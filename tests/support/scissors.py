"""Who cuts clips, played: it keeps what it was asked for, and the clip says what came.

Invariant: nothing is cut here.
It must not test anything itself.
"""

import asyncio
from dataclasses import dataclass, field

from gateway.errors import WavegateError
from transcode.edit import Edit
from transcode.formats import Format
from transcode.spec import Wish


@dataclass
class Scissors:
    """`orders` are (song, edit, format's name, wish); with a `refusal` nothing is cut, and when it is `full` nothing
    is even asked for. A clip waits for `hold`.
    """

    refusal: WavegateError | None = None
    full: WavegateError | None = None
    hold: asyncio.Event | None = None
    orders: list[tuple[bytes, Edit, str, Wish]] = field(default_factory=list)

    def check(self, edit: Edit, form: Format, wish: Wish) -> None:
        if self.full is not None:
            raise self.full

    async def cut(self, song: bytes, edit: Edit, form: Format, wish: Wish) -> bytes:
        self.orders.append((song, edit, form.name, wish))
        if self.hold is not None:
            await self.hold.wait()
        if self.refusal is not None:
            raise self.refusal
        return b"a clip of " + str(len(song)).encode()
