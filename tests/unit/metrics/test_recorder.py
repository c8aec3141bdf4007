"""Tests of the recorder as a whole: no metric without a verb, and no caller can make series without end.

Invariant under test: recording never raises; tenants past the limit count as `other`; two recorders never mix. It must
not know when the verbs are called.
"""

import platform

import pytest

from metrics.catalogue import CATALOGUE
from metrics.recorder import Recorder
from tests.support.verbs import value
from tests.unit.metrics.verbs import test_buying, test_hearing, test_running


def test_every_row_has_a_verb() -> None:
    """A metric that nothing records is not in the catalogue."""
    moved = {one.metric for tests in (test_hearing, test_buying, test_running) for one in tests.TRIES}
    assert {row.name for row in CATALOGUE} - moved == {"build_info"}


def test_tenants_past_the_limit_are_other() -> None:
    """The first tenants have names, the rest share one; who has a name keeps it."""
    recorder = Recorder(max_tenants=2)
    for tenant in ("a", "b", "c", "d", "a"):
        recorder.audio_seconds(tenant, "settled", 1.0)
        recorder.quota_rejected(tenant, "rate")
    seconds = {tenant: value(recorder, "audio_seconds_total", tenant=tenant, state="settled") for tenant in "abcd"}
    assert seconds == {"a": 2.0, "b": 1.0, "c": None, "d": None}
    assert value(recorder, "audio_seconds_total", tenant="other", state="settled") == 2.0
    assert value(recorder, "quota_rejections_total", tenant="other", reason="rate") == 2.0


def test_no_tenant_at_all_may_have_a_name() -> None:
    """A limit of 0 names nobody."""
    recorder = Recorder(max_tenants=0)
    recorder.quota_rejected("a", "rate")
    assert value(recorder, "quota_rejections_total", tenant="other", reason="rate") == 1.0


def test_the_version_is_told() -> None:
    """`build_info` is 1 under the version that runs and the Python it runs on."""
    assert value(Recorder(version="9.9"), "build_info", version="9.9", python=platform.python_version()) == 1.0


def test_recorders_do_not_mix() -> None:
    """Two gateways in one process have their own numbers."""
    one, other = Recorder(), Recorder()
    one.stream_started()
    assert (value(one, "streams_active"), value(other, "streams_active")) == (1.0, 0.0)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_recording_never_raises(seconds: float) -> None:
    """Nonsense from outside may make a number wrong, but never ends what was being recorded."""
    recorder = Recorder()
    recorder.audio_seconds("acme", "settled", seconds)
    recorder.cost("acme", seconds)
    recorder.upstream_first_audio("m", seconds)
    recorder.upstream_sang(seconds)
    recorder.relayed(seconds)
    recorder.lagging(seconds, 3)
    recorder.loop_lag(seconds)
