"""The metrics of processes that come and go: what the page says over their lives.

Invariant under test: no counter of it ever goes backwards, and no number of processes makes more tenants than may be.
It must not know how the processes are asked.
"""

from hypothesis import given, settings
from hypothesis import strategies as some

from metrics.exposition import render
from metrics.recorder import Recorder
from metrics.totals import Totals


def page(recorder: Recorder) -> str:
    return render(recorder.registry, "")[0].decode()


def value(totals: Totals, name: str, **labels: str) -> float | None:
    for metric in totals.collect():
        for sample in metric.samples:
            if (sample.name, sample.labels) == (f"wavegate_{name}", labels):
                return sample.value
    return None


@settings(max_examples=15, deadline=None)
@given(some.lists(some.tuples(some.integers(0, 2), some.sampled_from(["count", "look", "die"])), max_size=12))
def test_a_counter_never_goes_backwards(events: list[tuple[int, str]]) -> None:
    """Whatever each of three places does: what was once told is told for ever, and what was looked at is in it."""
    totals, seen = Totals(), 0.0
    recorders = [Recorder() for _ in range(3)]
    counted, looked, past = [0, 0, 0], [0, 0, 0], 0
    for place, event in events:
        recorder = recorders[place]
        if event == "count":
            recorder.listener_joined("http", "mp3")
            counted[place] += 1
        elif event == "look":
            totals.look(recorder, page(recorder))
            looked[place] = counted[place]
        else:
            totals.gone(recorder)
            totals.gone(recorder)
            past += looked[place]
            recorders[place], counted[place], looked[place] = Recorder(), 0, 0
        now = value(totals, "listener_joins_total") or 0.0
        assert now >= seen
        assert now == past + sum(looked)
        seen = now
    assert (value(totals, "listeners", transport="http", codec="mp3") or 0.0) == sum(looked)


def test_tenants_past_the_limit_are_other() -> None:
    """Over all processes, the dead ones too; a tenant that is called other is no other tenant."""
    totals = Totals(max_tenants=2)
    for names in (("a", "b"), ("b", "c"), ("d", "other"), ("a",)):
        recorder = Recorder(max_tenants=2)
        for name in names:
            recorder.audio_seconds(name, "settled", 1.0)
        totals.look(recorder, page(recorder))
        totals.gone(recorder)
    found = {
        sample.labels["tenant"]: sample.value
        for metric in totals.collect()
        for sample in metric.samples
        if sample.name == "wavegate_audio_seconds_total"
    }
    assert found == {"a": 2.0, "b": 2.0, "other": 3.0}
