"""The decisions of a demonstration that gates look at (pretraining/gates.py)."""

from __future__ import annotations

from collections.abc import Iterator

from skillbench_searchqa.phrases import read

from ..pretraining.worlds import Demo

GATES = {  # decision -> least mean probability; what a checkpoint in the package must reach
    "told": 0.9,
    "none": 0.9,
    "value": 0.9,
    "value_second": 0.95,
    "then": 0.9,
    "next_relation": 0.9,
    "done": 0.9,
    "hinted_word": 0.9,
    "name_advised": 0.9,
    "alone_advised": 0.9,
    "again_advised": 0.9,
    "guess_advised": 0.9,
    "whole_advised": 0.9,
    "short_advised": 0.9,
    "entity": 0.95,
    "answer": 0.95,
}
WORDS = {"one": 1, "two": 2, "three": 3}


def decisions(item: Demo) -> Iterator[tuple[int, str, str, str]]:
    """Yield (turn number, decision, text before the decided piece, decided piece)."""
    said = [a for line in item.system.split("\n") if (a := read(line.removeprefix("- ")))]
    knobs = {a.key: a.good for a in said if a.key != "word"}
    hints = {a.relation for a in said if a.key == "word"}
    own = {1: "one", 2: "two", 3: "three"}[item.turns[0][0].count(" of ")]
    for number, (_, response, taught) in enumerate(item.turns):
        if not taught:
            continue
        thought, _, action = response[7:].partition("</think><action>")
        words = thought.split()

        def upto(n: int, words: list[str] = words) -> str:
            return "<think>" + " ".join(words[:n])

        if words[0] == "see":
            verdict = words[2]
            if knobs.get("asked") and verdict in ("told", "none"):
                yield number, verdict, upto(2), " " + verdict
            if verdict == "told":
                yield number, "value", upto(3), " " + words[3]
                again = words.index(words[1], 4)
                if again == 5:
                    yield number, "value_second", upto(4), " " + words[4]
                step = words[again + 1]
                if knobs.get(own) and step in ("then", "done"):
                    yield number, step, upto(again + 1), " " + step
                if step == "then":
                    yield number, "next_relation", upto(again + 2), " " + words[again + 2]
            if verdict == "none" and "again" in knobs and number < 3:
                yield number, f"{words[3]}_advised", upto(3), " " + words[3]
        if "by" in words:
            at = words.index("by")
            if words[at - 1] in hints:
                yield number, "hinted_word", upto(at + 1), " " + words[at + 1]
            way = {"of": "name_advised", "alone": "alone_advised"}[words[at + 2]]
            if "name" in knobs:
                yield number, way, upto(at + 2), " " + words[at + 2]
            if words[at + 2] == "of":
                yield number, "entity", upto(at + 3), " " + words[at + 3]
        if words[-1] in ("whole", "short"):
            if "copy" in knobs:
                yield number, f"{words[-1]}_advised", upto(len(words) - 1), " " + words[-1]
            first = action[8:].split()[0].partition("<")[0]
            yield number, "answer", f"<think>{thought}</think><action><answer>", " " + first
