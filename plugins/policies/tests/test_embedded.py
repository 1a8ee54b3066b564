"""The packaged models are what their provenance says, and decide as they were taught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import skillbench_policies
from skillbench_policies.pretraining.gates import measure
from skillbench_policies.pretraining.train import data_digest
from skillbench_policies.pretraining.worlds import load_world

HERE = Path(skillbench_policies.__file__).parent
WORLDS = ("household", "shopper", "reader")


@pytest.fixture(params=WORLDS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def provenance(name: str) -> dict:
    return json.loads((HERE / name / "checkpoint" / "provenance.json").read_text())


def test_a_checkpoint_names_the_code_that_made_its_data(name: str) -> None:
    assert provenance(name)["data_digest"] == data_digest(load_world(name))


def test_a_checkpoint_is_small_and_carries_no_path(name: str) -> None:
    folder = HERE / name / "checkpoint"
    assert sum(f.stat().st_size for f in folder.iterdir()) < 8e6
    assert provenance(name)["parameters"] < 3e6
    assert "/" not in provenance(name)["command"]
    assert sorted(f.suffix for f in folder.iterdir() if f.stat().st_size > 1e5) == [".safetensors"]


def test_the_tokenizer_is_the_one_of_the_code(name: str, tmp_path: Path) -> None:
    load_world(name).tokenizer().save_pretrained(tmp_path)
    packaged = HERE / name / "checkpoint" / "tokenizer.json"
    assert json.loads(packaged.read_text()) == json.loads((tmp_path / "tokenizer.json").read_text())


def test_a_checkpoint_decides_as_its_provenance_says(name: str) -> None:
    """On a few of the demonstrations behind the recorded gates, so with room for chance."""
    recorded = provenance(name)["gates"]
    seen = measure(load_world(name), HERE / name / "checkpoint", 25)
    often = {kind: row for kind, row in seen.items() if row["n"] >= 20}
    assert len(often) >= 4
    for kind, row in often.items():
        assert row["p"] > recorded[kind] - 0.15, kind
        assert row["accuracy"] > 0.7, kind
