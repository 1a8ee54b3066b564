"""Text to index terms as Lucene's English analyser makes them (the one that pyserini uses).

Tokens after Unicode Standard Annex 29 (words, numbers, single ideographs, emoji), the possessive
"'s" stripped, lower-cased, 33 stop words dropped, Porter's stemmer. The tokeniser is a regular
expression, so that rare scripts and symbols may differ; what that costs is measured against Lucene
itself (README, search parity).
"""

from __future__ import annotations

import re
import unicodedata

from .porter import stem

STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their "
        "then there these they this to was will with",
    )
)
_MARKS = "\u0300-\u036f\u200d\ufe00-\ufe0f"
_SINGLE = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # one token each
_EMOJI = "\u231a\u231b\u23e9-\u23f3\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001faff"
_WORD = rf"[^\W{_SINGLE}]"
_TOKEN = re.compile(
    rf"[{_SINGLE}]"
    rf"|{_WORD}[{_MARKS}]*"
    rf"(?:{_WORD}|[{_MARKS}]"
    rf"|(?<=[^\W\d_])[:.'\u00b7\u2018\u2019\u2024](?=[^\W\d_{_SINGLE}])"  # between letters
    rf"|(?<=\d)[.,;'\u2018\u2019\u066c](?=\d))*"  # between digits
    rf"|[{_EMOJI}](?:[{_MARKS}\U0001f3fb-\U0001f3ff]|(?<=\u200d)[{_EMOJI}])*"
)
_MAX = 255  # Lucene's longest token; what is longer goes on as the next one


def terms(text: str) -> list[str]:
    """The index terms of a text, in order."""
    out = []
    if not text.isascii():
        # Superscripts and fractions are no word characters to Unicode, but they are to `re`.
        text = "".join(" " if unicodedata.category(c) == "No" else c for c in text)
    for token in _TOKEN.findall(text):
        if token.strip("_") == "":
            continue
        if token[-2:] in ("'s", "'S", "\u2019s", "\u2019S", "\uff07s"):
            token = token[:-2]
        for start in range(0, len(token), _MAX):
            word = token[start : start + _MAX].lower()
            if word not in STOP:
                out.append(stem(word))
    return out
