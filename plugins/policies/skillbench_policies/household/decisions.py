"""The decisions of a demonstration that gates look at (pretraining/gates.py).

Seeing the wanted thing, not seeing it, taking it, choosing the next place in order, and each
decision that a line of advice settles.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..pretraining.worlds import Demo

GATES = {  # decision -> least mean probability; what the checkpoint in the package must reach
    "see": 0.9,
    "absent": 0.95,
    "take": 0.95,
    "next_in_order": 0.8,
    "open_advised": 0.9,
    "leave_advised": 0.9,
    "treat_advised": 0.9,
    "put_advised": 0.9,
}


def decisions(item: Demo) -> Iterator[tuple[int, str, str, str]]:
    """Yield (turn number, decision, text before the decided piece, decided piece)."""
    lines = item.system
    first_thought = item.turns[0][1].split()
    wanted = first_thought[1] if len(first_thought) > 1 else ""
    wise = {
        "order": "order of the list" in lines or "one by one" in lines,
        "jump": "comes to mind" in lines or "Jump between" in lines,
        "open": "look inside before" in lines or "open it at once" in lines,
        "shut": "Leave a closed place" in lines or "do not open it" in lines,
        "treat": any(f"it with the {tool} first" in lines or f"to the {tool} and" in lines
                     for tool in ("sinkbasin", "microwave", "fridge")),
        "hints": f"ook for a {wanted} in" in lines or f"A {wanted} is often" in lines,
    }  # fmt: skip
    kinds = ("hot", "heat", "cool", "clean")
    treating = any(f" {k} " in item.turns[0][0].partition("task is to:")[2] for k in kinds)
    tool = {"hot": "microwave", "heat": "microwave", "cool": "fridge", "clean": "sinkbasin"}
    goal = item.turns[0][0].partition("task is to:")[2]
    wanted_tool = next((tool[k] for k in kinds if f" {k} " in goal), "")
    for number, (_, response, taught) in enumerate(item.turns):
        if not taught:
            continue
        thought, _, action = response[7:].partition("</think><action>")
        words = thought.split()
        before = "<think>"
        if words[0] == "find" and len(words) == 3:
            kind = "see" if words[2] == "seen" else "absent" if words[2] == "none" else ""
            if kind:
                yield number, kind, before + " ".join(words[:2]), " " + words[2]
        if action.startswith("take ") and words[0] == "find":
            yield number, "take", f"<think>{thought}</think><action>", "take"
            name, _, n = action[5:].partition(" from ")[0].rpartition(" ")
            yield number, "which", f"<think>{thought}</think><action>take {name}", " " + n
        if len(words) == 4 and words[2] == "closed":
            kind = "open_advised" if wise["open"] else "leave_advised" if wise["shut"] else ""
            if kind and not (wise["open"] and wise["shut"]):
                yield number, kind, before + " ".join(words[:3]), " " + words[3]
        if words[0] == "bring" and treating and words[3] in ("clean", "heat", "cool", "put"):
            advised = (
                f"with the {wanted_tool} first" in lines or f"to the {wanted_tool} and" in lines
            )
            against = f"Do not {goal}" in lines or (
                "Do not" in lines and f"with the {wanted_tool}, just" in lines
            )
            if advised and words[3] != "put":
                yield number, "treat_advised", before + " ".join(words[:3]), " " + words[3]
            if against and words[3] == "put":
                yield number, "put_advised", before + " ".join(words[:3]), " put"
        if (
            words[0] == "find"
            and action.startswith("go to ")
            and wise["order"]
            and not wise["hints"]
        ):
            name = action[6:].removesuffix("</action>")
            if not item.turns[number][0].startswith("Nothing"):
                kind, _, n = name.rpartition(" ")
                yield number, "next_in_order", f"<think>{thought}</think><action>go to", " " + kind
                yield (
                    number,
                    "next_number",
                    f"<think>{thought}</think><action>go to {kind}",
                    " " + n,
                )
