"""What is refused before any data are read."""

from __future__ import annotations

import pytest
import torch

from gnnseg.config import load_dataset_config
from gnnseg.errors import ConfigError
from gnnseg.prepared import prepare


def test_a_split_whose_figures_a_run_would_mix_is_refused() -> None:
    config = load_dataset_config("movielens").model_copy(update={"split": {"name": "ColdUsers"}})
    with pytest.raises(ConfigError, match=r"split ColdUsers is for Python .* use Random or Temporal"):
        prepare(config, torch.device("cpu"))
