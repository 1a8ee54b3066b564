"""Every option of the policies of this plugin, with its default. Imports nothing.

Registration and the policies themselves read them here, so that the two cannot disagree.
"""

from __future__ import annotations

from typing import Any

MODEL: dict[str, Any] = {
    "device": "auto",  # "auto", "cpu", "cuda", "cuda:1"
    "dtype": "auto",  # "auto" (float32 on a CPU, bfloat16 elsewhere), "float32", "bfloat16"
    "threads": 1,  # torch threads while sampling; 0: torch's own setting
    "workers": 0,  # subprocesses that sample; 0: in this process
    "batch": 64,  # episodes that advance together at most; 0: all
    "max_context": 0,  # tokens of one transcript; 0: what the model was made for
    "constrained": False,  # choose among the admissible commands after "<action>"
}
HF: dict[str, Any] = {
    **MODEL,
    "style": "chat",  # layout of prompts: "chat" or "compact"
    "revision": "",  # of a model on the hub
}
HOUSEHOLD = {**MODEL, "style": "compact", "workers": 2}  # two beat one with two threads
OPENAI: dict[str, Any] = {
    "style": "chat",  # layout of prompts: "chat" or "compact"
    "concurrency": 16,  # requests in flight
    "timeout": 120.0,  # seconds for one try
    "retries": 4,  # further tries after the first
    "max_completion_tokens": False,  # what reasoning models call max_tokens
    "send_sampling": True,  # temperature and top_p; reasoning models refuse them
    "send_seed": True,  # some servers refuse it
    "usd_per_mtok_in": 0.0,  # US dollars for a million tokens
    "usd_per_mtok_cached": -1.0,  # of input from the provider's cache; -1: as usd_per_mtok_in
    "usd_per_mtok_out": 0.0,  # of what it writes
    "extra_body": "",  # further fields of the request, as JSON
}
