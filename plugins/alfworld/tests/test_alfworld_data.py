"""Fetching the official archive: from a loopback server, resumed, checked, and unpacked safely."""

import hashlib
import io
import json
import os
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from skillbench_alfworld import data
from skillbench_alfworld.export import export_game
from skillbench_alfworld.generator import generate

from skillbench.errors import DataError, UsageError

NAME = "games.zip"
GRAMMAR = '"rhs": "Your task is to: X." template :: "move {o} to {r}"'


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


GAME = json.dumps(export_game(generate("train", 0), "", GRAMMAR)).encode()
MEMBER = "json_2.1.1/valid_seen/pick_and_place_simple-A-None-B-1/trial_1/game.tw-pddl"
CONTENT = zipped({MEMBER: GAME, "readme.txt": b"not a game"})


@pytest.fixture
def server():
    """A server of CONTENT that knows ranges; `server.cut` ends answers early, `ranges` may be off."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            host = self.server
            wanted = self.headers.get("Range")
            host.seen.append((self.path, wanted))
            if self.path.startswith("/gone"):
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
            if start >= len(host.content):
                self.send_error(416)
                return
            body = host.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: host.cut])

        def log_message(self, *args):
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.content, host.cut, host.ranges, host.seen = CONTENT, None, True, []
    host.url = f"http://127.0.0.1:{host.server_port}"
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield host
    host.shutdown()
    host.server_close()
    thread.join()


def archive(*urls: str, content: bytes = CONTENT) -> data.Archive:
    return data.Archive(NAME, urls, hashlib.sha256(content).hexdigest(), len(content))


def test_fetch_unpacks_and_verifies(server, tmp_path: Path):
    seen = []
    root = data.fetch(
        tmp_path,
        urls=[server.url],
        progress=lambda done, total, what: seen.append((done, total)),
        archive=archive(),
    )
    assert root == tmp_path
    assert (tmp_path / MEMBER).read_bytes() == GAME
    assert not list(tmp_path.glob("*.part"))
    assert (len(CONTENT), len(CONTENT)) in seen
    assert [f.parts[-2] for f in data.games(tmp_path, "valid_seen")] == ["trial_1"]
    report = data.verify(tmp_path)
    assert report.faults == [
        "valid_seen has 1 games, not 140; run `skillbench data fetch alfworld`"
    ]
    assert "train: 0 of 3553 games (absent)" in str(report)
    assert not report.ok
    assert report.wins == 0  # this one has no walkthrough


def test_fetch_goes_on_where_it_stopped(server, tmp_path: Path):
    server.cut = 1000
    with pytest.raises(DataError, match=r"ended after 1000 of \d+ bytes.*Run the command again"):
        data.fetch(tmp_path, archive=archive(f"{server.url}/{NAME}"))
    assert (tmp_path / f"{NAME}.part").stat().st_size == 1000
    server.cut = None
    data.fetch(tmp_path, archive=archive(f"{server.url}/{NAME}"))
    assert server.seen[-1][1] == "bytes=1000-"
    assert (tmp_path / MEMBER).read_bytes() == GAME


def test_server_without_ranges(server, tmp_path: Path):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:500])
    server.ranges = False
    data.fetch(tmp_path, archive=archive(f"{server.url}/{NAME}"))
    assert (tmp_path / MEMBER).exists()


def test_wrong_bytes_are_refused(server, tmp_path: Path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(DataError, match=r"sha256 is .* expected"):
        data.fetch(tmp_path, archive=archive(f"{server.url}/{NAME}"))
    assert not (tmp_path / "json_2.1.1").exists()
    assert not (tmp_path / f"{NAME}.part").exists()
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * len(CONTENT))  # complete, but not the right one
    server.content = CONTENT
    data.fetch(tmp_path, archive=archive(f"{server.url}/{NAME}"))


def test_mirrors_are_tried_in_turn(server, tmp_path: Path):
    urls = (f"{server.url}/gone", "ftp://nowhere.invalid/x", f"{server.url}/{NAME}")
    data.fetch(tmp_path, archive=archive(*urls))
    assert (tmp_path / MEMBER).exists()
    with pytest.raises(DataError, match=r"404.*not an http"):
        data.fetch(tmp_path, archive=archive(*urls[:2]))


def test_unwritable_place(server, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot store"):
        data.fetch(tmp_path / "file" / "x", urls=[server.url], archive=archive())


@pytest.mark.parametrize(
    "name",
    ["../json_2.1.1/evil", "/json_2.1.1/evil", "json_2.1.1/../../evil", "C:\\json_2.1.1\\evil"],
)
def test_unsafe_paths(tmp_path: Path, name: str):
    file = tmp_path / "in" / "a.zip"
    file.parent.mkdir()
    file.write_bytes(zipped({name: b"x"}))
    with pytest.raises(DataError, match="unsafe path"):
        data.unpack(file, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


def test_links_and_strangers(tmp_path: Path):
    link = zipfile.ZipInfo("json_2.1.1/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link"):
        data.unpack(tmp_path / "a.zip", tmp_path)
    with tarfile.open(tmp_path / "b.tar.xz", "w:xz") as tar:
        member = tarfile.TarInfo("json_2.1.1/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match="holds a link"):
        data.unpack(tmp_path / "b.tar.xz", tmp_path)
    (tmp_path / "c.zip").write_text("hello")
    with pytest.raises(DataError, match="neither a zip nor a tar"):
        data.unpack(tmp_path / "c.zip", tmp_path)
    (tmp_path / "d.zip").write_bytes(zipped({"readme.txt": b""}))
    with pytest.raises(DataError, match="holds no folder"):
        data.unpack(tmp_path / "d.zip", tmp_path)


def test_tar_is_unpacked_too(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as tar:
        member = tarfile.TarInfo(MEMBER)
        member.size = len(GAME)
        tar.addfile(member, io.BytesIO(GAME))
    assert data.unpack(tmp_path / "a.tar.xz", tmp_path) == 1
    assert (tmp_path / MEMBER).read_bytes() == GAME


def test_where_the_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "json_2.1.1"))
    assert data.path() == tmp_path  # the inner folder will do
    assert data.path(tmp_path / "other") == tmp_path / "other"
    monkeypatch.delenv("ALFWORLD_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.path() == tmp_path / "skillbench" / "alfworld"
    with pytest.raises(DataError, match="skillbench data fetch alfworld"):
        data.verify()
    with pytest.raises(UsageError, match="did you mean 'valid_seen'"):
        data.games(tmp_path, "valid_sen")


def test_corrupt_games_are_named(tmp_path: Path):
    for trial, content in (("trial_1", GAME), ("trial_2", GAME[:99])):
        file = tmp_path / os.path.dirname(MEMBER).replace("trial_1", trial) / "game.tw-pddl"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    faults = data.verify(tmp_path).faults
    assert any("trial_2" in f and "corrupt" in f for f in faults)
    assert not any("trial_1" in f for f in faults)


def test_the_licence_is_shown_and_an_archive_on_disk_is_taken(tmp_path, monkeypatch, capsys):
    """Offline installs: carry the archive over, and name it with --url or SKILLBENCH_MIRROR."""
    import hashlib
    import zipfile

    from skillbench_alfworld import data

    from skillbench.cli import main

    carried = tmp_path / "usb" / "games.zip"
    carried.parent.mkdir()
    with zipfile.ZipFile(carried, "w") as zipped:
        zipped.writestr("json_2.1.1/valid_seen/t/trial/game.tw-pddl", "{}")
    digest = hashlib.sha256(carried.read_bytes()).hexdigest()
    archive = data.Archive("games.zip", ("http://127.0.0.1:9/games.zip",), digest)
    real = data.fetch
    monkeypatch.setattr(data, "fetch", lambda *a, **kw: real(*a, archive=archive, **kw))
    assert (
        main(["data", "fetch", "alfworld", "--dest", str(tmp_path / "a"), "--url", str(carried)])
        == 0
    )
    assert "licence: ALFWorld (MIT" in capsys.readouterr().err
    assert (tmp_path / "a/json_2.1.1/valid_seen/t/trial/game.tw-pddl").is_file()
    assert carried.is_file()
    monkeypatch.setenv("SKILLBENCH_MIRROR", str(carried.parent))
    assert main(["data", "fetch", "alfworld", "--dest", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b/json_2.1.1/valid_seen/t/trial/game.tw-pddl").is_file()
    monkeypatch.setenv("SKILLBENCH_MIRROR", str(tmp_path / "nowhere"))
    assert main(["data", "fetch", "alfworld", "--dest", str(tmp_path / "c")]) == 1
    assert "trying the usual addresses" in capsys.readouterr().err
