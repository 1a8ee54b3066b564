"""Downloads from disk and from a loopback server; the plugins' data tests try whole archives."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skillbench.errors import DataError
from skillbench.fetch import Remote, download, home, sha256

BYTES = bytes(range(256)) * 9
DIGEST = hashlib.sha256(BYTES).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves BYTES, with ranges; a range at the end is refused as servers do."""

    asked: list[str | None] = []  # noqa: RUF012 - one server at a time

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(BYTES):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(BYTES)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BYTES) - start))
        self.end_headers()
        self.wfile.write(BYTES[start:])

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def url() -> Any:
    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.asked.clear()
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{host.server_port}/x"
    host.shutdown()
    host.server_close()
    thread.join()


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_file_of_this_machine_is_taken(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "carried").write_bytes(BYTES)
    remote = Remote("x", (f"{prefix}{tmp_path}/carried",), DIGEST)
    download(remote, tmp_path / "x.part", otherwise="or not")
    assert sha256(tmp_path / "x.part") == DIGEST


def test_what_is_whole_is_not_asked_for_again(url: str, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(BYTES)
    download(Remote("x", (url,), DIGEST), part, otherwise="")
    assert Handler.asked == []
    download(Remote("x", (url,)), part, otherwise="")  # only the server knows that it is whole
    assert Handler.asked == [f"bytes={len(BYTES)}-"]
    assert part.read_bytes() == BYTES


def test_a_part_that_is_too_long_is_begun_anew(url: str, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(BYTES + b"more")
    download(Remote("x", (url,), DIGEST), part, otherwise="")
    assert part.read_bytes() == BYTES
    assert Handler.asked == [f"bytes={len(BYTES) + 4}-", None]


def test_every_address_is_named_with_its_fault(url: str, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"other")
    remote = Remote("x", (str(tmp_path / "wrong"), str(tmp_path / "none")), DIGEST)
    with pytest.raises(DataError) as error:
        download(remote, tmp_path / "x.part", otherwise="or bring it yourself")
    said = str(error.value)
    assert "wrong: sha256 is" in said and "none: not an http(s) address" in said
    assert said.endswith(
        "Run the command again (it goes on where it stopped), or bring it yourself"
    )
    assert not (tmp_path / "x.part").exists()


def test_where_data_lies(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KITCHEN_DATA", raising=False)
    assert home("kitchen", "KITCHEN_DATA") == tmp_path / "skillbench" / "kitchen"
    monkeypatch.setenv("KITCHEN_DATA", str(tmp_path / "mine"))
    assert home("kitchen", "KITCHEN_DATA") == tmp_path / "mine"
    assert home("kitchen", "KITCHEN_DATA", tmp_path / "given") == tmp_path / "given"
