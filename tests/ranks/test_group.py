import pytest

from gnnseg.errors import ConfigError, TrainingError
from gnnseg.ranks import connect


@pytest.mark.parametrize("size", [None, "1"])
def test_a_process_that_was_started_alone_has_no_others(
    size: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size is not None:
        monkeypatch.setenv("WORLD_SIZE", size)
    assert connect() is None


def test_without_the_rest_of_what_torchrun_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match=r"cannot join the other processes: .*; start with torchrun"):
        connect()


def test_without_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.distributed.is_gloo_available", lambda: False)
    with pytest.raises(ConfigError, match="need a build of torch with gloo"):
        connect()
