"""Teachers: they turn train episodes into skills and lessons. Defaults only; nothing heavy here."""

from __future__ import annotations

from typing import Any

CAUSAL: dict[str, Any] = {
    "form": "skills",  # or "trajectories": solved episodes as entries, for the ablation
    "min_support": 2,  # distinct train tasks that must speak for an entry
    "min_sightings": 2,  # distinct train tasks in which a thing was seen at a place
    "min_lift": 0.0,  # success rate with minus without, where both were seen
    "per_subject": 2,  # how many places (say) are named for one object
    "per_type": 4,  # trajectories kept of each task type (form="trajectories")
    "max_skills": 0,  # of the first bank; 0: no limit
}

OPENAI: dict[str, Any] = {
    "form": "skills",
    "base_url": "",  # "": OPENAI_BASE_URL, or the client's default
    "temperature": 1.0,  # of its answers
    "max_tokens": 4096,  # of one answer
    "attempts": 3,  # answers asked for before TeacherError
    "timeout": 120.0,  # seconds for one try
    "examples": 12,  # episodes shown in one prompt
    "steps": 20,  # steps shown of one episode: its last ones
    "general": 10,  # entries asked for at most: general, per task type, mistakes
    "per_type": 5,
    "mistakes": 10,  # lessons from failures
    "usd_per_mtok_in": 0.0,  # US dollars for a million tokens
    "usd_per_mtok_out": 0.0,  # the same for what it writes
    "batch": False,  # true: questions go through the Batch API, and wait up to 24 hours
    "batch_poll": 30.0,  # seconds between two looks at a batch
    "batch_discount": 0.5,  # what a call in a batch costs of the usual price
}
