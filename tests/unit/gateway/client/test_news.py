"""What is told beside the sound, kept.

Invariant under test: the last word counts, what was not told is None, and what is no news changes nothing.
No network is involved.
"""

from gateway.client.news import News
from gateway.client.wire import Frame
from gateway.model import Flag, Kind
from gateway.protocol import events
from gateway.protocol.frames import Header
from tests.unit.gateway.client.conftest import FORMAT, info

BUDGET = events.QuotaBudget(5, 1, 4, None)


def test_nothing_is_known_of_a_song_that_was_joined() -> None:
    """Until something is told."""
    news = News(None)
    assert (news.title, news.lyrics, news.listeners, news.queued, news.quota) == (None, None, None, None, None)
    assert news.generated == 0.0


def test_an_order_is_answered_with_the_first_news() -> None:
    """Its stream's title, words and length so far."""
    news = News(info(lyrics="la", listeners=2, duration_seconds=1.5))
    assert (news.title, news.lyrics, news.listeners, news.generated) == ("Rain", "la", 2, 1.5)


def test_what_is_told_last_counts() -> None:
    """Each field by itself; how much has been made never shrinks."""
    news = News(info())
    news.take(events.StreamMetadata("s", 3.0, listeners=4, lyrics="la la", title="Drizzle"))
    news.take(events.StreamMetadata("s", 2.0))
    assert (news.title, news.lyrics, news.listeners, news.generated) == ("Drizzle", "la la", 4, 3.0)
    news.take(events.StreamMetadata("s", 2.0, generated_seconds=9.0))
    assert news.generated == 9.0


def test_a_place_in_the_queue_lasts_until_it_sounds() -> None:
    """Position and estimate, the last ones."""
    news = News(None)
    news.take(events.StreamQueued("s", 3, 1250))
    news.take(events.StreamQueued("s", 2, None))
    assert news.queued == events.StreamQueued("s", 2, None)
    news.take(events.StreamStarted("s", 1, 1, 0, FORMAT))
    assert news.queued is None


def test_the_budget_is_kept() -> None:
    """As it was told."""
    news, quota = News(None), events.QuotaUpdated(BUDGET, BUDGET, BUDGET, BUDGET, ["concurrent_streams"])
    news.take(quota)
    assert news.quota is quota


def test_audio_is_no_news() -> None:
    """Nothing changes by it."""
    news = News(info())
    before = vars(news).copy()
    news.take(Frame(Header(Kind.AUDIO, Flag.NONE, 1, 0, 0, 10), b"x"))
    assert vars(news) == before
