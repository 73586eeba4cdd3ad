"""A finished run on a model hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gnnseg.checkpoint import load_run
from gnnseg.environment import version
from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.model_card import FILE

SENT = (
    FILE,
    "config.yaml",
    "manifest.json",
    "model.json",
    "new_users.json",
    "new_users.safetensors",
    "update.json",
    "model.safetensors",
    "embeddings.safetensors",
    "users.json",
    "items.json",
    "texts.json",
    "tags.json",
    "metrics.json",
    "segments.json",
    "fairness.json",
    "environment.json",
    "history.jsonl",
    "search.json",
)
"""Files of a run that are sent, where they are there; reports and the folders of trackers stay."""


def push(
    folder: str | Path, repo: str, *, public: bool = False, revision: str | None = None
) -> dict[str, Any]:
    """Send a finished run to Hugging Face's hub; downloaded from there, it is loaded like any other.

    A run holds outside ids and interactions of its users, so a repository is private unless ``public`` says
    otherwise, and one that is public already is refused. Who sends is known by ``HF_TOKEN`` or by
    ``hf auth login``; ``HF_ENDPOINT`` names another hub. No token is ever logged or shown.

    Args:
        folder: Of the run.
        repo: ``owner/name``; made if it is not there.
        public: Whether anybody may read it.
        revision: Branch; None for the main one.

    Returns:
        ``repo``, ``url`` of the commit, ``private`` and ``files``.

    Raises:
        CheckpointError: If there is no finished run.
        ConfigError: If a file of the run is a link, or ``repo`` is no name, or is public and ``public`` was
            not given.
        GnnsegError: If the hub refuses or is not reachable.
    """
    run = load_run(folder)
    files = [name for name in SENT if (run.folder / name).is_file()]
    for name in files:
        if (run.folder / name).is_symlink():  # a run of somebody else's making could send any file
            raise ConfigError(f"'{run.folder / name}' is a link and is not sent; put the file itself there")
    api = _api()
    try:
        api.create_repo(repo, private=not public, exist_ok=True)
        private = bool(api.repo_info(repo).private)
        if not (private or public):
            raise ConfigError(
                f"'{repo}' is public, and a run holds its users' ids; give --public, or another --repo"
            )
        done = api.upload_folder(
            repo_id=repo,
            folder_path=run.folder,
            allow_patterns=files,
            revision=revision,
            commit_message=f"{run.config.name} on {run.config.dataset.name}, gnnseg",
        )
    except GnnsegError:
        raise
    except (
        Exception
    ) as error:  # the hub's and the network's errors are of many kinds, which differ by version
        raise _told(error, repo, api.token) from None
    return {"repo": repo, "url": str(getattr(done, "commit_url", done)), "private": private, "files": files}


def _api() -> Any:
    from huggingface_hub import HfApi, get_token

    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT"),
        token=get_token(),
        library_name="gnnseg",
        library_version=version(),
    )


def _told(error: Exception, repo: str, token: str | None) -> GnnsegError:
    """An error of the hub in one line, without the token whatever the error says."""
    from huggingface_hub.errors import HFValidationError

    text = " ".join(str(error).split()) or type(error).__name__
    if token:
        text = text.replace(token, "***")
    if isinstance(error, HFValidationError):
        return ConfigError(f"'repo' must be a name such as me/movielens (got '{repo}')")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return GnnsegError(
            f"the hub does not let you write '{repo}' ({status}); set HF_TOKEN, or hf auth login"
        )
    return GnnsegError(f"cannot send to '{repo}': {text[:300]}")
