"""The songs that are known: each made once, kept while there is room, and found again by the name in its url.

Invariant: a song that is being read is never forgotten; beyond `max_bytes` the least recently used of the others are.
It must not know sound, requests or pacing.
"""

from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from gateway.upstream.simulator.recipe import Recipe
from gateway.upstream.simulator.song import Song

MAX_BYTES = 256 * 1024 * 1024
_THREADS = 2


class SongBook:
    """All songs of one simulator, and the threads that make them."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._songs: OrderedDict[str, Song] = OrderedDict()
        self._max_bytes = max_bytes
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="simulator")

    def __len__(self) -> int:
        return len(self._songs)

    @contextmanager
    def reading(self, recipe: Recipe) -> Iterator[Song]:
        """The song of a recipe, new or known, safe from being forgotten inside the block."""
        song = self._songs.get(recipe.key)
        if song is None or song.failed:
            song = self._songs[recipe.key] = Song(recipe, self._pool)
        self._songs.move_to_end(recipe.key)
        song.readers += 1
        try:
            yield song
        finally:
            song.readers -= 1
            self._forget()

    def find(self, key: str) -> Song | None:
        """A song that has been made whole and is still known."""
        song = self._songs.get(key)
        if song is None or not song.whole:
            return None
        self._songs.move_to_end(key)
        return song

    async def close(self) -> None:
        """Lets the pieces in hand be finished and forgets everything."""
        for song in self._songs.values():
            await song.close()
        self._songs.clear()
        # Nothing is queued any more, so the threads have nothing to wait for.
        self._pool.shutdown(wait=False)

    def _forget(self) -> None:
        size = sum(map(len, self._songs.values()))
        for key, song in list(self._songs.items()):
            if size <= self._max_bytes:
                return
            if song.readers == 0 and not song.working:
                size -= len(song)
                del self._songs[key]
