"""Banks as text: our own snapshots, and the JSON files of SkillRL.

A snapshot is a directory with two files. `skills.json` holds the entries with their provenance, in
the order in which they joined the bank (a refined entry takes its parent's place), so that `diff`
between two snapshots shows what learning changed. `stats.json` holds what was measured about them.
`skills.json` alone is enough to start another run from.

SkillRL's file (arXiv:2602.08234, `claude_style_skills.json`) has `general_skills`,
`task_specific_skills` (its search bank says `query_type_skills`) and `common_mistakes`. Its entries
have no provenance, so imported skills carry `source_split="imported"` and no source tasks.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import DataError
from skillbench.records import Skill, skill_from_json, to_json

SNAPSHOT_FORMAT = "skillbench-bank"
SNAPSHOT_VERSION = 1
IMPORTED = "imported"  # source_split of skills that came without provenance
SKILLRL_KEYS = ("general_skills", "task_specific_skills", "query_type_skills", "common_mistakes")


def bank_version(ids: Iterable[str]) -> str:
    """Digest (12 hex digits) of which skills a bank holds, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]


def write_snapshot(directory: Path, skills: Sequence[Skill], stats: Mapping[str, Any]) -> None:
    """Write skills.json and stats.json, each complete or not at all. OSError is the caller's."""
    directory.mkdir(parents=True, exist_ok=True)
    bank = {
        "format": SNAPSHOT_FORMAT,
        "format_version": SNAPSHOT_VERSION,
        "bank": bank_version(s.id for s in skills),
        "skills": [_skill_json(s) for s in skills],
    }
    _write(directory / "skills.json", bank)
    _write(directory / "stats.json", stats)


def read_snapshot(directory: Path) -> tuple[list[Skill], dict[str, Any]]:
    """Read a snapshot back: the skills in order, and the statistics ({} where there are none)."""
    skills = read_bank(directory / "skills.json")
    path = directory / "stats.json"
    stats = _read(path) if path.exists() else {}
    return skills, stats


def read_bank(path: Path) -> list[Skill]:
    """Read a bank from a snapshot (directory or skills.json) or from SkillRL's JSON.

    Raises DataError that names the file and what is wrong with it.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        path = path / "skills.json"
    data = _read(path)
    try:
        if "skills" in data:
            return [skill_from_json(entry) for entry in data["skills"]]
        if any(key in data for key in SKILLRL_KEYS):
            return import_skillrl(data, source=path.name)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} has an entry that is no skill ({type(error).__name__}: {error}); every entry "
            "needs a title and a principle"
        ) from error
    raise DataError(
        f"{path} is no bank of skills: expected a key 'skills' (a snapshot of skillbench) or one "
        f"of {', '.join(SKILLRL_KEYS)} (SkillRL's format); found: {', '.join(data) or 'nothing'}"
    )


def import_skillrl(data: Mapping[str, Any], *, source: str = "") -> list[Skill]:
    """Turn SkillRL's JSON into skills, in file order; their old ids are kept in `meta`."""

    def skill(entry: Mapping[str, Any], **kw: Any) -> Skill:
        meta = {"source_id": entry["skill_id"]} if entry.get("skill_id") else {}
        return Skill(
            title=_text(entry["title"]),
            principle=_text(entry["principle"]),
            when_to_apply=_text(entry.get("when_to_apply") or ""),
            source_split=IMPORTED,
            author=f"import:{source}" if source else "import",
            meta=meta,
            **kw,
        )

    skills = [skill(entry) for entry in data.get("general_skills") or ()]
    for key in ("task_specific_skills", "query_type_skills"):
        for category, entries in (data.get(key) or {}).items():
            skills += [skill(entry, kind="task_type", task_type=category) for entry in entries]
    for entry in data.get("common_mistakes") or ():
        meta = {"source_id": entry["mistake_id"]} if entry.get("mistake_id") else {}
        if entry.get("why_it_happens"):
            meta["why_it_happens"] = _text(entry["why_it_happens"])
        skills.append(
            Skill(
                title=_text(entry["description"]),
                principle=_text(entry["how_to_avoid"]),
                kind="mistake",
                task_type=entry.get("task_type"),
                source_split=IMPORTED,
                author=f"import:{source}" if source else "import",
                meta=meta,
            )
        )
    return skills


def export_skillrl(skills: Sequence[Skill], *, categories: str = "task_specific_skills") -> dict:
    """Turn skills into SkillRL's JSON. What it has no key for (provenance) is left out.

    `categories` may be "query_type_skills", the key that SkillRL's search bank uses. A lesson's
    task type, which the published schema lacks, is written as one more key of its entry.
    """
    used: set[str] = set()

    def label(skill: Skill, prefix: str) -> str:
        wanted = str(skill.meta.get("source_id") or "")
        number = 1
        while not wanted or wanted in used:
            wanted = f"{prefix}_{number:03d}"
            number += 1
        used.add(wanted)
        return wanted

    general: list[dict[str, str]] = []
    typed: dict[str, list[dict[str, str]]] = {}
    mistakes: list[dict[str, str]] = []
    for skill in skills:
        if skill.kind == "mistake":
            entry = {
                "mistake_id": label(skill, "err"),
                "description": skill.title,
                "why_it_happens": str(skill.meta.get("why_it_happens") or skill.when_to_apply),
                "how_to_avoid": skill.principle,
            }
            if skill.task_type:
                entry["task_type"] = skill.task_type
            mistakes.append(entry)
            continue
        category = skill.task_type if skill.kind == "task_type" else None
        entry = {
            "skill_id": label(skill, category[:3] if category else "gen"),
            "title": skill.title,
            "principle": skill.principle,
            "when_to_apply": skill.when_to_apply,
        }
        if category:
            typed.setdefault(category, []).append(entry)
        else:
            general.append(entry)
    return {
        "general_skills": general,
        categories: typed,
        "common_mistakes": mistakes,
        "metadata": {"source": "skillbench", "bank": bank_version(s.id for s in skills)},
    }


def _skill_json(skill: Skill) -> dict[str, Any]:
    """A skill with its id first and empty fields left out."""
    entry = to_json(skill)
    kept = {
        k: v
        for k, v in entry.items()
        if k in ("title", "principle", "kind") or v not in ("", [], {})
    }
    return {"id": skill.id, **{k: v for k, v in kept.items() if k != "id"}}


def _text(value: Any) -> str:
    """One line of text: banks come from language models, which like line breaks."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return " ".join(value.split())


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"there is no bank at {path}; give the path of a JSON file") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{path} holds a {type(data).__name__}; a bank is a JSON object")
    return data


def _write(path: Path, data: Mapping[str, Any]) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)
