"""Banks in SkillRL's JSON, and how their categories meet an environment's task types."""

from __future__ import annotations

import json

import pytest
from skillbench_memory.formats import IMPORTED, export_skillrl, import_skillrl
from skillbench_memory.retrieval import same_type
from skillbench_memory.skillbank import SkillBank


def bank(categories="task_specific_skills"):
    def entry(id, text):
        return {
            "skill_id": id,
            "title": text.split()[0],
            "principle": text,
            "when_to_apply": "Then.",
        }

    return {
        "general_skills": [entry("gen_001", "Look everywhere once."), entry("gen_002", "Open it.")],
        categories: {
            "pick_and_place": [entry("pic_001", "Take it straight there.")],
            "heat": [entry("hea_001", "Use the microwave.")],
            "clean": [entry("cle_001", "Use the sinkbasin.")],
        },
        "common_mistakes": [
            {
                "mistake_id": "err_001",
                "description": "Going in circles",
                "why_it_happens": "No record of places",
                "how_to_avoid": "Keep a list of the places.",
            }
        ],
        "metadata": {"source": "test", "total_memories_analyzed": 2},
    }


@pytest.mark.parametrize("categories", ["task_specific_skills", "query_type_skills"])
def test_round_trip(categories):
    data = bank(categories)
    skills = import_skillrl(data, source="x.json")
    out = export_skillrl(skills, categories=categories)
    for key in ("general_skills", categories, "common_mistakes"):
        assert out[key] == data[key]
    assert import_skillrl(out, source="x.json") == skills
    assert {s.source_split for s in skills} == {IMPORTED}


def test_own_skills_export_with_ids_of_their_own(kit):
    out = export_skillrl(kit.bank_of_three_types())
    ids = [e["skill_id"] for e in out["general_skills"]]
    ids += [e["skill_id"] for entries in out["task_specific_skills"].values() for e in entries]
    assert len(set(ids)) == len(ids) == 8
    assert ids[:2] == ["gen_001", "gen_002"]
    back = import_skillrl(json.loads(json.dumps(out)))
    assert sorted(s.id for s in back) == sorted(s.id for s in kit.bank_of_three_types())


def test_import_serves_the_task_types_of_the_environment(kit, tmp_path):
    path = tmp_path / "claude_style_skills.json"
    path.write_text(json.dumps(bank()))
    memory = SkillBank({"import_path": str(path)})
    text = memory.context(kit.task(task_type=kit.HEAT, split="seen"), (), 256).text
    assert text.splitlines() == [
        "- Look everywhere once.",
        "- Open it.",
        "- Use the microwave.",
        "- Keep a list of the places.",
    ]


def test_same_type():
    assert same_type("clean", "pick_clean_then_place_in_recep")
    assert same_type("pick_and_place", "pick_and_place_simple")
    assert same_type("pick_and_place", "pick_two_obj_and_place")
    assert not same_type("pick_and_place", "pick_heat_then_place_in_recep")
    assert not same_type("heat", "pick_clean_then_place_in_recep")
    assert not same_type("", "anything")
