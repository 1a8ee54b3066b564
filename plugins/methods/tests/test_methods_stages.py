"""The stages on a tiny policy and game: what they leave, and that a killed stage goes on exactly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import TinyContext, TinyGame, TinyMemory, TinyPolicy, TinyTeacher

torch = pytest.importorskip("torch")

from skillbench_methods import checkpoints  # noqa: E402
from skillbench_methods.evolve import Evolution  # noqa: E402
from skillbench_methods.experience import Experience  # noqa: E402
from skillbench_methods.grpo import Grpo  # noqa: E402
from skillbench_methods.sft import Sft, select  # noqa: E402

from skillbench.errors import UsageError  # noqa: E402
from skillbench.records import Episode, Task  # noqa: E402

EVOLVE = {"enabled": True, "every": 2, "threshold": 0.9, "max_new": 2, "failures": 4, "prune": True}


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.model().parameters()])


# ---------------------------------------------------------------------- experience


def test_experience_makes_the_first_bank_with_nothing_shown(tmp_path):
    context = TinyContext(tmp_path, {"tasks": 6, "repeats": 2}, teacher=TinyTeacher())
    context.memory.entries = TinyTeacher().distill([])
    checkpoint = Experience().fit(context)
    assert checkpoint.weights is None
    assert {s.task_type for s in context.memory.skills()} == {"red", "blue", "green"}
    assert all(s.source_tasks and s.step == 0 for s in context.memory.skills())
    assert (context.snapshots, context.memory.seen) == ([0], 12)
    ((step, metrics),) = context.lines
    assert (step, metrics["n"], metrics["skills"]) == (0, 12, 3)
    assert context.shared["experience"]["n"] == 12


def test_a_stage_without_a_valid_episode_is_an_error_and_one_without_some_goes_on(tmp_path):
    from dataclasses import replace

    from skillbench.errors import SkillbenchError

    for share, stage in ((1, Experience), (1, Grpo), (2, Grpo)):
        context = grpo_context(tmp_path / f"{stage.__name__}{share}", iterations=1)
        play = context.rollout

        def broken(*args, play=play, share=share, **options):
            return [
                replace(e, outcome="invalid", error="the server hung") if i % share == 0 else e
                for i, e in enumerate(play(*args, **options))
            ]

        context.rollout = broken
        if share == 1:
            with pytest.raises(SkillbenchError, match="the server hung"):
                stage().fit(context)
        else:
            (row,) = stage().fit(context).metrics["curve"]
            assert (row["n"], row["invalid"]) == (6, 6)


# ---------------------------------------------------------------------- sft


def test_expert_demonstrations_are_one_row_each_and_are_learned(tmp_path):
    pytest.importorskip("trl")
    config = {
        "source": "expert",
        "tasks": 9,
        "repeats": 1,
        "epochs": 30,
        "lr": 1e-2,
        "batch": 9,
        "min_rows": 2,
    }
    context = TinyContext(tmp_path / "sft", config)
    policy = context.policy
    forward = policy.model().forward
    checkpoint = Sft().fit(context)
    lines = [json.loads(x) for x in (tmp_path / "sft" / "sft_rows.jsonl").read_text().splitlines()]
    rows = lines[1:]
    assert len(rows) == 9
    assert all(r["split"] == "train" and r["task"].startswith("train-") for r in rows)
    tokenizer = policy.tokenizer()
    for row in rows:
        learned = [t for t, x in zip(row["input_ids"], row["labels"]) if x != -100]
        assert [x for x in row["labels"] if x != -100] == learned
        text = tokenizer.decode(learned)
        assert row["task_type"] in text
        assert "seek" not in text  # what the environment says is not learned
    assert sorted(checkpoint.metrics["source_tasks"]) == sorted(r["task"] for r in rows)
    assert checkpoint.metrics["loss_last"] < checkpoint.metrics["loss_first"] / 3
    assert policy.model().forward == forward  # TRL's patched forward is gone
    assert policy.versions[-1] == "sft"
    assert ("sft", "trainer") in {(p, r) for p, r, _ in context.spent}
    # Called again after it was done (killed before the runner noted it), it only reads back.
    fresh = TinyPolicy(seed=4)
    again = TinyContext(tmp_path / "sft", config, policy=fresh)
    assert Sft().fit(again).weights == checkpoint.weights
    assert again.rollouts == 0
    assert torch.equal(weights(fresh), weights(policy))


def test_a_stage_killed_in_training_makes_no_new_rows(tmp_path, monkeypatch):
    config = {"source": "expert", "tasks": 6, "repeats": 1, "epochs": 2, "lr": 1e-3, "min_rows": 2}
    straight = TinyContext(tmp_path / "a", config)
    Sft().fit(straight)
    import skillbench_methods.trl_bridge as bridge

    killed = TinyContext(tmp_path / "b", config)
    with monkeypatch.context() as patch:

        def die(*a, **k):
            raise KeyboardInterrupt

        patch.setattr(bridge, "supervised", die)
        with pytest.raises(KeyboardInterrupt):
            Sft().fit(killed)
    resumed = TinyContext(tmp_path / "b", config)
    Sft().fit(resumed)
    assert resumed.rollouts == 0
    assert torch.equal(weights(straight.policy), weights(resumed.policy))


def test_rejection_keeps_solved_episodes_and_too_few_change_nothing(tmp_path):
    context = TinyContext(tmp_path, {"tasks": 3, "repeats": 1, "min_rows": 50})
    before = weights(context.policy).clone()
    metrics = Sft().fit(context).metrics
    assert "skipped" in metrics
    assert torch.equal(before, weights(context.policy))


def test_selection_is_solved_shortest_first_and_spread_over_types():
    def ep(i, kind, steps, success):
        return Episode(
            Task(f"t{i}", "tiny", "train", kind, ""),
            0,
            "success" if success else "failure",
            success,
            (None,) * steps,
        )

    episodes = [
        ep(1, "a", 9, True),
        ep(1, "a", 3, True),
        ep(2, "a", 4, True),
        ep(3, "a", 5, True),
        ep(4, "b", 8, True),
        ep(5, "b", 2, False),
    ]
    picked = select(episodes, 1, 3)
    assert [(e.task.id, len(e.steps)) for e in picked] == [("t1", 3), ("t4", 8), ("t2", 4)]


def test_a_policy_that_cannot_be_trained_is_refused(tmp_path):
    context = TinyContext(tmp_path, {})
    context.policy.trainable = False
    for stage in (Sft, Grpo):
        with pytest.raises(UsageError, match="cannot be trained"):
            stage().fit(context)


def test_weights_that_would_round_steps_away_are_refused(tmp_path):
    context = TinyContext(tmp_path, {})
    context.policy.model().bfloat16()
    for stage in (Sft, Grpo):
        with pytest.raises(UsageError, match=r"policy\.dtype=float32"):
            stage().fit(context)


# ---------------------------------------------------------------------- grpo


def grpo_context(directory, **changes):
    config = {"iterations": 4, "tasks": 3, "group": 4, "lr": 3e-3, "invalid_penalty": 0.1}
    return TinyContext(directory, config | changes, teacher=TinyTeacher(), evolve=EVOLVE)


def result(context, checkpoint):
    curve = [
        {k: v for k, v in row.items() if not k.endswith("_s")}
        for row in checkpoint.metrics["curve"]
    ]
    return (
        weights(context.policy),
        [s.id for s in context.memory.skills()],
        context.memory.seen,
        curve,
    )


def equal(a, b):
    return torch.equal(a[0], b[0]) and a[1:] == b[1:]


def test_grpo_learns_evolves_and_counts(tmp_path):
    context = grpo_context(tmp_path)
    before = weights(context.policy).clone()
    checkpoint = Grpo().fit(context)
    curve = checkpoint.metrics["curve"]
    assert [row["step"] for row in curve] == [1, 2, 3, 4]
    assert [step for step, _ in context.lines] == [1, 2, 3, 4]
    for row in curve:
        assert row["n"] == 12
        assert row["kept_groups"] + row["dropped_groups"] == 3
        assert row["logp_diff"] < 1e-5 if row["kept_groups"] else True
        assert row["rows"] <= 12
        assert row["rows_per_episode"] == 1.0  # whole transcripts
        assert 0 <= row["valid_actions"] <= 1
    assert not torch.equal(before, weights(context.policy))
    # every second iteration at most two new skills, from train failures
    assert 1 <= len(context.memory.skills()) <= 4
    assert set(context.snapshots) <= {2, 4}
    assert context.policy.versions == [f"grpo-{i}" for i in range(5)]
    names = [p.name for p in checkpoints.found(tmp_path)]
    assert names == ["step_000003", "step_000004"]  # old ones are trimmed
    files = {p.name for p in checkpoint.weights.parent.rglob("*") if p.is_file()}
    assert {"model.safetensors", "optimizer.safetensors", "state.json", "bank.json"} <= files
    assert not any(name.endswith((".pt", ".bin", ".pkl")) for name in files)


@pytest.mark.parametrize("die_at", [0, 1, 3])
def test_a_killed_run_goes_on_exactly(tmp_path, die_at):
    straight = grpo_context(tmp_path / "a")
    expected = result(straight, Grpo().fit(straight))
    killed = grpo_context(tmp_path / "b")
    killed.die_at = die_at
    with pytest.raises(KeyboardInterrupt):
        Grpo().fit(killed)
    resumed = grpo_context(tmp_path / "b")  # a new process: fresh policy, fresh memory
    checkpoint = Grpo().fit(resumed)
    assert resumed.rollouts == 4 - die_at
    assert equal(expected, result(resumed, checkpoint))


def test_a_kill_while_a_checkpoint_is_written_costs_one_iteration(tmp_path, monkeypatch):
    straight = grpo_context(tmp_path / "a", iterations=3)
    expected = result(straight, Grpo().fit(straight))
    killed = grpo_context(tmp_path / "b", iterations=3)
    save = TinyMemory.save

    def die(self, directory):
        if "step_000002.tmp" in str(directory):
            raise KeyboardInterrupt
        save(self, directory)

    with monkeypatch.context() as patch:
        patch.setattr(TinyMemory, "save", die)
        with pytest.raises(KeyboardInterrupt):
            Grpo().fit(killed)
    assert [p.name for p in checkpoints.found(tmp_path / "b")] == ["step_000001"]
    resumed = grpo_context(tmp_path / "b", iterations=3)
    assert equal(expected, result(resumed, Grpo().fit(resumed)))
    assert not list((tmp_path / "b").glob("*.tmp"))


def test_kl_refers_to_the_weights_that_the_stage_began_with(tmp_path):
    changes = {"kl_coef": 0.1, "iterations": 3}
    straight = grpo_context(tmp_path / "a", **changes)
    expected = result(straight, Grpo().fit(straight))
    killed = grpo_context(tmp_path / "b", **changes)
    killed.die_at = 2
    with pytest.raises(KeyboardInterrupt):
        Grpo().fit(killed)
    resumed = grpo_context(tmp_path / "b", **changes)
    assert equal(expected, result(resumed, Grpo().fit(resumed)))
    assert expected[3][0].get("kl", 0.0) == pytest.approx(0.0, abs=1e-6)


def test_the_policy_gets_better_at_the_game(tmp_path):
    """Real learning: a model that says anything comes to say the colour it is asked for."""
    config = {"source": "expert", "tasks": 12, "repeats": 1, "epochs": 12, "lr": 5e-3, "batch": 12}
    pytest.importorskip("trl")
    context = TinyContext(tmp_path / "sft", config)
    Sft().fit(context)
    rl = TinyContext(
        tmp_path / "rl",
        {"iterations": 6, "tasks": 6, "group": 6, "lr": 5e-3},
        policy=context.policy,
    )
    curve = Grpo().fit(rl).metrics["curve"]
    assert sum(r["success"] for r in curve[-2:]) > sum(r["success"] for r in curve[:2])


# ---------------------------------------------------------------------- evolution


def failed(i, kind, success=False):
    task = Task(f"train-{i}", "tiny", "train", kind, "")
    return Episode(task, i, "success" if success else "failure", success)


def test_failures_are_taken_from_weak_types_in_turn():
    evolution = Evolution({**EVOLVE, "threshold": 0.4, "failures": 5})
    evolution.observe(
        [failed(1, "a"), failed(1, "a"), failed(2, "a"), failed(3, "a", True)]
    )  # 25 %
    evolution.observe([failed(i, "b") for i in range(10, 13)])  # 0 %
    evolution.observe([failed(20, "c"), failed(21, "c", True)])  # 50 %: above the threshold
    assert evolution.weak_types() == ["b", "a"]
    assert [e.task.id for e in evolution.chosen()] == [
        "train-10",
        "train-1",
        "train-11",
        "train-2",
        "train-12",
    ]


def test_evolution_caps_new_skills_and_begins_a_new_window():
    memory, evolution = TinyMemory(), Evolution({**EVOLVE, "max_new": 1})
    evolution.observe([failed(1, "a"), failed(2, "b"), failed(3, "c")])
    update = evolution.apply(memory, TinyTeacher(), step=2)
    assert len(update.added) == len(memory.skills()) == 1
    assert evolution.failures == []
    assert [evolution.due(i) for i in (1, 2, 3, 4)] == [False, True, False, True]
    off = Evolution({**EVOLVE, "enabled": False})
    off.observe([failed(1, "a")])
    assert not off.due(2)
    assert off.failures == []


def test_the_open_window_survives_on_disk(tmp_path):
    evolution = Evolution(EVOLVE)
    evolution.observe([failed(1, "a"), failed(2, "b", True)])
    evolution.save(tmp_path)
    other = Evolution(EVOLVE)
    other.load(tmp_path)
    assert (other.counts, other.failures) == (evolution.counts, evolution.failures)


def test_the_game_has_an_expert():
    assert list(TinyGame().expert(TinyGame().tasks("train")[0])) == ["red"]
