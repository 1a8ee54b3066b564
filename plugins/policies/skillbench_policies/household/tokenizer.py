"""The embedded model's tokenizer: an explicit vocabulary of names, words and set phrases.

A Unigram model with equal scores cuts a text into as few pieces as possible. Every name is one
piece with its leading space (" mug", " 2"), so that an object's name is the same token in the task,
the observation and the command; the phrases of the game's texts are one piece each, so that an item
in a list costs three tokens. A name in a list of things (" a mug") and a place that is reached
(" at desk") have pieces of their own, which say what they are without a look at their neighbours;
`kin` tells which plain name each belongs to. Anything else falls back to characters and bytes: any
text encodes.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from skillbench_alfworld import layouts
from skillbench_alfworld.phrases import FILLER, PHRASES

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|unk|>")
TAGS = ("<think>", "</think><action>", "</think>", "<action>", "</action>")
GAME_PHRASES = (
    "You are in the middle of a room. Looking quickly around you, you see a",
    ", a", ", and a", ", and", ".", ",", "\n", "- ", " Your task is to:", " put a", " put two", " put some",  # noqa: E501
    " put it in", " and", " some", " find two", " put them in", " look at", " under the",
    " examine the", " with the", "You arrive", "You arrive at", ". On the", ", you see", ", you see a", ", you see nothing.",  # noqa: E501
    ". The", " is closed.", " is open. In it, you see", " is open. In it, you see a",
    " is open. In it, you see nothing.",
    "You open the", "You close the", "You pick up the", " from the", "You move the", " to the",
    "You clean the", "You heat the", "You cool the", " using the", "You turn on the",
    "Nothing happens.", "go to", "take", " from", "move", " to", "open", "close", "use", "clean",
    "heat", "cool", " with", "find", "bring", "light", "again", "examine", "look", "inventory",
    "help", " none", " seen", " closed", " open", " leave", " here", " away", " wander", " put", " in",  # noqa: E501
    " on",
)  # fmt: skip
MENTIONS = (
    " put a",
    " Look for a",
    "Look for a",
    " where a",
    " for a",
    " A",
    " is a",
)  # no list follows
TEMPLATE = (
    "{% for m in messages if m['content'] or m['role'] != 'system' %}"
    "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def names() -> tuple[list[str], list[str]]:
    """(receptacle types, object types), each sorted."""
    places: set[str] = set(layouts.CAN_CONTAIN)
    things: set[str] = set(layouts.LAMPS)
    for row in layouts.PLANS.values():
        places |= {item.partition(":")[0] for item in row.split()}
    for objects in layouts.OBJECTS.values():
        things |= {name for name, *_ in objects}
    for held in layouts.CAN_CONTAIN.values():
        things |= set(held.split())
    return sorted(places), sorted(things)


@lru_cache(maxsize=1)
def kin() -> dict[str, str]:
    """Piece of a listed thing or a reached place -> the plain name's piece."""
    places, things = names()
    return {f" a {n}": f" {n}" for n in things} | {f" at {n}": f" {n}" for n in places}


def score(piece: str) -> float:
    """Cost of using a piece: the fewest pieces win, and list pieces only in lists."""
    if piece in MENTIONS:
        return -0.7
    if piece in kin():
        return -0.9
    return -10.0 if len(piece) == 1 and piece not in ".,\n" else -1.0


def pieces() -> list[str]:
    """The vocabulary in a fixed order: tags, phrases, names, numbers, words, characters."""
    places, things = names()
    texts = [w for p in PHRASES for w in p.wordings] + list(FILLER)
    words: set[str] = {"hot"}
    for text in texts:
        words |= set(re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", "", text)))
    out = list(TAGS) + list(GAME_PHRASES)
    out += list(MENTIONS) + [" " + n for n in sorted({*places, *things})] + sorted(kin())
    out += [f" {i}" for i in range(1, 41)]
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


def save(directory: Path) -> None:
    """Write tokenizer files as `AutoTokenizer.from_pretrained` reads them."""
    build().save_pretrained(str(directory))
    json.loads((directory / "tokenizer.json").read_text())  # written whole, or an error now
