"""The report: self-contained, escaped, and showing what the result says."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

from skillbench import charts
from skillbench.report import page

EVIL = '</style><script>alert(1)</script><img src=x onerror="alert(1)">'


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails on nesting that does not close."""

    void = ("meta", "img", "link", "br")

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


def test_the_page_holds_what_the_result_says(execute: Any) -> None:
    result, place = execute(seeds=2)
    reader = read((place / "report.html").read_text())
    names = [tag for tag, _ in reader.tags]
    assert names.count("svg") == 2
    assert "details" in names
    for text in ("toyskill on toy", result["panel"], "blue", "green", "red", "paid back"):
        assert text in reader.text
    assert f"{result['scores']['success']['mean']:.1%}" in reader.text
    assert "A blue room with five doors." in reader.text
    assert result["config_digest"] in reader.text


def test_nothing_runs_and_nothing_is_fetched(execute: Any) -> None:
    _, place = execute("base")
    html = (place / "report.html").read_text()
    reader = read(html)
    assert not {"script", "img", "link", "iframe", "form"} & {tag for tag, _ in reader.tags}
    assert not any({"src", "href", "style"} & set(attrs) for _, attrs in reader.tags)
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_every_text_is_escaped(execute: Any) -> None:
    result, _ = execute("toybank")
    names = {"method": EVIL, "environment": EVIL, "policy": EVIL, "rankable": False}
    result |= names | {"why_not": [EVIL]}
    result["by_task_type"][EVIL] = result["by_task_type"].pop("red")
    result["curve"][0]["stage"] = EVIL
    skill = {"kind": EVIL, "task_type": EVIL, "title": EVIL, "principle": EVIL}
    step = {"observation": EVIL, "response": EVIL, "action": EVIL, "valid": False}
    episode = {
        "arm": "method",
        "task": {"task_type": EVIL, "goal": EVIL},
        "outcome": "invalid",
        "system": EVIL,
        "steps": [step],
        "final_observation": EVIL,
        "error": EVIL,
    }
    reader = read(page(result, [skill], [episode]))
    assert not {"script", "img"} & {tag for tag, _ in reader.tags}
    assert reader.text.count("<script>alert(1)</script>") > 10


def test_charts_take_any_number_of_points() -> None:
    point = {"stage": "rl", "stage_step": 1, "success": 0.5, "n": 4, "skills": 2}
    assert charts.curve([]) == ""
    assert charts.curve([point]).count("<circle") == 1
    assert charts.curve([point] * 40).count("<circle") == 40
    assert charts.intervals([("x", {"mean": None}, None)]) == ""
