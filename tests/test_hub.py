from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from gnnseg import hub
from gnnseg.recommend import Recommender
from tests.cli.invoking import failure, invoke, output, printed
from tests.runs import saved_run, unsealed

TOKEN = "hf_secretsecretsecret"


class StandIn:
    """What :mod:`gnnseg.hub` asks of the library, answered from a folder."""

    def __init__(self, folder: Path, private: bool | None = None, error: Exception | None = None) -> None:
        self.folder, self.private, self.error, self.token = folder, private, error, TOKEN
        self.said: dict[str, Any] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        if self.error is not None:
            raise self.error
        assert exist_ok
        self.private = private if self.private is None else self.private

    def repo_info(self, repo_id: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], **more: Any
    ) -> SimpleNamespace:
        self.said = more
        for path in folder_path.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                (self.folder / path.name).write_bytes(path.read_bytes())
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path / "there")
    found.folder.mkdir()
    monkeypatch.setattr(hub, "_api", lambda: found)
    return found


def test_what_is_pushed_is_a_run(stand_in: StandIn) -> None:
    (saved_run() / "report.html").touch()
    found = printed("push", saved_run(), "--repo", "me/small", "--revision", "next")
    (saved_run() / "report.html").unlink()
    assert found["private"] is True
    assert found["url"] == "https://hub/me/small/commit/1"
    assert set(found["files"]) == {p.name for p in stand_in.folder.iterdir()}
    assert {p.name for p in saved_run().iterdir() if p.is_file()} == set(found["files"])
    assert stand_in.said["revision"] == "next"
    there, here = Recommender.load(stand_in.folder), Recommender.load(saved_run())
    assert there.recommend(["1000"]) == here.recommend(["1000"])


def test_private_unless_public_is_said(stand_in: StandIn) -> None:
    assert "(private)" in output("push", saved_run(), "--repo", "me/small")
    stand_in.private = None
    assert "(public)" in output("push", saved_run(), "--repo", "me/small", "--public")
    assert invoke("push", saved_run(), "--repo", "me/small", "--public", "--quiet").stdout == ""


def test_a_public_repository_is_refused(stand_in: StandIn) -> None:
    stand_in.private = False
    problem = failure("push", saved_run(), "--repo", "me/small")
    assert problem.startswith("'me/small' is public, and a run holds its users' ids")
    assert not list(stand_in.folder.iterdir())


def test_no_token_in_any_error(stand_in: StandIn) -> None:
    stand_in.error = RuntimeError(f"no way\nwith {TOKEN} at all")
    problem = failure("push", saved_run(), "--repo", "me/small")
    assert problem == "cannot send to 'me/small': no way with *** at all"


def test_a_link_is_not_sent(stand_in: StandIn, tmp_path: Path) -> None:
    """Somebody else's run could name any file of this machine."""
    run = unsealed(saved_run(), tmp_path / "run")
    (tmp_path / "secret").write_text("secret")
    (run / "history.jsonl").unlink()
    (run / "history.jsonl").symlink_to(tmp_path / "secret")
    assert "history.jsonl' is a link and is not sent" in failure("push", run, "--repo", "me/small")
    assert not list(stand_in.folder.iterdir())


def test_no_run(stand_in: StandIn, tmp_path: Path) -> None:
    assert "there is no run" in failure("push", tmp_path / "absent", "--repo", "me/small")


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine that knows nobody; the tokens it was sent."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.headers.get("Authorization", ""))
            body = json.dumps({"error": "Invalid username or password."}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # read from the environment once
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_library_itself_against_a_hub_that_refuses(
    refusing: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    problem = failure("push", saved_run(), "--repo", "me/small")
    assert problem == "the hub does not let you write 'me/small' (401); set HF_TOKEN, or hf auth login"
    assert f"Bearer {TOKEN}" in refusing
    assert TOKEN not in caplog.text


def test_a_name_that_is_none(refusing: list[str]) -> None:
    problem = failure("push", saved_run(), "--repo", "not a name!")
    assert problem == "'repo' must be a name such as me/movielens (got 'not a name!')"
    assert refusing == []
