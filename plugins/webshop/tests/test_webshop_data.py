"""Fetching the official files from a loopback server, and the full catalogue made from them."""

import hashlib
import io
import json
import resource
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from skillbench_webshop import data, full, nouns, official
from skillbench_webshop.bm25 import Bm25
from skillbench_webshop.env import WebshopEnvironment
from skillbench_webshop.generator import generate

from skillbench.errors import DataError


def item(product) -> dict:
    """A generated product as an entry of an items file."""
    return {
        "asin": product.asin,
        "name": product.title,
        "full_description": product.description,
        "small_description": list(product.bullets),
        "pricing": " - ".join(f"${p}" for p in product.prices),
        "images": ["x"],
        "product_category": product.product_category,
        "category": product.category,
        "query": product.query,
        "customization_options": {
            n.upper(): [{"value": v.upper(), "image": None} for v in values]
            for n, values in product.options.items()
        }
        or "",
    }


STOCK = [p for n in range(4) for p in generate("train", n).products]
GOALS = [g for n in range(4) for g in generate("train", n).goals]
ITEMS = [item(p) for p in STOCK]
ATTRIBUTES = {
    p.asin: {"attributes": list(p.attributes)}
    | next(
        (
            {"instruction": f"Find me {g.query}", "instruction_attributes": list(g.attributes)}
            for g in GOALS
            if g.asin == p.asin
        ),
        {},
    )
    for p in STOCK
}
HUMAN = {
    g.asin: [
        {
            "asin": g.asin,
            "instruction": f"i need a {g.query}.",
            "attributes": list(g.attributes),
            "instruction_attributes": list(g.attributes),
            "instruction_options": [v for _, v in g.options],
        }
    ]
    for g in GOALS
}
CONTENT = {
    "items_ins_v2_1000.json": ATTRIBUTES,
    "items_shuffle_1000.json": ITEMS,
    "items_human_ins.json": HUMAN,
    "items_ins_v2.json": ATTRIBUTES,
    "items_shuffle.json": [*ITEMS, ITEMS[0], {**ITEMS[1], "asin": "nan"}, {**ITEMS[1], "asin": "x" * 11}],
}  # fmt: skip
BYTES = {name: json.dumps(content, indent=1).encode() for name, content in CONTENT.items()}
FILES = [
    data.File(
        f.name, f.urls, hashlib.sha256(BYTES[f.name]).hexdigest(), len(BYTES[f.name]), f.large
    )
    for f in data.FILES
]


@pytest.fixture
def server():
    """A server of BYTES that knows ranges; `server.cut` ends answers early."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            host, wanted = self.server, self.headers.get("Range")
            host.seen.append((self.path, wanted))
            content = host.content.get(self.path.strip("/"))
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            body = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: host.cut])

        def log_message(self, *args):
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.content, host.cut, host.seen = dict(BYTES), None, []
    host.url = f"http://127.0.0.1:{host.server_port}"
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield host
    host.shutdown()
    host.server_close()
    thread.join()


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch):
    """Nouns without spaCy: all lower-cased words of a title."""
    monkeypatch.setattr(nouns, "tagger", lambda: lambda titles: [t.lower().split() for t in titles])


def test_fetch_all_and_play(server, tagged, tmp_path: Path):
    told = []
    root = data.fetch(
        tmp_path,
        urls=[server.url],
        progress=lambda done, total, what: told.append(what),
        files=FILES,
    )
    assert root == tmp_path
    assert not list(tmp_path.glob("*.part"))
    assert {*BYTES, "converting the catalogue"} <= set(told)
    count = len(server.seen)
    data.fetch(tmp_path, urls=[server.url], files=FILES)
    assert len(server.seen) == count  # what is whole is not fetched again
    report = data.verify(tmp_path, files=FILES)
    assert "items_shuffle.json: whole" in report.rows
    assert report.faults == [
        "1000 products and 6910 synthetic goals were expected; run `skillbench data fetch webshop`"
    ]
    (tmp_path / "items_shuffle.json").write_text("[")
    assert "items_shuffle.json: its sha256" in data.verify(tmp_path, files=FILES).faults[0]

    env = WebshopEnvironment(data=str(tmp_path))
    env.scored_split("full")
    assert env.label == "webshop"
    tasks = env.tasks("full")
    assert len(tasks) == len(GOALS)  # fewer than 500 goals: all are the test
    assert env.tasks("train") == env.tasks("full_dev") == []
    for task in tasks[:12]:
        text, _ = env.reset(options={"task": task.id})
        assert task.goal in text
        for action in env.expert(task):
            *_, info = env.step(action)
        assert info["success"]
    with pytest.raises(DataError, match="no full WebShop catalogue"):
        WebshopEnvironment(data=str(tmp_path / "none")).tasks("full")


def test_the_full_index_is_the_small_one(tagged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Many small runs on disk, merged, search like one index in memory."""
    for name, content in BYTES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(full.Runs.__init__, "__defaults__", (700,))
    monkeypatch.setattr(full.array_items, "__defaults__", (512,))
    full.convert(tmp_path)
    shop = full.shop(tmp_path)
    assert len(shop.products) == len(STOCK)
    memory = Bm25.build(p.document for p in STOCK)
    for goal in GOALS:
        query = goal.text + " your"
        assert [p.asin for p in shop.find(query)] == [STOCK[i].asin for i in memory.search(query)]
    first = STOCK[0]
    assert shop.by_asin[first.asin].options == first.options
    assert shop.by_asin[first.asin].price == first.price
    assert not list((tmp_path / "full").glob("run*"))


def test_an_interrupted_conversion_begins_anew(tagged, tmp_path: Path):
    for name, content in BYTES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "items_shuffle.json").write_bytes(BYTES["items_shuffle.json"][:9000])
    with pytest.raises(DataError, match=r"damaged.*skillbench data fetch webshop"):
        full.convert(tmp_path)
    assert not full.present(tmp_path)
    (tmp_path / "items_shuffle.json").write_bytes(BYTES["items_shuffle.json"])
    full.convert(tmp_path)
    assert full.present(tmp_path)


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_arrays_are_read_as_streams(chunk: int):
    content = [{"a": ']}[{\\"', "b": [1, {"c": None}]}, 12, "x", -3.5, []]
    for text in (json.dumps(content), " \n" + json.dumps(content, indent=2) + "\n"):
        assert list(full.array_items(io.StringIO(text), chunk)) == content
    with pytest.raises(ValueError, match="middle of an entry"):
        list(full.array_items(io.StringIO('[{"a": 1'), chunk))
    with pytest.raises(ValueError, match="does not begin"):
        list(full.array_items(io.StringIO('{"a": 1}'), chunk))


def test_a_large_file_is_not_held(tagged, tmp_path: Path):
    """Converting 30 MB of entries takes a fraction of that in memory."""
    for name in ("items_ins_v2.json", "items_human_ins.json"):
        (tmp_path / name).write_text("{}")
    padding = "lorem " * 40_000
    with (tmp_path / "items_shuffle.json").open("w") as out:
        out.write("[")
        for number in range(120):
            entry = {**ITEMS[0], "asin": f"B{number:09d}", "brand": padding}
            out.write(("," if number else "") + json.dumps(entry))
        out.write("]")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    full.convert(tmp_path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    size = (tmp_path / "items_shuffle.json").stat().st_size / 1e6
    assert size > 28
    assert grown < 25
    assert len(full.shop(tmp_path).products) == 120


def test_fetch_goes_on_where_it_stopped(server, tagged, tmp_path: Path):
    small = [f for f in FILES if not f.large]
    server.cut = 1000
    with pytest.raises(DataError, match=r"ended after 1000 of \d+ bytes.*Run the command again"):
        data.fetch(tmp_path, urls=[server.url], files=small)
    server.cut = None
    data.fetch(tmp_path, urls=[server.url], files=small)
    assert ("/items_ins_v2_1000.json", "bytes=1000-") in server.seen
    assert (tmp_path / "items_ins_v2_1000.json").read_bytes() == BYTES["items_ins_v2_1000.json"]


def test_wrong_bytes_and_places_are_refused(server, tagged, tmp_path: Path):
    server.content["items_ins_v2_1000.json"] = b"x" * len(BYTES["items_ins_v2_1000.json"])
    with pytest.raises(DataError, match=r"sha256 is .* expected"):
        data.fetch(tmp_path, urls=[server.url], files=FILES)
    assert not (tmp_path / "items_ins_v2_1000.json").exists()
    with pytest.raises(DataError, match=r"404.*not an http"):
        data.fetch(tmp_path, urls=[f"{server.url}/gone", "ftp://nowhere.invalid"], files=FILES)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot store"):
        data.fetch(tmp_path / "file" / "x", urls=[server.url], files=FILES)


def test_only_the_small_files_on_request(server, tagged, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WEBSHOP_FETCH", "small")
    data.fetch(tmp_path, urls=[server.url], files=FILES)
    assert not (tmp_path / "items_shuffle.json").exists()
    assert len(official.small(tmp_path)[0]) == len(STOCK)


def test_without_spacy_it_says_what_to_do(server, tmp_path: Path, monkeypatch):
    def missing():
        raise DataError("the nouns of the titles need spaCy: `pip install ...`")

    monkeypatch.setattr(nouns, "tagger", missing)
    with pytest.raises(DataError, match="need spaCy"):
        data.fetch(tmp_path, urls=[server.url], files=FILES)


def test_the_manifest_is_the_published_one():
    assert [f.size for f in data.FILES] == [
        147_099,
        4_467_013,
        5_137_548,
        186_295_270,
        5_479_720_229,
    ]
    assert Counter(len(f.sha256) for f in data.FILES) == {64: 5}


def test_slice_verifies(slice_1000: Path):
    report = data.verify(slice_1000)
    assert report.ok
    assert "6910 synthetic goals, 13 human goals" in str(report)


def test_where_the_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEBSHOP_DATA", str(tmp_path))
    assert data.path() == tmp_path
    assert data.path(tmp_path / "other") == tmp_path / "other"
    monkeypatch.delenv("WEBSHOP_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.path() == tmp_path / "skillbench" / "webshop"
    with pytest.raises(DataError, match="skillbench data fetch webshop"):
        data.verify()
