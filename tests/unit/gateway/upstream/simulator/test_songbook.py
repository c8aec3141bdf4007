"""The book of songs.

Invariant tested: equal recipes share a song, the least recently used are forgotten first, and what is read is kept.
It must not know requests.
"""

from collections.abc import AsyncIterator

import pytest

from gateway.upstream.simulator.recipe import Recipe
from gateway.upstream.simulator.song import SongFailed
from gateway.upstream.simulator.songbook import SongBook


def scale(seconds: float, bitrate: int = 192000) -> Recipe:
    return Recipe("scale", seconds, "", "", None, "mp3", bitrate, watermark=False, streamed=True)


@pytest.fixture
async def small() -> AsyncIterator[SongBook]:
    """A book with room for about two seconds of sound."""
    book = SongBook(max_bytes=55000)
    yield book
    await book.close()


async def test_equal_recipes_share_a_song(small: SongBook) -> None:
    """A song is made once, whoever asks."""
    with small.reading(scale(1)) as one, small.reading(scale(1)) as two:
        assert one is two
        assert one.readers == 2
    assert one.readers == 0


async def test_only_whole_songs_are_found(small: SongBook) -> None:
    """A url works once the song is whole, and for known names only."""
    recipe = scale(1)
    with small.reading(recipe) as song:
        assert small.find(recipe.key) is None
        await song.finish()
        assert small.find(recipe.key) is song
    assert small.find("nothing") is None


async def test_the_least_recently_used_is_forgotten(small: SongBook) -> None:
    """With room for two, a third pushes out the one that was longest untouched."""
    recipes = [scale(seconds) for seconds in (0.9, 0.8, 0.7)]
    for recipe in recipes[:2]:
        with small.reading(recipe) as song:
            await song.finish()
    assert small.find(recipes[0].key) is not None
    with small.reading(recipes[2]) as song:
        await song.finish()
    assert [small.find(recipe.key) is not None for recipe in recipes] == [True, False, True]
    assert len(small) == 2


async def test_what_is_read_is_kept(small: SongBook) -> None:
    """A song larger than all room stays while somebody reads it, and goes after."""
    with small.reading(scale(4)) as long:
        await long.finish()
        with small.reading(scale(0.5)) as short:
            await short.finish()
        assert small.find(scale(4).key) is long
    assert small.find(scale(4).key) is None


async def test_a_failed_song_is_made_anew(small: SongBook) -> None:
    """A failure is not remembered."""
    broken = scale(1, bitrate=1)
    with small.reading(broken) as first, pytest.raises(SongFailed):
        await first.finish()
    with small.reading(broken) as second:
        assert second is not first


async def test_closing_forgets_everything() -> None:
    """After closing, no song and no thread is left, even in the middle of one."""
    book = SongBook()
    with book.reading(scale(600)) as song:
        await song.read(0, 10)
        await book.close()
    assert len(book) == 0
    with pytest.raises(SongFailed):
        await song.read(10**7, 10)
