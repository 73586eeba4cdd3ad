from __future__ import annotations

import pytest

from gnnseg.scoring import Scorer
from tests.scoring.made import made


@pytest.fixture
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return made(request.param)
