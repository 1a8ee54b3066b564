"""A whole run in the toy world: what it learns, what it refuses to rank, what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillbench import panel, schema
from skillbench.errors import DataError, UsageError
from skillbench.records import Task


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_learning_helps_and_everything_is_written(execute: Any) -> None:
    result, place = execute(seeds=3)
    assert result["rankable"], result["why_not"]
    assert schema.problems(json.loads((place / "result.json").read_text())) == []
    assert result["delta"]["ci95"][0] > 0
    assert result["delta"]["n"] == 90
    assert result["scores"]["success"]["interval"] == "bootstrap seeds x tasks"
    assert result["baseline"]["scores"]["success"]["interval"] == "bootstrap tasks"
    assert result["skills"]["final"] == 3
    assert result["skills"]["tokens_per_episode"] > 0
    stages = [(p["stage"], p["stage_step"]) for p in result["curve"]]
    assert stages == [("toydistill", 0), ("toydistill", 1), *(("toytrain", i) for i in range(3))]
    assert all(p["n"] in (36, 18) for p in result["curve"])  # three seeds together
    assert (place / "learn/2/skills/step_1.json").exists()
    assert (place / "report.html").exists()
    assert sum(result["outcomes"].values()) == 90


def test_each_panel_task_is_scored_once_per_seed_and_arm(execute: Any) -> None:
    _, place = execute("toybank", seeds=2)
    keys = [(e["arm"], e["seed"], e["task"]["id"]) for e in lines(place / "episodes.jsonl")]
    assert len(keys) == len(set(keys)) == 2 * 2 * 30
    assert all("token_ids" not in s for e in lines(place / "episodes.jsonl") for s in e["steps"])


def test_further_scores_of_the_environment_are_averaged(execute: Any) -> None:
    result, _ = execute()
    for arm in (result, result["baseline"]):
        rate = arm["scores"]["success"]["mean"]
        assert arm["scores"]["warmth"]["mean"] == pytest.approx(0.25 + 0.5 * rate, abs=1e-3)


def test_two_runs_are_equal(execute: Any) -> None:
    from skillbench.result import comparable

    one, _ = execute(name="one")
    two, _ = execute("toyskill", "score.chunk=30", name="two")
    for result in (one, two):
        result.pop("config_digest")
    assert comparable(one) == comparable(two)


def test_base_is_its_own_baseline(execute: Any) -> None:
    result, place = execute("base")
    assert result["baseline"]["reason"]
    assert result["delta"]["mean"] is None
    assert {e["arm"] for e in lines(place / "episodes.jsonl")} == {"method"}
    assert schema.problems(result) == []
    other, _ = execute("toybank", name="other")
    # The baseline of a method is the base run: same seeds, same policy, no memory.
    assert other["baseline"]["scores"]["success"] == result["scores"]["success"]


def test_learned_weights_do_not_reach_the_baseline_or_the_next_seed(execute: Any) -> None:
    trained, _ = execute(seeds=2)
    base, _ = execute("base", name="base", seeds=2)
    assert trained["baseline"]["scores"]["success"] == base["scores"]["success"]
    frozen = trained["provenance"]["frozen"]
    assert all(row["weights_sha256"] and row["bank_sha256"] for row in frozen)


def test_a_stage_can_be_switched_off(execute: Any) -> None:
    result, place = execute("toyskill", "trainer.toytrain=false")
    assert not (place / "learn/0/toytrain").exists()
    assert {p["stage"] for p in result["curve"]} == {"toydistill"}


def test_a_policy_that_cannot_be_trained_is_refused_before_anything_is_spent(
    execute: Any, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"trainer\.toytrain=false"):
        execute("toyskill", "policy=stubborn")
    assert not (tmp_path / "run").exists()  # the place is free again
    result, _ = execute("toyskill", "policy=stubborn", "trainer.toytrain=false")
    assert result["policy"] == "stubborn"


def test_a_memory_that_crashes_makes_episodes_invalid(
    toy: Any, execute: Any, monkeypatch: Any
) -> None:
    def context(self: Any, task: Any, history: Any, budget: int) -> Any:
        if self.frozen and task.id == "test-003":
            raise ConnectionError("the embedding server is down")
        return toy.Context()

    monkeypatch.setattr(toy.ToyMemory, "context", context)
    result, place = execute("toybank")
    assert result["outcomes"]["invalid"] == 1
    bad = [e for e in lines(place / "episodes.jsonl") if e["outcome"] == "invalid"]
    assert "embedding server is down" in bad[0]["error"]


def test_invalid_episodes_are_counted_and_shown_but_not_ranked(execute: Any) -> None:
    result, _ = execute("base", "env.fault=reset", "env.fault_every=10", "score.retries=0")
    assert result["outcomes"]["invalid"] == 3
    assert result["scores"]["success"]["n"] == 27
    both = result["scores"]
    assert both["success_invalid_as_failure"]["n"] == 30
    assert both["success_invalid_as_failure"]["mean"] < both["success"]["mean"]
    assert not result["rankable"]
    assert "90.0% of the episodes" in result["why_not"][0]


def test_retries_make_a_shaky_policy_rankable(execute: Any) -> None:
    result, _ = execute("base", "policy.fail=once")
    assert result["rankable"]
    assert result["outcomes"]["invalid"] == 0


def test_a_leak_is_found_and_not_ranked(execute: Any) -> None:
    result, _ = execute("toybank", "trainer.toydistill.poison=true")
    assert result["leaks"]["count"] == 1
    assert result["leaks"]["found"][0]["tasks"] == ["test-001"]
    assert not result["rankable"]


def test_scoring_on_train_is_not_ranked(execute: Any) -> None:
    result, _ = execute("base", "run.split=train")
    assert "scored on the train split" in result["why_not"]
    assert any("no committed panel" in reason for reason in result["why_not"])


def test_a_plugin_hears_of_the_run_and_cannot_break_it(toy: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from skillbench import hookimpl
    from skillbench.runner import execute as run

    heard: list[str] = []

    @hookimpl
    def skillbench_run_start(run: Any) -> None:
        heard.append("start")
        raise RuntimeError("mine")

    @hookimpl
    def skillbench_episode_end(run: Any, episode: Any) -> None:
        heard.append("episode")

    @hookimpl
    def skillbench_run_end(run: Any, result: Any) -> None:
        heard.append(f"end {result['method']}")

    registry = toy.registry()
    hooks = (skillbench_run_start, skillbench_episode_end, skillbench_run_end)
    registry.plugins.add("listener", SimpleNamespace(**{h.__name__: h for h in hooks}))
    run(toy.config("base"), out=tmp_path / "run", registry=registry)
    assert (heard[0], heard[-1]) == ("start", "end base")
    assert heard.count("episode") == 30


def test_progress_is_reported(execute: Any) -> None:
    from skillbench.reporting import Reporter

    class Watch(Reporter):
        def __init__(self) -> None:
            self.titles: list[tuple[str, int | None]] = []
            self.done = 0
            self.over = False

        def start(self, title: str, total: int | None = None) -> None:
            self.titles.append((title, total))

        def advance(self, n: int = 1, **figures: Any) -> None:
            self.done += n

        def finish(self) -> None:
            self.over = True

    watch = Watch()
    execute("toybank", reporter=watch)
    assert ("seed 0: score toybank", 30) in watch.titles
    assert ("seed 0: score the baseline", 30) in watch.titles
    assert watch.done == 24 + 60
    assert watch.over


def test_panels_are_stratified_and_prefixes_are_fair(toy: Any) -> None:
    tasks = [Task(f"{k}{i}", "e", "s", k, "") for k, n in (("a", 20), ("b", 10)) for i in range(n)]
    order = panel.stratified(tasks)
    assert sorted(t.id for t in order) == sorted(t.id for t in tasks)
    for n in (3, 6, 15, 30):
        assert sum(t.task_type == "a" for t in order[:n]) == pytest.approx(n * 2 / 3, abs=1)


def test_a_smaller_panel_is_the_beginning_of_the_larger(toy: Any) -> None:
    environment = toy.ToyEnvironment()
    whole = panel.load(environment, "test")
    part = panel.load(environment, "test", 12)
    assert part.ids == whole.ids[:12]
    assert part.id != whole.id
    assert part.name == "toy.test.30[:12]"
    assert part.committed
    with pytest.raises(UsageError, match="has 30 tasks"):
        panel.load(environment, "test", 31)


def test_a_panel_is_not_used_with_other_data(toy: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(toy.ToyEnvironment, "fingerprint", lambda self, split: "another")
    with pytest.raises(DataError, match="not those of the panel"):
        panel.load(toy.ToyEnvironment(), "test")


def test_panel_files_are_written_and_checked(toy: Any, tmp_path: Path, monkeypatch: Any) -> None:
    made = panel.write(toy.ToyEnvironment(), "test", "toy.test.6", 6, tmp_path / "p.json")
    monkeypatch.setattr(panel, "folders_of", lambda environment: [tmp_path])
    assert panel.load(toy.ToyEnvironment(), "test").id == made.id
    data = json.loads((tmp_path / "p.json").read_text())
    data["ids"][0] = "test-999"
    (tmp_path / "p.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"1 unknown tasks.*'test-999'"):
        panel.load(toy.ToyEnvironment(), "test")
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        panel.load(toy.ToyEnvironment(), "test")


def test_learning_tasks_are_stratified_reproducible_and_disjoint(toy: Any, execute: Any) -> None:
    seen: list[list[Task]] = []

    def fit(self: Any, context: Any) -> Any:
        seen.extend(context.tasks(7, step=step) for step in range(4))
        seen.append(context.tasks(7, step=2))
        return toy.Checkpoint(context.directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy.ToyDistill, "fit", fit)
        execute("toybank")
    assert seen[4] == seen[2]
    ids = [t.id for tasks in seen[:4] for t in tasks]
    assert len(set(ids)) == 28
    for tasks in seen:
        counts = [sum(t.task_type == kind for t in tasks) for kind in toy.TYPES]
        assert max(counts) - min(counts) <= 1


def test_the_schema_finds_faults(execute: Any) -> None:
    result, _ = execute("base")
    broken = result | {"seeds": 0, "extra": 1, "rankable": "yes"}
    broken["scores"] = {"success": {"mean": "high"}}
    found = "\n".join(schema.problems(broken))
    for fault in ("seeds is 0", "extra is unknown", "rankable is str", "success.mean is str"):
        assert fault in found


def test_no_more_episodes_are_alive_than_asked_for(execute: Any, sizes: list[int]) -> None:
    free, _ = execute("toyskill", name="free")
    assert max(sizes) > 5
    sizes.clear()
    few, _ = execute("toyskill", "run.live=5", name="few")
    assert 0 < max(sizes) <= 5
    assert few["scores"] == free["scores"]
