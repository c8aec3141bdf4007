"""The table of models: each is found, belongs to one family, and whatever a family says of its request is true.

Invariant under test: adding a family is adding a row; nothing else has to be told.
It must not know any family's fields.
"""

from collections import Counter
from dataclasses import fields

import pytest

from gateway.errors import RequestError
from gateway.protocol.families import FAMILIES, MODELS, family_of
from transcode.formats import FORMATS


def test_every_model_has_one_family() -> None:
    """No name stands twice."""
    counts = Counter(model for family in FAMILIES for model in family.models)
    assert set(counts.values()) == {1}
    assert all(model in family_of(model).models for model in MODELS)


def test_a_family_takes_fields_that_its_input_has_and_formats_that_are_known() -> None:
    """What a client may give can be held, and what comes can be cut into frames."""
    for family in FAMILIES:
        assert family.fields <= {field.name for field in fields(family.input)}
        assert set(family.formats) <= set(FORMATS)


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(RequestError) as caught:
        family_of("fun-music-v9")
    assert (caught.value.code, caught.value.param) == ("invalid_input", "model")
    assert "cosyvoice-v3-flash" in caught.value.message
