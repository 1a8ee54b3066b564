"""Shards of a run, merged, are the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillbench.errors import RunDirError, UsageError
from skillbench.merging import merge
from skillbench.result import comparable
from skillbench.runner import learn_only
from skillbench.shards import Shard


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("tasks", "seeds", "chunk", "count"),
    [(30, 1, 7, 4), (30, 2, 7, 4), (30, 4, 50, 4), (30, 1, 50, 4), (5, 1, 2, 5), (200, 3, 100, 4)],
)
def test_shares_cover_each_cell_once_and_keep_chunks_whole(tasks, seeds, chunk, count) -> None:
    panel = [f"t{i}" for i in range(tasks)]
    shares = [Shard(i, count).share(panel, range(seeds), chunk) for i in range(count)]
    cells = [(seed, task) for share in shares for seed, ids in share.items() for task in ids]
    assert len(cells) == len(set(cells)) == tasks * seeds
    assert all(shares)  # nobody is idle
    if seeds * -(-tasks // chunk) >= count:
        for share in shares:
            for ids in share.values():
                for i in range(0, tasks, chunk):
                    whole = set(panel[i : i + chunk])
                    assert whole <= ids or not whole & ids


def test_with_as_many_seeds_as_shards_each_has_one_seed() -> None:
    shares = [Shard(i, 3).share(["a", "b", "c"], range(3), 2) for i in range(3)]
    assert [list(share) for share in shares] == [[0], [1], [2]]


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "1/0", "/", "0/"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shard|shards"):
        Shard.parse(text)
    with pytest.raises(UsageError, match="only 2 tasks"):
        Shard(0, 3).share(["a", "b"], [0], 50)


@pytest.mark.parametrize(
    ("method", "seeds", "sets"),
    [
        ("base", 1, ()),
        ("toyskill", 1, ()),  # learns weights and a bank, in every shard
        ("toyskill", 2, ()),
        ("toybank", 1, ("score.chunk=50",)),  # fewer chunks than shards: they are cut
        ("toyskill", 4, ("score.attempts=2",)),
    ],
)
def test_four_shards_merged_equal_the_unsharded_run(
    toy: Any, execute: Any, tmp_path: Path, method: str, seeds: int, sets: tuple[str, ...]
) -> None:
    whole, place = execute(method, *sets, name="whole", seeds=seeds)
    parts = []
    for i in range(4):
        done, part = execute(method, *sets, name=f"s{i}", seeds=seeds, shard=Shard(i, 4))
        assert done["complete"]
        assert not (part / "result.json").exists()
        parts.append(part)
    merged = merge(tmp_path / "merged", parts[::-1], registry=toy.registry())
    assert comparable(merged) == comparable(whole)
    assert merged["provenance"]["frozen"] == whole["provenance"]["frozen"]
    assert len(lines(tmp_path / "merged" / "episodes.jsonl")) == len(
        lines(place / "episodes.jsonl")
    )
    # A merged run is a run: it can be resumed, and has nothing left to do.
    again, _ = execute(method, *sets, name="merged", seeds=seeds, resume=True)
    assert comparable(again) == comparable(whole)


def test_shards_that_are_given_what_was_learned_pay_for_it_once(
    toy: Any, execute: Any, tmp_path: Path
) -> None:
    whole, _ = execute(name="whole")
    config = toy.config("toyskill", seeds=1)
    learn_only(config, 0, out=tmp_path / "learned", registry=toy.registry())
    parts = [
        execute(name=f"s{i}", shard=Shard(i, 2), learned=tmp_path / "learned")[1] for i in range(2)
    ]
    merged = merge(tmp_path / "merged", parts, registry=toy.registry())
    assert comparable(merged) == comparable(whole)
    spent = merged["cost"]["learn"]
    for key in ("calls", "tokens_in", "tokens_out"):
        assert spent[key] == whole["cost"]["learn"][key] > 0
    with pytest.raises(RunDirError, match="other settings"):
        execute(
            "toyskill", "score.temperature=0.1", name="x", shard=Shard(0, 2),
            learned=tmp_path / "learned",
        )  # fmt: skip


def test_an_interrupted_shard_goes_on_as_that_shard(
    toy: Any, execute: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    whole, _ = execute("toybank", name="whole")
    real = toy.ToyPolicy.generate

    async def generate(self: Any, requests: Any) -> Any:
        if any("test-012" in r.episode_id for r in requests):
            raise KeyboardInterrupt
        return await real(self, requests)

    monkeypatch.setattr(toy.ToyPolicy, "generate", generate)
    with pytest.raises(KeyboardInterrupt):
        execute("toybank", name="s0", shard=Shard(0, 2))
    monkeypatch.undo()
    execute("toybank", name="s1", shard=Shard(1, 2))
    with pytest.raises(UsageError, match="not finished: skillbench run --resume"):
        merge(tmp_path / "m", [tmp_path / "s0", tmp_path / "s1"], registry=toy.registry())
    with pytest.raises(UsageError, match="is shard 0/2, not 1/2"):
        execute("toybank", name="s0", resume=True, shard=Shard(1, 2))
    execute("toybank", name="s0", resume=True)
    merged = merge(tmp_path / "m", [tmp_path / "s0", tmp_path / "s1"], registry=toy.registry())
    assert comparable(merged) == comparable(whole)


def test_what_cannot_be_merged_is_named_at_once(toy: Any, execute: Any, tmp_path: Path) -> None:
    parts = [execute("base", name=f"s{i}", shard=Shard(i, 4))[1] for i in (0, 1)]
    _, whole = execute("base", name="whole")
    _, other = execute("base", "score.temperature=0.9", name="other", shard=Shard(2, 4))
    _, of_two = execute("base", name="two", shard=Shard(1, 2))
    registry = toy.registry()
    with pytest.raises(UsageError) as caught:
        merge(tmp_path / "m", [*parts, parts[1]], registry=registry)
    text = str(caught.value)
    assert "missing: 2/4, 3/4" in text
    assert f"shard 1/4 is given 2 times: {parts[1]} and {parts[1]}" in text
    for bad, kind, what in (
        (whole, UsageError, "whole run, not a shard"),
        (other, RunDirError, "of different runs: score.temperature"),
        (of_two, UsageError, "different numbers of shards"),
        (tmp_path / "nothing", RunDirError, "no run in"),
    ):
        with pytest.raises(kind, match=what):
            merge(tmp_path / "m", [*parts, bad], registry=registry)
    assert not (tmp_path / "m").exists()
    with pytest.raises(RunDirError, match="exists already"):
        merge(whole, parts, registry=registry)


def test_shards_that_learned_differently_are_not_one_run(
    toy: Any, execute: Any, tmp_path: Path
) -> None:
    parts = [execute(name=f"s{i}", shard=Shard(i, 2))[1] for i in range(2)]
    path = parts[1] / "learn/0/frozen.json"
    frozen = json.loads(path.read_text())
    path.write_text(json.dumps(frozen | {"bank_sha256": "0" * 64}))
    with pytest.raises(RunDirError, match="different weights or banks"):
        merge(tmp_path / "m", parts, registry=toy.registry())


def test_retries_need_whole_seeds(execute: Any) -> None:
    with pytest.raises(UsageError, match="share out whole seeds"):
        execute("base", "score.attempts=2", shard=Shard(0, 2))
