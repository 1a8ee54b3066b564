"""Exact match, sub-match and token F1, over the best of all gold answers.

Normalisation is SQuAD's (Rajpurkar et al. 2016, evaluation script): lower case, no ASCII
punctuation, no articles, single spaces. Exact match is what Search-R1 and SkillRL report as
success; sub-match asks whether a gold answer is a *character* substring of the prediction, as they
do; F1 is SQuAD's over tokens.

Where normalisation leaves nothing ("The", "?"), plain lower-cased texts are compared instead:
otherwise an empty answer would match such a gold answer, and such a gold answer would be found in
everything.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """SQuAD's normalisation."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def exact_match(prediction: str, golds: Sequence[str]) -> bool:
    """Whether the prediction is one of the gold answers."""
    said = normalise(prediction)
    if not said:
        return bool(_plain(prediction)) and _plain(prediction) in map(_plain, golds)
    return any(said == normalise(gold) for gold in golds)


def sub_exact_match(prediction: str, golds: Sequence[str]) -> bool:
    """Whether the prediction contains one of the gold answers."""
    said = normalise(prediction)
    return exact_match(prediction, golds) or any(
        wanted and wanted in said for wanted in map(normalise, golds)
    )


def f1(prediction: str, golds: Sequence[str]) -> float:
    """Harmonic mean of token precision and recall, the best over the gold answers."""
    if exact_match(prediction, golds):
        return 1.0
    said = normalise(prediction).split()
    best = 0.0
    for gold in golds:
        wanted = normalise(gold).split()
        shared = sum((Counter(said) & Counter(wanted)).values())
        if shared:
            best = max(best, 2 * shared / (len(said) + len(wanted)))
    return best


def metrics(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """All three by name; what `info["metrics"]` holds on the final step."""
    return {
        "exact_match": float(exact_match(prediction, golds)),
        "sub_exact_match": float(sub_exact_match(prediction, golds)),
        "f1": f1(prediction, golds),
    }
