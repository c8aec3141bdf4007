"""The usual settings: one for each codec, and such as a codec has.

Invariant under test: whatever format there is has a row here.
It must not know what is measured.
"""

from gateway.bench.codecs import CODECS, OPUS
from transcode.formats import FORMATS


def test_every_format_has_its_codec() -> None:
    """Under the codec's own name."""
    assert {form.codec for form in FORMATS.values()} == set(CODECS)
    assert all(spec.codec == name for name, spec in CODECS.items())
    assert CODECS["opus"] is OPUS
