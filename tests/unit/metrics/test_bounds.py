"""Tests of the bounds: which label values get series of their own, whatever comes, in whatever order.

Invariant under test: whoever was named once stays named, listed values always are, and there are never more than the
label allows. It must not know who records.
"""

from hypothesis import given
from hypothesis import strategies as some

from metrics import labels
from metrics.bounds import Bounds


@given(some.lists(some.text(max_size=3) | some.sampled_from(["lag", "other", "retention"]), max_size=40))
def test_values_stay_few_and_keep_their_names(values: list[str]) -> None:
    """Listed ones by name, a few more by name as long as there is room, and the rest as one."""
    bounds = Bounds(3)
    named = {value: bounds.names("gaps", (value,))[0] for value in values}
    assert named == {value: bounds.names("gaps", (value,))[0] for value in reversed(values)}
    assert all(name in (value, "other") for value, name in named.items())
    assert len(set(named.values()) - {"other"}) <= labels.GAP.most(3)
    assert all(named[value] == value for value in labels.GAP.values if value in named)


@given(some.lists(some.tuples(some.booleans(), some.sampled_from("abcdefgh")), max_size=30))
def test_a_tenant_has_one_name_in_all_metrics(uses: list[tuple[bool, str]]) -> None:
    """Whichever metric a tenant came with first: by name in all or in none."""
    bounds, names = Bounds(3), dict[str, set[str]]()
    for priced, tenant in uses:
        name = bounds.names("cost", (tenant,)) if priced else bounds.names("audio_seconds", (tenant, "settled"))[:1]
        names.setdefault(tenant, set()).add(*name)
    assert all(len(one) == 1 for one in names.values())
    assert len({name for one in names.values() for name in one} - {"other"}) <= 3
