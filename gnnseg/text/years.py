"""The year that a text names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gnnseg.components import PositiveFloat
from gnnseg.text.base import Progress, TextEncoder, as_texts

YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
FIRST, LAST = 1800, 2099


class YearEncoder(TextEncoder):
    """The last year that a text names, as Gaussian bumps along the years, scaled to length 1.

    Vectors of near years have a large cosine, about ``exp(-(a - b)^2 / (4 width^2))``, which words and
    sentence vectors do not know of "1994" and "1996". A text without a year from 1800 to 2099 is a row of
    zeros.

    Args:
        width: Standard deviation of a bump, in years; bumps stand as far apart.
    """

    def __init__(self, *, width: PositiveFloat = 5.0) -> None:
        self.width = width

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Vectors of the texts, ``[len(texts), about 300 / width]`` float32 on the CPU."""
        texts = as_texts(texts)
        found = [YEAR.findall(text) for text in texts]
        years = torch.tensor([float(one[-1]) if one else torch.nan for one in found]).unsqueeze(1)
        centres = torch.arange(FIRST, LAST + self.width, self.width)
        bumps = torch.exp(-0.5 * ((years - centres) / self.width).square())
        if progress is not None:
            progress(len(texts))
        return normalize(bumps.nan_to_num(0.0), dim=1)
