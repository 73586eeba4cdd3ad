"""Configs that must be refused."""

from __future__ import annotations

from typing import Any

import pytest

from gnnseg.config import (
    load_config,
)
from gnnseg.errors import ConfigError


def failure(content: Any, *overrides: str, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(content, overrides, **changes)
    message = str(caught.value)
    assert "\n" not in message
    return message
