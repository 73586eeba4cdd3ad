"""A file server on the loopback address that misbehaves on demand."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gnnseg.data import download


@dataclass
class Server:
    """What is served, how, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    """Whether Range is respected."""
    lengths: bool = True
    """Whether Content-Length is sent."""
    wrong_range: bool = False
    """Whether a Range is answered with another."""
    status: dict[str, int] = field(default_factory=dict)
    """Paths that answer with an error."""
    cuts: list[int] = field(default_factory=list)
    """After how many bytes of the body to hang up: one entry an answer, the last for good if negative."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""

    def cut(self, length: int) -> int:
        """How many bytes of the next body to send."""
        if not self.cuts:
            return length
        if self.cuts[0] < 0:
            return min(length, -self.cuts[0])
        return min(length, self.cuts.pop(0))


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range")
            server.requests.append((name, asked))
            body = server.files.get(name)
            if body is None or name in server.status:
                self.send_error(server.status.get(name, 404))
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
            if start and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                first = start + 1 if server.wrong_range else start
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            if server.lengths:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            rest = body[start:]
            with contextlib.suppress(ConnectionError):  # a client may hang up
                self.wfile.write(rest[: server.cut(len(rest))])

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "RETRY_DELAY", 0.0)
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that GNNSEG_HOME names."""
    folder = tmp_path / "home"
    monkeypatch.setenv("GNNSEG_HOME", str(folder))
    return folder
