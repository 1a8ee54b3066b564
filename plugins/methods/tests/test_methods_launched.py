"""Updates by processes that accelerate starts: they end where one process ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import TinyContext, tiny_model, tiny_tokenizer
from test_methods_row_trainer import sampled_rows

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("skillbench_policies")

from skillbench_methods import launching  # noqa: E402
from skillbench_methods.grpo import DEFAULTS  # noqa: E402
from skillbench_methods.launched import LaunchedTrainer  # noqa: E402
from skillbench_methods.row_trainer import RowTrainer, SamplerMismatch  # noqa: E402
from skillbench_policies.hf import HFPolicy  # noqa: E402

from skillbench.errors import SkillbenchError, UsageError  # noqa: E402

SHARDED = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: "no"
num_machines: 1
machine_rank: 0
num_processes: 2
main_training_function: main
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_cpu_ram_efficient_loading: true
  fsdp_activation_checkpointing: false
  fsdp_offload_params: false
"""
UPDATES = {"lr": 1e-2, "micro_tokens": 30, "epochs": 2, "kl_coef": 0.1}


@pytest.fixture
def policy(tmp_path):
    where = tmp_path / "model"
    tiny_model().save_pretrained(where)
    tiny_tokenizer().save_pretrained(where)
    return HFPolicy(str(where))


def settings(**more):
    return {**DEFAULTS, **UPDATES, **more}


def everything(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cpu", "sharded"])
def test_launched_ranks_do_what_one_process_does(policy, tmp_path, how):
    """Two updates with a checkpoint between, which either side can read."""
    launch = "cpu"
    if how == "sharded":
        (tmp_path / "sharded.yaml").write_text(SHARDED)
        launch = str(tmp_path / "sharded.yaml")
    model, first = tiny_model(), sampled_rows(tiny_model(), n=6)
    config = settings()
    alone = RowTrainer(model, config, reference=tiny_model())
    there = LaunchedTrainer(
        policy, settings(launch=launch), tmp_path, reference=tiny_model().requires_grad_(False)
    )
    try:
        assert there.devices == 2
        expected, found = alone.update(first, seed=1), there.update(first, seed=1)
        assert found["tokens_trained"] == expected["tokens_trained"]
        assert found["kl"] == pytest.approx(expected["kl"], abs=1e-6)
        alone.save(tmp_path / "one")
        there.save(tmp_path / "two")
        halfway = everything(policy.model())
        torch.testing.assert_close(halfway, everything(model), rtol=1e-4, atol=1e-5)
        second = sampled_rows(model, n=5)
        alone.update(second, seed=2)
        there.update(second, seed=2)
        torch.testing.assert_close(
            everything(policy.model()), everything(model), rtol=1e-3, atol=1e-4
        )
        assert not torch.equal(everything(model), halfway)
    finally:
        there.close()
    assert not there.directory.exists()
    from safetensors.torch import load_file

    files = [load_file(str(tmp_path / n / "optimizer.safetensors")) for n in ("one", "two")]
    assert files[0].keys() == files[1].keys()
    for name in files[0]:
        torch.testing.assert_close(files[0][name], files[1][name], rtol=1e-3, atol=1e-6)
    # Either side goes on from the other's moments.
    again = LaunchedTrainer(policy, settings(launch=launch, kl_coef=0.0), tmp_path)
    try:
        again.load(tmp_path / "one")
        again.save(tmp_path / "three")
    finally:
        again.close()
    back = load_file(str(tmp_path / "three" / "optimizer.safetensors"))
    assert all(torch.equal(back[name], files[0][name]) for name in back)
    assert (tmp_path / "three" / "optimizer.json").read_text() == (
        tmp_path / "one" / "optimizer.json"
    ).read_text()


@pytest.mark.slow
def test_errors_of_ranks_reach_the_run(policy, tmp_path):
    there = LaunchedTrainer(policy, settings(launch="cpu", kl_coef=0.0, logp_limit=1e-3), tmp_path)
    try:
        with pytest.raises(SamplerMismatch, match="does not have the weights"):
            there.update(sampled_rows(tiny_model(seed=5), n=4))
        there.update(sampled_rows(tiny_model(), n=4))  # they are still there
        there.pipe.send(("update", "no rows", 0))  # a fault of the program: the ranks die
        with pytest.raises(
            SkillbenchError, match=r"(?s)died \(exit code 1\).*ranks\.log.*--resume"
        ):
            there._ask("save", str(tmp_path / "x"))
    finally:
        there.close()


@pytest.mark.slow
def test_a_cold_start_is_launched_and_read_back(policy, tmp_path):
    pytest.importorskip("trl")
    from skillbench_methods import sft, sft_job
    from test_methods_sft_job import rows_file

    before = everything(policy.model()).clone()
    rows = rows_file(tmp_path / "rows.jsonl")
    config = {**sft.DEFAULTS, "launch": "cpu", "epochs": 4, "lr": 3e-3, "batch": 2}
    metrics, devices = sft_job.launch(policy, config, rows, tmp_path / "trainer", seed=0)
    assert devices == 2
    assert metrics["loss_last"] < metrics["loss_first"]
    assert not torch.equal(everything(policy.model()), before)
    assert not (tmp_path / "trainer").exists()


def test_what_cannot_be_launched_is_said(policy, tmp_path):
    with pytest.raises(UsageError, match=r"launch=fsd: .* did you mean 'fsdp'"):
        LaunchedTrainer(policy, settings(launch="fsd"), tmp_path)
    with pytest.raises(UsageError, match="use launch=fsdp"):
        LaunchedTrainer(policy, settings(launch="zero3"), tmp_path)
    with pytest.raises(UsageError, match="backend=torch"):
        LaunchedTrainer(policy, settings(launch="cpu", backend="trl"), tmp_path)
    (tmp_path / "bad.yaml").write_text("nonsense: [")
    with pytest.raises(UsageError, match="no configuration of accelerate"):
        launching.size(tmp_path / "bad.yaml")
    assert launching.size(launching.configuration("fsdp", "grpo")) == (8, 1)


def test_the_stage_bills_every_device(tmp_path, monkeypatch):
    """The trainer that is launched is the stage's; its devices are on the bill."""
    import skillbench_methods.grpo as stage

    class Ranks:
        devices = 4

        def __init__(self, policy, config, directory, *, reference=None):
            self.ours = RowTrainer(policy.model(), config, reference=reference)
            self.update, self.save, self.load = self.ours.update, self.ours.save, self.ours.load
            self.closed = False
            made.append(self)

        def close(self):
            self.closed = True

    made: list[Ranks] = []
    monkeypatch.setattr(stage, "LaunchedTrainer", Ranks)
    config = {"iterations": 1, "tasks": 3, "group": 4, "launch": "cpu", "lr": 1e-3}
    context = TinyContext(tmp_path, config)
    stage.Grpo().fit(context)
    assert made[0].closed
    (usage,) = [u for phase, role, u in context.spent if role == "trainer"]
    assert usage.device_s == pytest.approx(4 * usage.wall_s)
