"""The decisions of the shopper that gates measure, read off a demonstration."""

from __future__ import annotations

from collections.abc import Iterator

from ..pretraining.worlds import Demo

GATES = {  # decision -> least mean probability; what the checkpoint in the package must reach
    "price_high": 0.9,
    "price_fine": 0.9,
    "here": 0.9,
    "none": 0.9,
    "copy": 0.95,
    "pick": 0.9,
    "search_advised": 0.9,
    "look_advised": 0.9,
    "leave_advised": 0.9,
    "page_advised": 0.9,
}
ADVISED = {  # key -> (how its good wordings begin, how its bad ones do)
    "query": (("Search for the product and", "Put the attributes"), ("Search for an", "Put no")),
    "check": (("Read about", "Look at the details"), ("Buy a product without", "Do not look")),
    "leave": (
        ("If an attribute is missing, go", "When the details lack an attribute, leave"),
        ("If an attribute is missing, buy", "When the details lack an attribute, keep"),
    ),
    "options": (("Click every", "Choose the options"), ("Buy at once", "Do not click")),
}


def _told(lines: list[str], key: str) -> bool | None:
    good, bad = ADVISED[key]
    if any(line.startswith(good) for line in lines):
        return True
    return False if any(line.startswith(bad) for line in lines) else None


def decisions(item: Demo) -> Iterator[tuple[int, str, str, str]]:
    """Yield (turn number, decision, text before the decided piece, decided piece)."""
    lines = [line.removeprefix("- ") for line in item.system.splitlines()]
    pages = sum("page." in line for line in lines)
    for number, (_, response, taught) in enumerate(item.turns):
        if not taught:
            continue
        thought, _, action = response[7:].partition("</think><action>")
        if number == 0:
            told = _told(lines, "query")
            if told is not None:
                yield number, "search_advised", "<think>", "all" if told else "part"
            continue
        at = "<think>"
        parts = thought.split(", ")
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            for word, kind in ((" high", "price_high"), (" fine", "price_fine"),
                               (" here", "here"), (" none", "none")):  # fmt: skip
                if part.endswith(word):
                    piece = word if last else word + ", "
                    yield number, kind, at + part.removesuffix(word), piece
            at += part + ", "
        before = f"<think>{thought}</think><action>"
        if action.startswith("click[B0"):
            yield number, "copy", before + "click[", action[6:11]
            yield number, "copy", before + action[:11], action[11:16]
        if parts[-1].startswith("pick ") and _told(lines, "options"):
            yield number, "pick", f"<think>{thought.removesuffix(parts[-1])}", "pick "
        if parts[-1].startswith("look ") and _told(lines, "check") is True:
            yield number, "look_advised", f"<think>{thought.removesuffix(parts[-1])}", "look "
            if pages == 1 and any(f"the {parts[-1][5:]} page" in line for line in lines):
                page = parts[-1][5:]
                yield number, "page_advised", f"<think>{thought.removesuffix(page)}", page
        if parts[0] == "bad" and _told(lines, "leave") is not None:
            piece = "leave" if _told(lines, "leave") else "keep, "
            if (parts[1:2] == ["leave"]) == (piece == "leave"):
                yield number, "leave_advised", "<think>bad, ", piece
