"""How actions are read and passages are written.

`<search>words</search>` looks something up, `<answer>words</answer>` ends the episode. The first
such block counts; one without its closing tag reaches to the end of its line. Accepted as well,
since instruct models write them: `search[words]`, `answer[words]`, `finish[words]`, and
`search: words`, `answer: words`. Everything is read with plain string searches, so that no input
takes more than linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .corpus import Passage, clean

QUERY_CHARS, ANSWER_CHARS = 500, 500  # what is kept of longer ones
WORDS = {"search": "search", "answer": "answer", "finish": "answer"}
NOTHING = "Nothing was found."
INVALID = (
    "This is not an action. Write <search>words to look up</search> or <answer>the answer</answer>."
)


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done: `verb` is "search", "answer" or "" for what could not be read."""

    verb: str
    text: str = ""


def parse(text: str) -> Action:
    """Read one action; see the module."""
    text = text[:20_000]
    lower = text.lower()
    if len(lower) != len(text):  # some letters change their length
        lower = text
    found = [(at, verb) for verb in ("search", "answer") if (at := lower.find(f"<{verb}>")) >= 0]
    if found:
        at, verb = min(found)
        start = at + len(verb) + 2
        end = lower.find(f"</{verb}>", start)
        inner = text[start:end] if end >= 0 else text[start:].strip().partition("\n")[0]
        return _action(verb, inner)
    line, head = text.strip(), lower.strip()
    for word, verb in WORDS.items():
        rest = line[len(word) :].lstrip() if head.startswith(word) else ""
        if rest.startswith("["):
            return _action(verb, rest[1:].rpartition("]")[0] or rest[1:])
        if rest.startswith(":"):
            return _action(verb, rest[1:].strip().partition("\n")[0])
    return Action("")


def _action(verb: str, inner: str) -> Action:
    inner = " ".join(clean(inner).split())
    if verb == "search":
        return Action(verb, inner[:QUERY_CHARS]) if inner else Action("")
    return Action(verb, inner[:ANSWER_CHARS])  # an empty answer is an answer, and wrong


def show(passages: Sequence[Passage], words: int, form: str = "plain") -> str:
    """The observation after a search; each passage is cut after `words` words (0: never).

    A title that the text begins with is not written twice. `form="search_r1"` gives the published
    layout: `Doc i(Title: "T") text` inside <information>.
    """
    lines = []
    for number, p in enumerate(passages, 1):
        text = _cut(p.text, words)
        titled = p.title and (form == "search_r1" or not text.startswith(p.title))
        head = f'Doc {number}(Title: "{p.title}")' if titled else f"Doc {number}:"
        lines.append(f"{head} {text}")
    body = "\n".join(lines) or NOTHING
    return f"<information>{body}</information>" if form == "search_r1" else body


def _cut(text: str, words: int) -> str:
    text = " ".join(text.split())
    if not words:
        return text
    kept = text.split(" ", words)
    return " ".join(kept[:words]) + (" ..." if len(kept) > words else "")
