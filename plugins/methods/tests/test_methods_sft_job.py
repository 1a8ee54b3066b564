"""The cold start in processes of its own, and accelerate's configurations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import tiny_model, tiny_tokenizer
from skillbench_methods import sft_job

from skillbench.errors import UsageError

ROOT = Path(__file__).parents[3]
CONFIGURATIONS = sorted((ROOT / "tasks" / "accelerate").glob("*.yaml"))


def rows_file(path: Path, highest: int = 20) -> Path:
    lines = [{"rows": 6}]
    for i in range(6):
        ids = [4 + (i + j) % (highest - 3) for j in range(8)]
        lines.append({"task": f"t{i}", "input_ids": ids, "labels": [-100] * 4 + ids[4:]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def base(tmp_path):
    pytest.importorskip("torch")
    where = tmp_path / "base"
    tiny_model().save_pretrained(where)
    tiny_tokenizer().save_pretrained(where)
    return where


def test_it_leaves_a_checkpoint_that_has_learned(base, tmp_path, capsys):
    pytest.importorskip("trl")
    import torch
    from transformers import AutoModelForCausalLM

    out = tmp_path / "out"
    words = [str(rows_file(tmp_path / "rows.jsonl")), "--model", str(base), "--out", str(out)]
    sets = ["epochs=4", "lr=3e-3", "batch=2", "gradient_checkpointing=true"]
    assert sft_job.main([*words, *(w for s in sets for w in ("--set", s))]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["loss_last"] < metrics["loss_first"]
    assert metrics["optimizer_steps"] == 12
    assert metrics["tokens_trained"] == 4 * 6 * 4
    assert not (out / "trainer").exists()
    before = tiny_model().state_dict()
    after = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).state_dict()
    assert any(not torch.equal(before[n], after[n]) for n in before)
    assert (out / "tokenizer.json").is_file()


def test_rows_of_another_tokenizer_and_unknown_keys_are_errors(base, tmp_path, capsys):
    rows = rows_file(tmp_path / "rows.jsonl", highest=4000)
    lines = rows.read_text().replace("[4, ", "[4000, ")
    rows.write_text(lines)
    words = [str(rows), "--model", str(base), "--out", str(tmp_path / "o")]
    assert sft_job.main(words) == 2
    assert "made with another tokenizer" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"no such key; did you mean 'epochs'\?"):
        sft_job.settings(["epoch=1"])
    with pytest.raises(UsageError, match="lr takes float"):
        sft_job.settings(["lr=fast"])
    assert sft_job.settings(["lr=1", "bf16=true"])["lr"] == 1.0


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda p: p.stem)
def test_accelerate_reads_the_configurations(path):
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))  # raises for a key that it does not know
    on_gpus = path.stem != "cpu"
    assert config.num_processes == (8 if on_gpus else 2)
    assert config.mixed_precision == ("bf16" if on_gpus else "no")
    if path.stem == "fsdp":
        assert config.fsdp_config["fsdp_version"] == 2
    if path.stem == "zero3":
        assert config.deepspeed_config["zero_stage"] == 3
