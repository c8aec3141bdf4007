"""Every model that can be bought here, by name: the one place where a family of models is entered.

Invariant: a model belongs to one family. What the configuration and the metrics name are these models and no others,
so what a client writes as `model` can never become a label. It must not know the families' fields.
"""

from typing import Any

from gateway.errors import RequestError
from gateway.protocol import cosyvoice, fun_music, qwen_tts
from gateway.protocol.family import ModelFamily

FAMILIES: tuple[ModelFamily[Any], ...] = (fun_music.FAMILY, cosyvoice.FAMILY, qwen_tts.FAMILY)
MODELS: dict[str, ModelFamily[Any]] = {model: family for family in FAMILIES for model in family.models}


def family_of(model: str) -> ModelFamily[Any]:
    """The family a model belongs to. Raises RequestError `invalid_input`, naming the models there are."""
    family = MODELS.get(model)
    if family is None:
        raise RequestError("invalid_input", f"The model must be one of {', '.join(MODELS)}.", param="model")
    return family
