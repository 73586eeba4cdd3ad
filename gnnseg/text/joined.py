"""What several text encoders say, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor
from torch.nn.functional import normalize

from gnnseg.components import Kind, NonNegativeFloat, Spec
from gnnseg.errors import ConfigError
from gnnseg.text.base import Progress, TextEncoder

TEXT_ENCODERS: Kind[TextEncoder] = Kind("text encoder", TextEncoder, "gnnseg.text")

Part = Annotated[Spec, BeforeValidator(TEXT_ENCODERS.resolve)]
"""An encoder's spec, resolved: a saved config holds its hyper-parameters too."""


class Joined(TextEncoder):
    """Vectors of several encoders side by side, so that a cosine is the weighted mean of theirs.

    Each encoder's vector is scaled to length ``sqrt(w)``; the whole has length 1 where every part has
    something to say.

    Args:
        encoders: Two or more text encoders, as specs.
        weights: ``w``, one an encoder, relative to each other; all alike by default.

    Raises:
        ConfigError: If there are fewer than two encoders, or not as many weights.
    """

    def __init__(
        self,
        *,
        encoders: Sequence[Part] = ("TransformerEncoder", "TfidfEncoder"),
        weights: Sequence[NonNegativeFloat] | None = None,
    ) -> None:
        if len(encoders) < 2:
            raise ConfigError(f"Joined: 'encoders' must name at least two (got {len(encoders)})")
        weights = [1.0] * len(encoders) if weights is None else list(weights)
        if len(weights) != len(encoders) or not sum(weights):
            raise ConfigError(
                f"Joined: 'weights' must hold one for each of the {len(encoders)} encoders, not all zero "
                f"(got {weights})"
            )
        self.encoders = [TEXT_ENCODERS.create(encoder) for encoder in encoders]
        self.weights = [weight / sum(weights) for weight in weights]

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Vectors of the texts, ``[len(texts), f_1 + f_2 + ...]`` float32 on the CPU."""
        parts: list[Tensor] = []
        for encoder, weight in zip(self.encoders, self.weights, strict=True):
            encoder.device = self.device
            own = progress if not parts else None  # texts are counted once
            parts.append(normalize(encoder.encode(texts, own), dim=1) * weight**0.5)
        return torch.cat(parts, dim=1)

    def describe(self) -> dict[str, Any]:
        """What is recorded of each encoder."""
        return {"parts": [encoder.describe() for encoder in self.encoders], "weights": self.weights}
