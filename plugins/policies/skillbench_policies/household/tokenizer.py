"""The embedded model's tokenizer: an explicit vocabulary of names, words and set phrases.

A Unigram model with equal scores cuts a text into as few pieces as possible. Every name is one
piece with its leading space (" mug", " 2"), so that an object's name is the same token in the task,
the observation and the command; the phrases of the game's texts are one piece each, so that an item
in a list costs three tokens. Anything else falls back to characters and bytes: any text encodes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from skillbench_alfworld import layouts
from skillbench_alfworld.phrases import FILLER, PHRASES

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|unk|>")
TAGS = ("<think>", "</think><action>", "</think>", "<action>", "</action>")
GAME_PHRASES = (
    "You are in the middle of a room. Looking quickly around you, you see a",
    ", a", ", and a", ".", ",", "\n", "- ", " Your task is to:", " put a", " put two", " put some",
    " put it in", " and", " some", " find two", " put them in", " look at", " under the",
    " examine the", " with the", "You arrive at", ". On the", ", you see a", ", you see nothing.",
    ". The", " is closed.", " is open. In it, you see a", " is open. In it, you see nothing.",
    "You open the", "You close the", "You pick up the", " from the", "You move the", " to the",
    "You clean the", "You heat the", "You cool the", " using the", "You turn on the",
    "Nothing happens.", "go to", "take", " from", "move", " to", "open", "close", "use", "clean",
    "heat", "cool", " with", "find", "bring", "light", "again", "examine", "look", "inventory",
    "help", " none", " seen", " closed", " open", " leave", " here", " away", " wander", " put", " in", " on",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def pieces() -> list[str]:
    """The vocabulary in a fixed order: tags, phrases, names, numbers, words of advice, characters."""
    names: set[str] = set(layouts.LAMPS)
    for row in layouts.PLANS.values():
        names |= {item.partition(":")[0] for item in row.split()}
    for objects in layouts.OBJECTS.values():
        names |= {name for name, *_ in objects}
    for receptacle, held in layouts.CAN_CONTAIN.items():
        names |= {receptacle, *held.split()}
    texts = [w for p in PHRASES for w in p.wordings] + list(FILLER)
    words: set[str] = {"hot"}
    for text in texts:
        words |= set(re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", "", text)))
    out = list(TAGS) + list(GAME_PHRASES)
    out += [" " + n for n in sorted(names)]
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
    vocabulary += [(p, -10.0 if len(p) == 1 and p not in ".,\n" else -1.0) for p in pieces()]
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
