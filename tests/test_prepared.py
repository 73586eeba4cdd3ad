"""What is refused before any data are read."""

from __future__ import annotations

import pytest
import torch

from gnnseg.config import load_dataset_config
from gnnseg.errors import ConfigError
from gnnseg.prepared import prepare


@pytest.mark.parametrize("split", ["ColdItems", "ColdUsers"])
def test_splits_whose_figures_a_run_would_mix_are_refused(split: str) -> None:
    config = load_dataset_config("movielens").model_copy(update={"split": {"name": split}})
    with pytest.raises(ConfigError, match=rf"split {split} is for Python .* use Random or Temporal"):
        prepare(config, torch.device("cpu"))
