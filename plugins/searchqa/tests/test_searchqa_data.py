"""Fetching and verifying, against a real server on this machine with files of the official form."""

import gzip
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from skillbench_searchqa import data
from skillbench_searchqa.env import SearchqaEnvironment

from skillbench.cli import main
from skillbench.errors import DataError


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, whole or from an offset, as the publishers' servers do."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Range")))
        file = Path(self.translate_path(self.path))
        offset = self.headers.get("Range")
        if offset and file.is_file():
            content = file.read_bytes()
            start = int(offset.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:])
            return
        super().do_GET()

    def log_message(self, *args):
        pass


def rows(name: str, count: int) -> str:
    return "".join(
        json.dumps(
            {
                "id": f"test_{i}",
                "question": f"Who is {name} {i}?",
                "golden_answers": [f"{name} {i}"],
                "metadata": {},
            }
        )
        + "\n"
        for i in range(count)
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The address of a folder with small files under the official names."""
    folder = tmp_path_factory.mktemp("server")
    for name in data.files():
        if name == data.CORPUS:
            lines = [
                {"id": str(i), "contents": f'"Page {i}"\nnq {i} is a person.'} for i in range(50)
            ]
            with gzip.open(folder / name, "wt") as out:
                out.writelines(json.dumps(line) + "\n" for line in lines)
        else:
            (folder / name).write_text(
                rows(name.split(".")[0], 4 if name != "bamboogle.test.jsonl" else 125)
            )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch_play_verify(source, tmp_path: Path, capsys):
    url, _ = source
    Quiet.asked = []
    assert main(["data", "fetch", "searchqa", "--dest", str(tmp_path), "--url", url]) == 0
    assert {p for p, _ in Quiet.asked} == {f"/{name}" for name in data.files()}
    assert list((tmp_path / "official").glob("*.part")) == []
    sums = json.loads((tmp_path / "official" / data.SUMS).read_text())
    for name in data.files():
        content = (tmp_path / "official" / name).read_bytes()
        assert sums[name] == hashlib.sha256(content).hexdigest()

    env = SearchqaEnvironment(source="official", data=str(tmp_path), cache=str(tmp_path / "c"))
    assert env.label == "searchqa"
    tasks = env.tasks("test")
    assert {t.task_type for t in tasks} == set(data.TEST_SETS)
    assert {t.task_type for t in env.tasks("train")} == set(data.TRAIN_SETS)
    task = next(t for t in tasks if t.id == "official/nq/test_3")
    assert task.goal == "Who is nq 3?"
    env.reset(options={"task": task.id})
    assert "nq 3 is a person." in env.step("<search>nq 3</search>")[0].splitlines()[0]
    assert env.step("<answer>nq 3</answer>")[4]["success"]

    # Four questions are not the published number; Bamboogle's 125 are.
    assert main(["data", "verify", "searchqa", "--dest", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "4 questions, not 3610" in said
    assert "bamboogle.test.jsonl, 125 questions" in said
    assert "bamboogle.test.jsonl: 125" not in said

    Quiet.asked = []
    data.fetch(tmp_path, urls=[url])  # nothing is missing
    assert Quiet.asked == []


def test_download_goes_on(source, tmp_path: Path):
    url, folder = source
    home = tmp_path / "official"
    home.mkdir()
    whole = (folder / "nq.test.jsonl").read_bytes()
    (home / "nq.test.jsonl.part").write_bytes(whole[:100])
    full = (folder / "triviaqa.test.jsonl").read_bytes()
    (home / "triviaqa.test.jsonl.part").write_bytes(full)  # complete, but not yet renamed
    Quiet.asked = []
    seen = []
    data.fetch(
        tmp_path, urls=[url], progress=lambda done, total, what: seen.append((done, total, what))
    )
    assert ("/nq.test.jsonl", "bytes=100-") in Quiet.asked
    assert (home / "nq.test.jsonl").read_bytes() == whole
    assert (home / "triviaqa.test.jsonl").read_bytes() == full
    assert (len(whole), len(whole), "nq.test.jsonl") in seen


def test_changed_bytes_are_noticed(source, tmp_path: Path):
    data.fetch(tmp_path, urls=[source[0]])
    file = tmp_path / "official" / "bamboogle.test.jsonl"
    file.write_text(rows("other", 125))
    report = data.verify(tmp_path)
    assert any("other bytes" in f and "bamboogle" in f for f in report.faults)
    file.write_text(rows("other", 125) + "{\n")
    (tmp_path / "official" / data.SUMS).unlink()
    assert any("line 126 is damaged" in f for f in data.verify(tmp_path).faults)


def test_no_server_says_what_to_do(source, tmp_path: Path):
    with pytest.raises(DataError, match="Run the command again"):
        data.fetch(tmp_path, urls=[source[0] + "/nowhere"])
    with pytest.raises(DataError, match="not an http"):
        data.fetch(tmp_path, urls=["file:///etc"])
    (tmp_path / "taken").write_text("x")
    with pytest.raises(DataError, match="--dest"):
        data.fetch(tmp_path / "taken", urls=[source[0]])


def test_nothing_to_verify(tmp_path: Path):
    with pytest.raises(DataError, match="skillbench data fetch searchqa"):
        data.verify(tmp_path)


def test_mini_is_verified(mini: Path):
    report = data.verify(mini)
    assert report.ok, str(report)
    assert "792 questions" in str(report)
    assert "10000 passages" in str(report)


def test_mini_without_some_passages(mini: Path, tmp_path: Path):
    (tmp_path / "questions.jsonl").write_bytes((mini / "questions.jsonl").read_bytes())
    with gzip.open(tmp_path / "corpus_10k.jsonl.gz", "wt") as out:
        out.write(json.dumps({"id": "x", "contents": "nothing"}) + "\n")
    report = data.verify(tmp_path)
    assert any("lacks" in f and "SEARCHQA_DATA" in f for f in report.faults)
    assert "corpus_32k.jsonl.gz is absent" in str(report)


def test_addresses():
    found = data.files()
    assert found["hotpotqa.dev.jsonl"].endswith("/hotpotqa/dev.jsonl")
    assert list(found)[-1] == data.CORPUS
    assert all(u.startswith("https://huggingface.co/") for u in found.values())
