"""What others wrote, before it is put where it is read as more than text.

Skills of a teacher enter prompts: control characters, invisible and direction-changing ones and the
markers that chat templates use for turns are taken out, so that a line of advice stays a line of
advice. What cannot be told by form (an instruction in plain words) stays: it is shown to be a
skill, under a heading, within the token budget, and in the run's files.
"""

from __future__ import annotations

import re
import unicodedata

from .records import whole

# <|im_start|>, <|eot_id|>, <s>, </s>, [INST], <start_of_turn> and the like; our own action tags.
MARKERS = re.compile(
    r"<\|[^<>|]{0,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"
    r"|</?(?:action|think|tool_call|information|search|answer)>",
    re.IGNORECASE,
)
ESCAPES = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?")
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")


def visible(text: str) -> str:
    """The text without terminal escapes and without characters that cannot be seen; newlines and
    tabs stay."""
    text = ESCAPES.sub("", whole(text))
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in INVISIBLE)


def one_line(text: str) -> str:
    """One visible line without the markers of chat templates: what a skill may consist of."""
    text, before = visible(text), ""
    while text != before:  # what is taken out may leave another marker behind
        before, text = text, MARKERS.sub("", text)
    return " ".join(text.split())
