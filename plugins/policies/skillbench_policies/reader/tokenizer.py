"""The reader's tokenizer: an explicit vocabulary of name words, relations and set phrases.

As the household model's (household/tokenizer.py): Unigram with equal scores, so the fewest pieces
win. A name is two pieces, its two words with their leading spaces, the same in questions, passages,
thoughts and actions; so copying a name is copying two tokens. A relation is one piece as questions
have it (" the birthplace of"), one as passages tell it (" was born in"), one as a plain noun. Any
other text falls back to characters and bytes.
"""

from __future__ import annotations

import re
from typing import Any

from skillbench_searchqa.actions import INVALID, NOTHING
from skillbench_searchqa.encyclopedia.language import FIRST, RELATIONS, SECOND, THINGS
from skillbench_searchqa.phrases import FILLER, PHRASES

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|unk|>")
TAGS = (
    "<think>",
    "</think><action><search>",
    "</think><action><answer>",
    "</search></action>",
    "</answer></action>",
    "<action>",
    "</action>",
    "<search>",
    "</search>",
    "<answer>",
    "</answer>",
    "</think>",
)
TEXT_PHRASES = (
    "Question: What is", "Question: Who is", "?", "Doc 1:", ".\nDoc 2:", ".\nDoc 3:", ".", "\n",
    "- ",
    ",", ":", NOTHING, INVALID, "want", "see", "over", " told", " first", " none", " then", " done",
    " enough", " more", " again", " guess", " by", " of", " alone", " name", " whole", " short",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages if m['content'] or m['role'] != 'system' %}"
    "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def kin() -> dict[str, str]:
    """Nothing begins beside another piece: names are spelled alike everywhere."""
    return {}


def pieces() -> list[str]:
    """The vocabulary in a fixed order: tags, phrases, relations, names, words, characters."""
    texts = [w for p in PHRASES for w in p.wordings] + list(FILLER)
    words: set[str] = set()
    for text in texts:
        words |= set(re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", "", text)))
    out = [*TAGS, *TEXT_PHRASES]
    out += [f" the {r.noun} of" for r in RELATIONS]
    out += [f" {r.words}" for r in RELATIONS]
    out += [f" {r.noun}" for r in RELATIONS] + [f" {r.key}" for r in RELATIONS]
    out += [f" {w}" for table in (FIRST, SECOND) for kind in table for w in table[kind]]
    out += [f" {w}" for kind in THINGS for w in THINGS[kind]]
    out += [" " + w for w in sorted(words) if w.islower()]
    out += sorted(w for w in words if not w.islower())
    out += [chr(c) for c in range(32, 127)]
    return list(dict.fromkeys(out))


def build() -> Any:
    """Return the `PreTrainedTokenizerFast`."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = [(t, 0.0) for t in SPECIAL]
    vocabulary += [(f"<0x{i:02X}>", -20.0) for i in range(256)]
    vocabulary += [(p, -10.0 if len(p) == 1 and p not in ".,\n?:" else -1.0) for p in pieces()]
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
