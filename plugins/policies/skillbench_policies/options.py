"""Every option of the policies of this plugin, with its default. Imports nothing.

Registration and the policies themselves read them here, so that the two cannot disagree.
"""

from __future__ import annotations

from typing import Any

LORA: dict[str, Any] = {
    "lora_rank": 0,  # > 0: adapters are trained instead of the whole model
    "lora_alpha": 0,  # 0: twice the rank
    "lora_targets": "all-linear",  # or names of layers, with commas
}
MODEL: dict[str, Any] = {
    **LORA,
    "device": "auto",  # "auto", "cpu", "cuda", "cuda:1"
    "dtype": "auto",  # "auto" (float32 on a CPU, bfloat16 elsewhere), "float32", "bfloat16"
    "threads": 1,  # torch threads while sampling; 0: torch's own setting
    "workers": 0,  # subprocesses that sample; 0: in this process
    "batch": 64,  # episodes that advance together at most; 0: all
    "max_context": 0,  # tokens of one transcript; 0: what the model was made for
    "constrained": False,  # choose among the admissible commands after "<action>"; not with vllm
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
# Where a key stands above too, what is said there is what the reference page shows.
VLLM: dict[str, Any] = {
    **LORA,
    "style": "auto",  # compact for the embedded models, chat otherwise
    "revision": "",  # of a model on the hub
    "dtype": "auto",  # of the engine: float32 on a CPU, bfloat16 elsewhere
    "train_dtype": "float32",  # of what is trained
    "device": "auto",  # of what is trained; the engine takes what it finds
    "concurrency": 64,  # requests in flight, and sequences that advance together
    "max_context": 0,  # tokens of one transcript; 0: what the model was made for
    "tensor_parallel": 1,  # devices that share one copy of the weights
    "data_parallel": 1,  # copies of the weights
    "gpu_memory": 0.9,  # share of a GPU's memory; 0.4 or so where training shares the GPU
    "kv_cache_gb": 0.0,  # size of the KV cache; 0: 1 GB on a CPU, what is left on a GPU
    "prefix_caching": True,  # what a transcript began with is not computed again
    "threads": 1,  # of the engine on a CPU; 0: torch's own setting
    "constrained": False,  # not with vLLM
    "engine": "",  # further arguments of vllm.AsyncEngineArgs, as a JSON table
}
