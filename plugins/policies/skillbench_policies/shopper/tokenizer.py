"""The embedded shopper's tokenizer: an explicit vocabulary of names, words and set phrases.

A Unigram model cuts a text into as few pieces as possible. A name is one piece without a space
before it, since pages set names off by " [SEP] ", instructions and thoughts by ", " and actions by
"click[": those marks carry the spaces, so that a name is the same token in all of them. Where a
name does follow a space (titles), it has a second piece, which starts beside the plain one (`kin`).
A product's identifier is two pieces. Anything else falls back to characters and bytes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from skillbench_webshop import generator, words
from skillbench_webshop.phrases import FILLER, PHRASES

from ..household.tokenizer import SPECIAL, TAGS, TEMPLATE

MARKS = (
    " [SEP] ", ", ", ": ", ".", "\n", "- ", "]", ")", " to ", "$",
    "Find me ", " with ", ", and ", ", and price lower than ", ".00 dollars",
    "Back to Search [SEP] Page ", " (Total results: ", ") [SEP] Next > [SEP] ",
    ") [SEP] < Prev [SEP] Next > [SEP] ", "Back to Search [SEP] < Prev [SEP] ", "Price: ",
    " [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now",
    "This", " is: ", " is ", ", not ", "imported", "No reviews found", "WebShop [SEP] Search",
    ") [SEP] Next >", ") [SEP] < Prev [SEP] Next >",
    "search[", "click[", "click[< Prev]", "click[Buy Now]", "click[Next >]",
    "click[Back to Search]",
    "all", "kind", "part", "limit ", "any, ", "any", " known, ", " high, ", " fine", "next",
    " here, ", " none, ", "look ", "leave", "keep, ", "bad, ", "bad", "good", "nothing",
    "pick ", "buy",
)  # fmt: skip
PAGES = ("Description", "Features", "Reviews")


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Kinds, attributes, options, brands, categories and pages, each once."""
    return tuple(dict.fromkeys((*generator.names(), *PAGES)))


@lru_cache(maxsize=1)
def kin() -> dict[str, str]:
    """Piece with a space before it -> the plain name's piece."""
    return {f" {name}": name for name in names()}


def pieces() -> list[str]:
    """The vocabulary in a fixed order: tags, marks, names, numbers, identifiers, words."""
    heads, tails = generator.code_parts()
    numbers = [f"${p}" for p in generator.PRICES] + ["$100.0"] + [str(i) for i in range(1, 151)]
    texts = [w for p in PHRASES for w in p.wordings] + list(FILLER)
    found: set[str] = set()
    for text in texts:
        found |= set(re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", "", text)))
    out = [*TAGS, *MARKS, *names(), *kin(), *words.SMALL_TALK, *numbers, *heads, *tails]
    out += [a.replace(" ", "-") for c in words.CATEGORIES for a in c.attributes]
    out += [" " + w for w in sorted(found)] + sorted(w for w in found if not w.islower())
    out += [chr(c) for c in range(32, 127)]
    return list(dict.fromkeys(out))


def score(piece: str) -> float:
    """Cost of using a piece: the fewest pieces win, and plain names before spaced ones."""
    if piece in kin():
        return -1.2
    return -10.0 if len(piece) == 1 and piece not in ".\n])$" else -1.0


def build() -> Any:
    """Return the `PreTrainedTokenizerFast`."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = [(t, 0.0) for t in SPECIAL]
    vocabulary += [(f"<0x{i:02X}>", -20.0) for i in range(256)]
    vocabulary += [(p, score(p)) for p in pieces()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=5, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        unk_token="<|unk|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast
