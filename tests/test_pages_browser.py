"""The pages in a real browser: headless Chromium through Playwright, accessibility through axe.

Skipped, saying so, where the browser or the packages are missing: apt-get install chromium;
pip install playwright axe-playwright-python.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from skillbench import charts, leaderboard
from skillbench.pages import frame
from skillbench.report import page as report_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(not charts.available(), reason="charts need vl-convert-python"),
]


@pytest.fixture(scope="module")
def browser(runs: Any) -> Any:
    """Chromium; the runs come first, since Playwright keeps an event loop of its own."""
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any) -> Any:
    """A page that fails its test on any message of the console or uncaught error."""
    made = browser.new_page(viewport={"width": 1100, "height": 900})
    said: list[str] = []
    made.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    made.on("pageerror", lambda error: said.append(f"error: {error}"))
    made.on("request", lambda r: said.append(r.url) if not r.url.startswith("file:") else None)
    yield made
    made.close()
    assert said == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: Any) -> dict[str, Path]:
    sys.path.insert(0, str(Path(__file__).parent))
    import toy

    from skillbench.runner import execute

    folder = tmp_path_factory.mktemp("runs")
    for name, method in (("skill", "toyskill"), ("base", "base")):
        config = toy.config(method, "score.bootstrap=2000", seeds=2)
        execute(config, registry=toy.registry(), out=folder / name)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def site(runs: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    from skillbench.commands.leaderboard import _panels, command
    from skillbench.registry import get

    (tmp_path / "leaderboard").mkdir()
    (tmp_path / "README.md").write_text(f"{leaderboard.BEGIN}\n{leaderboard.END}\n")
    figure = '[[figure]]\nenvironment = "e"\nmethod = "m"\nbackbone = "b"\nsplit = "s"\nfigure = "9 %"\nsource = "p"\ndefects = "d"\n'
    (tmp_path / "leaderboard" / "published.toml").write_text(figure)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "toy")
    get.cache_clear()
    import argparse

    for run in runs.values():
        parser = argparse.ArgumentParser()
        command(parser)(parser.parse_args(["add", str(run)]))
    yield leaderboard.site(tmp_path, leaderboard.read(tmp_path, _panels()))
    get.cache_clear()


def serious(tab: Any) -> list[tuple[str, str]]:
    """What axe finds that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    found = axe.Axe().run(tab).response["violations"]
    return [
        (v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_without_a_complaint_and_is_accessible(
    browser: Any, runs: Any, scheme: str
) -> None:
    made = browser.new_page(color_scheme=scheme)
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.goto((runs["skill"] / "report.html").as_uri())
    assert made.locator("svg").count() >= 4
    made.click(".row")
    made.wait_for_selector("#episode .step")
    assert serious(made) == []
    background = made.evaluate("getComputedStyle(document.body).backgroundColor")
    made.click("#theme")
    assert made.evaluate("getComputedStyle(document.body).backgroundColor") != background
    assert said == []
    made.close()


def test_episodes_are_found_and_read_with_the_keyboard(tab: Any, runs: Any) -> None:
    lines = [json.loads(x) for x in (runs["skill"] / "episodes.jsonl").read_text().splitlines()]
    tab.goto((runs["skill"] / "report.html").as_uri())
    assert tab.inner_text("#count") == "120 of 120 episodes"
    tab.select_option("#arm", "method")
    tab.select_option("#type", "red")
    tab.select_option("#outcome", "success")
    wanted = [
        e
        for e in lines
        if e["arm"] == "method" and e["task"]["task_type"] == "red" and e["success"]
    ]
    assert tab.inner_text("#count") == f"{len(wanted)} of 120 episodes"
    tab.focus("#rows")
    tab.keyboard.press("End")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#episode .step")
    last = wanted[-1]
    text = tab.inner_text("#episode")
    for step in last["steps"]:
        assert step["response"] in text
    assert last["final_observation"] in text
    assert "skills in the prompt" in text
    assert all(skill in text for skill in last["skill_ids"])
    tab.fill("#search", "test-00")
    assert re.match(r"\d of 120", tab.inner_text("#count"))


def test_a_link_opens_the_episode_that_it_names(tab: Any, runs: Any) -> None:
    from skillbench.comparison import anchor

    tab.goto((runs["skill"] / "report.html").as_uri() + "#" + anchor("baseline", 1, "test-017"))
    tab.wait_for_selector("#episode .step")
    assert "baseline, seed 1" in tab.inner_text("#episode")
    assert "test-017" in tab.inner_text("#episode")


def test_five_thousand_episodes_open_and_filter_at_once(
    tab: Any, runs: Any, tmp_path: Path
) -> None:
    result = json.loads((runs["skill"] / "result.json").read_text())
    lines = [json.loads(x) for x in (runs["skill"] / "episodes.jsonl").read_text().splitlines()]
    many = [{**lines[i % 120], "seed": i // 120} for i in range(5000)]
    path = tmp_path / "many.html"
    path.write_text(report_page(result, [], many, effects=[]))
    assert path.stat().st_size < 3_000_000
    tab.goto(path.as_uri())
    assert tab.inner_text("#count") == "5000 of 5000 episodes"
    assert tab.locator(".row").count() < 100  # only what is seen is drawn
    # The page's own work, measured by the browser's clock for scripts; the machine may be busy.
    spent = tab.evaluate(
        """() => { const began = performance.now();
        const field = document.getElementById("search"); field.value = "red";
        field.dispatchEvent(new Event("input")); return performance.now() - began; }"""
    )
    wanted = sum(e["task"]["task_type"] == "red" for e in many)
    assert tab.inner_text("#count") == f"{wanted} of 5000 episodes"
    assert spent < 2000


def test_the_leaderboard_page_works_and_its_plots_show_the_table(tab: Any, site: Path) -> None:
    tab.goto(site.as_uri())
    assert serious(tab) == []
    links = tab.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
    assert links
    for link in links:
        assert link.startswith("#")
        assert tab.locator(f"[id='{link[1:]}']").count() == 1, link
    rows = json.loads((site.parent.parent / "leaderboard.json").read_text())
    marks = tab.eval_on_selector_all(
        "svg [aria-roledescription=point]", "all => all.map(p => p.getAttribute('aria-label'))"
    )
    cells = tab.eval_on_selector_all("table td", "all => all.map(c => c.innerText)")
    for row in rows:
        mean = row["scores"]["success"]["mean"]
        assert any(f"{100 * mean:.1f} %" in cell for cell in cells)
        name = row["method"]
        points = [m for m in marks if f"name: {name}" in m]
        (point,) = points
        shown = float(re.search(r"success: ([\d.]+)", point)[1])
        assert shown == pytest.approx(100 * mean, abs=0.51) or shown == pytest.approx(
            mean, abs=1e-3
        )
        cost = float(re.search(r"dollars per 1,000 uses: ([\d.e−-]+)", point)[1].replace("−", "-"))
        assert cost == pytest.approx(1000 * row["money"]["per_episode"], rel=0.01)
    assert "9 %" in cells


def test_a_script_in_a_text_does_not_run(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    path.write_text(frame("x", "<p>hello</p><script>document.title = 'taken'</script>"))
    made = browser.new_page()
    made.goto(path.as_uri())
    assert made.title() == "x"  # the policy of the page forbids it
    made.close()
