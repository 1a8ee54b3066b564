"""Pretraining: a killed run ends with the weights of an uninterrupted one; worlds are found."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from skillbench_policies.pretraining import load_world, train  # noqa: E402


def make(out, *more: str) -> dict:
    options = ["--tokens", "24000", "--batch-tokens", "2048", "--save-s", "0", *more]
    train.main(["household", "--out", str(out), *options])
    return load_file(out / "final" / "model.safetensors")


def test_a_killed_run_goes_on_exactly(tmp_path, monkeypatch):
    whole = make(tmp_path / "whole")
    real = train.save_checkpoint

    def save_and_die(*given) -> None:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_checkpoint", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut")
    monkeypatch.setattr(train, "save_checkpoint", real)
    progress = json.loads((tmp_path / "cut" / "last" / "progress.json").read_text())
    assert 0 < progress["seen"] < 24000
    resumed = make(tmp_path / "cut")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_run_may_begin_with_other_weights(tmp_path):
    first = make(tmp_path / "first")
    second = make(tmp_path / "second", "--init", str(tmp_path / "first" / "final"))
    provenance = json.loads((tmp_path / "second" / "final" / "provenance.json").read_text())
    assert provenance["init"] == str(tmp_path / "first" / "final")
    assert any(not torch.equal(first[k], second[k]) for k in first)


def test_worlds_are_found_by_name():
    assert load_world("household").DATA
    with pytest.raises(SystemExit, match="no world 'nowhere'"):
        load_world("nowhere")
