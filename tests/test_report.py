"""The report: self-contained, escaped, and showing what the result says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from skillbench import charts
from skillbench.report import page
from skillbench.viewer import ROOM, Index

EVIL = '</style></script><script>alert(1)</script><img src=x onerror="alert(1)">'
drawn = pytest.mark.skipif(not charts.available(), reason="charts need vl-convert-python")


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails on nesting that does not close."""

    void = ("meta", "img", "link", "br", "input")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="episodes-data">(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_what_the_result_says(execute: Any) -> None:
    result, place = execute(seeds=2)
    html = (place / "report.html").read_text()
    reader = read(html)
    for text in ("toyskill on toy", result["panel"], "blue", "green", "red", "paid back"):
        assert text in reader.text
    assert f"{result['scores']['success']['mean']:.1%}" in reader.text
    assert result["config_digest"] in reader.text
    data = embedded(html)
    lines = [json.loads(line) for line in (place / "episodes.jsonl").read_text().splitlines()]
    assert len(data["rows"]) == len(lines) == data["held"]
    row, line = data["rows"][7], lines[7]
    assert [data["arms"][row[0]], row[1], row[2]] == [
        line["arm"],
        line["seed"],
        line["task"]["id"],
    ]
    chunk = json.loads(gzip.decompress(base64.b64decode(data["chunks"][row[7]])))
    episode = chunk[row[8]]
    assert [step[1] for step in episode["steps"]] == [s["response"] for s in line["steps"]]
    assert episode["skills"] == line.get("skill_ids", [])
    assert set(episode["skills"]) <= set(data["skills"])


@drawn
def test_charts_show_the_figures_of_the_result(execute: Any) -> None:
    result, place = execute(seeds=2)
    marks = [a.get("aria-label") or "" for _, a in read((place / "report.html").read_text()).tags]
    for kind, entry in result["by_task_type"].items():
        mean = entry["mean"]
        assert any(f"task type: {kind}" in m and f"{mean:.1%}"[:-3] in m for m in marks), kind
    assert sum("learning step: " in mark for mark in marks) >= 2 * len(result["curve"])


def test_only_the_page_s_own_style_and_script_may_run(execute: Any) -> None:
    _, place = execute("base")
    html = (place / "report.html").read_text()
    reader = read(html)
    assert not {"img", "link", "iframe", "form", "object"} & {tag for tag, _ in reader.tags}
    assert not any({"src", "style", "onclick"} & set(attrs) for _, attrs in reader.tags)
    assert all(a["href"].startswith("#") for _, a in reader.tags if a.get("href"))
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "http:" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)


def test_every_text_is_escaped(execute: Any) -> None:
    result, _ = execute("toybank")
    names = {"method": EVIL, "environment": EVIL, "policy": EVIL, "rankable": False}
    result |= names | {"why_not": [EVIL]}
    result["by_task_type"][EVIL] = result["by_task_type"].pop("red")
    result["curve"][0]["stage"] = EVIL
    skill = {"id": EVIL, "kind": EVIL, "task_type": EVIL, "title": EVIL, "principle": EVIL}
    step = {"observation": EVIL, "response": EVIL, "action": EVIL, "valid": False}
    episode = {
        "arm": EVIL,
        "seed": 0,
        "task": {"id": EVIL, "task_type": EVIL, "goal": EVIL},
        "outcome": EVIL,
        "success": False,
        "system": EVIL,
        "skill_ids": [EVIL],
        "steps": [step],
        "final_observation": EVIL,
        "error": EVIL,
    }
    html = page(result, [skill], [episode], effects=[])
    scripts = [a.get("type") for t, a in read(html).tags if t == "script"]
    assert scripts == ["application/json", None]  # the data and the page's own: nothing else
    assert "img" not in {tag for tag, _ in read(html).tags}
    assert read(html).text.count("<script>alert(1)</script>") > 10


def test_charts_take_any_number_of_points() -> None:
    point = {"stage": "rl", "stage_step": 1, "success": 0.5, "n": 4, "skills": 2, "step": 0}
    assert charts.curve([]) is None
    assert charts.draw(None, "nothing") == ""
    assert charts.intervals([("x", {"mean": None}, None)], ("a", "b")) is None
    assert charts.net([], "usd") is None
    assert charts.effects([]) is None
    if charts.available():
        svg = charts.draw(charts.curve([point]), "one")
        assert svg.count("success: 0.5") == svg.count("success on train: 0.5") == 0 or "0.5" in svg


def test_without_the_library_the_page_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr(charts, "available", lambda: False)
    point = {"stage": "rl", "stage_step": 1, "success": 0.5, "n": 4, "skills": 2, "step": 0}
    assert "skillbench-harness[pages]" in charts.draw(charts.curve([point]), "one")


def test_a_page_holds_only_so_many_transcripts() -> None:
    import random

    rng = random.Random(0)
    index = Index()
    for i in range(400):
        noise = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=15_000))
        step = {"observation": noise, "response": "go", "action": "go"}
        task = {"id": str(i), "task_type": "t", "goal": "g"}
        index.add({"arm": "method", "task": task, "outcome": "success", "steps": [step]})
    index.close()
    assert sum(map(len, index.chunks)) < 1.4 * ROOM
    assert len(index.rows) == 400 > index.held
    assert index.rows[-1][7] == -1
