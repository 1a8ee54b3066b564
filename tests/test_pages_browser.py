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
def browser(runs: Any, suite: Path) -> Any:
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


@pytest.fixture(scope="module")
def suite(tmp_path_factory: Any) -> Path:
    """A suite of two factors and a run by chance, finished."""
    import toy_more

    from skillbench import suite as suites
    from skillbench.reporting import Reporter

    folder = tmp_path_factory.mktemp("suite")
    text = 'title = "two factors"\n[defaults]\nenv = "toy"\npolicy = "toy"\nseeds = 2\n'
    for bank, rl in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sets = ["agent.budget=0"] * (not bank) + ["trainer.toytrain=false"] * (not rl)
        text += f'[[row]]\nname = "b{bank}r{rl}"\nmethod = "toyskill"\nset = {sets}\n'
        text += f"factors = {{ bank = {str(bool(bank)).lower()}, rl = {str(bool(rl)).lower()} }}\n"
    text += '[[row]]\nname = "by chance"\nmethod = "toybank"\nset = ["score.show=0.5"]\n'
    text = text.replace("'", '"')
    (folder / "two.toml").write_text(text)
    made = suites.read(str(folder / "two.toml"), {}, toy_more.registry())
    suites.run(made, folder / "out", Reporter(), registry=toy_more.registry())
    return folder / "out"


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


def test_the_page_of_the_recorded_results(tab: Any, tmp_path: Path) -> None:
    """leaderboard/results of this checkout: links, figures of plots against the table, axe."""
    from skillbench import published
    from skillbench.site import page

    root = Path(__file__).parent.parent / "leaderboard"
    found = leaderboard.tables(leaderboard.read_results(root / "results"))
    path = tmp_path / "index.html"
    path.write_text(page(found, published.read(root / "published.toml")))
    tab.goto(path.as_uri())
    assert serious(tab) == []
    assert len(tab.query_selector_all("table")) >= len(found) > 0
    for link in tab.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))"):
        assert link.startswith("#")
        assert tab.locator(f"[id='{link[1:]}']").count() == 1, link
    for panel, rows in found.items():  # names recur from panel to panel: one page for each
        path.write_text(page({panel: rows}, []))
        tab.goto(path.as_uri())
        marks = tab.eval_on_selector_all(
            "svg [aria-roledescription=point]", "all => all.map(p => p.getAttribute('aria-label'))"
        )
        points = [m for m in marks if "uses: " in m and "name: " in m]
        assert len(points) == len(rows) > 0
        cells = tab.eval_on_selector_all("table td", "all => all.map(c => c.innerText)")
        for row in rows:
            assert any(f"{100 * row.success:.1f} %" in cell for cell in cells)
            (point,) = (m for m in points if f"name: {row.name[:40]};" in m + ";")
            assert figure(point, "success") == pytest.approx(100 * row.success, abs=0.51)
            cost = figure(point, "dollars per 1,000 uses")
            assert cost == pytest.approx(1000 * row.money["per_episode"], rel=0.01)
        # The break-even curve crosses 0 where the table says.
        for row in rows:
            if row.even and row.even[0].get("episodes"):
                curve = tab.locator(f"figure:has(figcaption:text-is('Break-even of {row.name}'))")
                labels = curve.first.locator("[aria-roledescription=point]")
                drawn = [
                    (figure(m, "uses"), figure(m, "net|gained less the bill, dollars"))
                    for m in labels.evaluate_all(
                        "all => all.map(p => p.getAttribute('aria-label'))"
                    )
                ]
                before = max(n for n, net in drawn if net < 0)
                after = min(n for n, net in drawn if net >= 0)
                assert before <= row.even[0]["episodes"] <= after + 1


def figure(label: str, name: str) -> float:
    """A number of a mark's label."""
    found = re.search(rf"(?:^|; )(?:{name}): ([\d.,e−-]+)", label)
    assert found, (label, name)
    return float(found[1].replace("−", "-").replace(",", ""))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_no_page_is_wider_than_its_window(
    browser: Any, runs: Any, site: Path, scheme: str, width: int
) -> None:
    for path in (runs["skill"] / "report.html", site):
        made = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        made.goto(path.as_uri())
        assert made.evaluate("document.documentElement.scrollWidth") <= width
        made.close()


def test_names_on_the_chart_do_not_cover_each_other(tab: Any, tmp_path: Path) -> None:
    rows = [
        {"name": f"method {i} (with a change)", "cost": cost, "success": success, "low": 0.1,
         "high": 0.9, "front": False}
        for i, (cost, success) in enumerate(
            [(1.0, 0.5), (1.001, 0.5), (1.002, 0.51), (1.0, 0.52), (1.9, 0.5), (2.0, 0.9)]
        )
    ]  # fmt: skip
    path = tmp_path / "chart.html"
    path.write_text(frame("x", charts.draw(charts.pareto(rows, "usd"), "x")))
    tab.goto(path.as_uri())
    boxes = tab.evaluate(
        """() => [...document.querySelectorAll("svg text")]
        .filter(t => t.textContent.startsWith("method"))
        .map(t => { const b = t.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"""
    )
    assert len(boxes) == len(rows)
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 3 or b[3] <= a[1] + 3
            assert apart, (a, b)


def test_the_page_of_a_comparison(tab: Any, runs: Any, capsys: Any, tmp_path: Path) -> None:
    from skillbench.cli import main

    path = runs["skill"].parent / "compare.html"
    places = [str(runs["skill"]), str(runs["base"])]
    assert main(["compare", *places, "--page", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    tab.goto(path.as_uri())
    assert serious(tab) == []
    text = tab.inner_text("main")
    delta = found["delta"]
    assert f"{100 * delta['mean']:+.1f} [" in text
    marks = tab.eval_on_selector_all(
        "svg [aria-roledescription=point]", "all => all.map(p => p.getAttribute('aria-label'))"
    )
    for kind, row in found["by_task_type"].items():
        for arm, side in (("toyskill", "one"), ("base", "other")):
            (point,) = (m for m in marks if f"task type: {kind}" in m and f"arm: {arm}" in m)
            assert figure(point, "success") == pytest.approx(100 * row[side]["mean"], abs=0.51)
    links = tab.locator("td a")
    odd = found["discordant"]["tasks"]
    assert links.count() == 2 * len(odd) > 0
    links.first.click()  # leads to the transcript, on the page of the run
    tab.wait_for_selector("#episode .step")
    assert odd[0]["task"] in tab.inner_text("#episode")


def test_the_page_of_a_suite(tab: Any, suite: Path) -> None:
    found = json.loads((suite / "suite.json").read_text())
    tab.goto((suite / "suite.html").as_uri())
    assert serious(tab) == []
    text = tab.inner_text("main")
    for name, entry in {**found["effects"], **found["interactions"]}.items():
        assert name in text
        assert f"{entry['mean']:+.1%} [" in text
    marks = tab.eval_on_selector_all(
        "svg [aria-roledescription=point]", "all => all.map(p => p.getAttribute('aria-label'))"
    )
    for row in found["rows"]:
        (point,) = (m for m in marks if re.search(rf"task type: {row['name']}(;|$)", m))
        assert figure(point, "success") == pytest.approx(100 * row["success"]["mean"], abs=0.51)
    for row in found["rows"]:
        tab.goto((suite / "suite.html").as_uri())
        tab.click(f"td a:text-is('{row['name']}')")
        assert tab.inner_text("h1") == f"{row['method']} on toy"


def test_the_page_of_a_run_shows_what_each_skill_does_by_itself(tab: Any, suite: Path) -> None:
    from skillbench.attribution import shown_effects
    from skillbench.store import read_lines

    tab.goto((suite / "by-chance" / "report.html").as_uri())
    assert "What each skill does by itself" in tab.inner_text("main")
    marks = tab.eval_on_selector_all(
        "svg [aria-roledescription=point]", "all => all.map(p => p.getAttribute('aria-label'))"
    )
    rows = shown_effects(read_lines(suite / "by-chance" / "episodes.jsonl"), share=0.5)
    assert len(rows) == 3
    for row in rows:
        (point,) = (m for m in marks if f"skill: {row['id'][:6]}" in m or row["id"][:6] in m)
        effect = figure(point, "difference of success")
        assert effect == pytest.approx(100 * row["chance"]["mean"], abs=0.51)
    assert serious(tab) == []


def test_a_script_in_a_text_does_not_run(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    path.write_text(frame("x", "<p>hello</p><script>document.title = 'taken'</script>"))
    made = browser.new_page()
    made.goto(path.as_uri())
    assert made.title() == "x"  # the policy of the page forbids it
    made.close()
