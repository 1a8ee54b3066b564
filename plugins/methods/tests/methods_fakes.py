"""Small stand-ins for the tests of the methods plugin: a text game, a policy, a memory, a context.

The policy is a random Qwen2 of some 30k parameters with a word-level tokenizer, sampled token by
token; the game asks for one of a few words. Everything is seeded.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from pathlib import Path
from typing import Any

from skillbench.records import (
    Completion,
    Context,
    Episode,
    Request,
    SamplingParams,
    Skill,
    Step,
    Task,
    Update,
    Usage,
)

WORDS = [
    "red",
    "blue",
    "green",
    "look",
    "go",
    "say",
    "nothing",
    "right",
    "wrong",
    "a",
    "task",
    "seek",
    "hint",
    "use",
    "done",
    "-",
    ".",
]
SPECIAL = [
    "<pad>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<action>",
    "</action>",
    "system",
    "user",
    "assistant",
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {{ m['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def seed_of(*parts: Any) -> int:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16)


def tiny_tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {w: i for i, w in enumerate(SPECIAL + WORDS)}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tags = Regex(r"</?think>|</?action>|<\|im_start\|>|<\|im_end\|>")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(tags, "isolated")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|im_end|>",
        chat_template=TEMPLATE,
    )


def tiny_model(
    seed: int = 0,
    vocab: int = len(SPECIAL) + len(WORDS),
    hidden: int = 32,
    layers: int = 2,
    scale: float = 1.0,
) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=3,
        pad_token_id=0,
        bos_token_id=2,
    )
    model = Qwen2ForCausalLM(config)
    if scale != 1.0:
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(scale)
    return model.eval()


class TinyPolicy:
    """A trainable policy: samples from its model, one request at a time, without a cache."""

    name, batching, concurrency, style, trainable = "tiny", "gather", 1, "compact", True

    def __init__(self, seed: int = 0) -> None:
        self._model, self._tokenizer = tiny_model(seed), tiny_tokenizer()
        self.versions: list[str] = []

    def model(self) -> Any:
        return self._model

    def tokenizer(self) -> Any:
        return self._tokenizer

    def sync(self, version: str) -> None:
        self.versions.append(version)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._model.save_pretrained(directory)

    def load(self, directory: Path) -> None:
        from safetensors.torch import load_file

        self._model.load_state_dict(load_file(str(directory / "model.safetensors")), strict=False)

    def release(self, episode_id: str) -> None:
        pass

    def close(self) -> None:
        pass

    async def generate(self, requests: list[Request]) -> list[Completion]:
        """Sample all requests together, right-padded, without a cache."""
        import torch

        texts = [
            self._tokenizer.apply_chat_template(
                list(r.messages), tokenize=False, add_generation_prompt=True
            )
            for r in requests
        ]
        prompts = [self._tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
        generators = [torch.Generator().manual_seed(r.params.seed) for r in requests]
        ids: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        while live := [
            i
            for i, r in enumerate(requests)
            if len(ids[i]) < r.params.max_tokens and ids[i][-1:] != [3]
        ]:
            rows = [prompts[i] + ids[i] for i in live]
            width = max(map(len, rows))
            with torch.no_grad():
                logits = self._model(
                    input_ids=torch.tensor([r + [0] * (width - len(r)) for r in rows])
                ).logits
            for k, i in enumerate(live):
                logp = torch.log_softmax(
                    logits[k, len(rows[k]) - 1] / requests[i].params.temperature, -1
                )
                token = int(torch.multinomial(logp.exp(), 1, generator=generators[i]))
                ids[i].append(token)
                logprobs[i].append(float(logp[token]))
        return [
            Completion(
                text=" ".join(
                    self._tokenizer.convert_ids_to_tokens(
                        ids[i][:-1] if ids[i][-1] == 3 else ids[i]
                    )
                ),
                usage=Usage(input_tokens=len(prompts[i]), output_tokens=len(ids[i]), calls=1),
                token_ids=tuple(ids[i]),
                logprobs=tuple(logprobs[i]),
                prompt_ids=tuple(prompts[i]),
            )
            for i in range(len(requests))
        ]


COLOURS = ("red", "blue", "green")


class TinyGame:
    """Say the colour named in the goal; three tries. Solved at once by an expert."""

    name, label, max_steps, instructions = "tiny", "tiny", 3, ""

    def tasks(self, split: str) -> list[Task]:
        return [
            Task(f"{split}-{i}", "tiny", split, COLOURS[i % 3], f"seek {COLOURS[i % 3]}")
            for i in range(30)
        ]

    def expert(self, task: Task) -> Any:
        return iter([task.task_type])

    def causal(self) -> Any:
        return None


class TinyMemory:
    """A list of skills, shown in full; asks the teacher on update."""

    def __init__(self) -> None:
        self.entries: list[Skill] = []
        self.seen = 0

    def context(self, task: Task, history: Any, budget: int) -> Context:
        shown = [s for s in self.entries if s.task_type in (None, task.task_type)]
        return Context("\n".join("- " + s.principle for s in shown), tuple(s.id for s in shown))

    def observe(self, episode: Episode) -> None:
        self.seen += 1

    def update(self, episodes: Any, teacher: Any, *, step: int = 0) -> Update:
        if teacher is None:
            return Update()
        if not self.entries:
            new, refined = teacher.distill(episodes, step=step), []
        else:
            new, refined = teacher.refine(episodes, self.entries, max_new=99, step=step)
        parents = {s.parent for s in refined}
        removed = [s.id for s in self.entries if s.id in parents]
        self.entries = [s for s in self.entries if s.id not in parents] + list(new) + list(refined)
        return Update(tuple(s.id for s in new), tuple(s.id for s in refined), tuple(removed))

    def freeze(self) -> None:
        pass

    def skills(self) -> list[Skill]:
        return list(self.entries)

    def save(self, directory: Path) -> None:
        from skillbench.records import to_json

        directory.mkdir(parents=True, exist_ok=True)
        rows = [to_json(s) for s in self.entries]
        (directory / "bank.json").write_text(json.dumps({"seen": self.seen, "skills": rows}))

    def load(self, directory: Path) -> None:
        from skillbench.records import skill_from_json

        data = json.loads((directory / "bank.json").read_text())
        self.seen = data["seen"]
        self.entries = [skill_from_json(s) for s in data["skills"]]


class TinyTeacher:
    """Says the answer: one skill for each task type among the episodes."""

    name = "tiny"

    def distill(self, episodes: Any, *, step: int = 0) -> list[Skill]:
        return [
            Skill(
                f"say {t}",
                f"say {t}",
                kind="task_type",
                task_type=t,
                step=step,
                source_tasks=tuple(sorted({e.task.id for e in episodes if e.task.task_type == t})),
            )
            for t in sorted({e.task.task_type for e in episodes})
        ]

    def refine(self, failures: Any, skills: Any, *, max_new: int, step: int = 0) -> Any:
        types = sorted({e.task.task_type for e in failures})
        return [
            Skill(
                f"hint {t} {step}",
                f"use {t} .",
                kind="task_type",
                task_type=t,
                step=step,
                source_tasks=tuple(e.task.id for e in failures if e.task.task_type == t),
            )
            for t in types
        ][:max_new], []


class TinyContext:
    """A LearnContext over the tiny game; the rollout is a plain loop."""

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any],
        *,
        policy: Any = None,
        memory: Any = None,
        teacher: Any = None,
        evolve: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config, self.seed = config, seed
        self.evolve = evolve or {"enabled": False}
        self.policy = policy or TinyPolicy()
        self.memory = memory or TinyMemory()
        self.teacher = teacher
        self.environment = TinyGame()
        self.shared: dict[str, Any] = {}
        self.lines: list[tuple[int, dict[str, Any]]] = []
        self.spent: list[tuple[str, str, Usage]] = []
        self.snapshots: list[int] = []
        self.rollouts = 0
        self.die_at = -1

    def tasks(self, n: int, *, step: int = 0) -> list[Task]:
        pool = self.environment.tasks("train")
        rng = random.Random(seed_of(self.seed, step))
        by_type = [[t for t in pool if t.task_type == c] for c in COLOURS]
        for group in by_type:
            rng.shuffle(group)
        return [by_type[i % 3][i // 3] for i in range(n)]

    def rollout(
        self,
        tasks: Any,
        *,
        repeats: int = 1,
        phase: str = "rollout",
        step: int = 0,
        memory: Any = None,
        tokens: bool = True,
        policy: Any = None,
    ) -> list[Episode]:
        if self.rollouts == self.die_at:
            raise KeyboardInterrupt
        self.rollouts += 1
        memory, policy = memory or self.memory, policy or self.policy
        slots = [(t, r) for t in tasks for r in range(repeats)]
        seeds = [seed_of(self.seed, phase, step, t.id, r) for t, r in slots]
        shown = [memory.context(t, (), 99) for t, _ in slots]
        messages = [[{"role": "system", "content": c.text}] if c.text else [] for c in shown]
        seen = [t.goal for t, _ in slots]
        steps: list[list[Step]] = [[] for _ in slots]
        won = [False] * len(slots)
        for turn in range(self.environment.max_steps):
            live = [i for i in range(len(slots)) if not won[i]]
            for i in live:
                messages[i].append({"role": "user", "content": seen[i]})
            asked = [
                Request(
                    f"{phase}-{step}-{slots[i][0].id}-{slots[i][1]}",
                    turn,
                    tuple(messages[i]),
                    SamplingParams(1.0, 1.0, 4, seed=seed_of(seeds[i], turn)),
                    task=slots[i][0],
                )
                for i in live
            ]
            for i, done in zip(live, asyncio.run(policy.generate(asked)) if asked else ()):
                word = done.text.split("<action>")[-1].split("</action>")[0].strip()
                won[i] = word.split()[:1] == [slots[i][0].task_type]
                messages[i].append({"role": "assistant", "content": done.text})
                steps[i].append(
                    Step(
                        seen[i],
                        done.text,
                        word,
                        float(won[i]),
                        bool(word),
                        done.prompt_ids if tokens else None,
                        done.token_ids if tokens else None,
                        done.logprobs if tokens else None,
                    )
                )
                seen[i] = "right" if won[i] else "wrong"
        return [
            Episode(
                task,
                seeds[i],
                "success" if won[i] else "truncated",
                won[i],
                tuple(steps[i]),
                float(won[i]),
                seen[i],
                shown[i].skill_ids,
                system=shown[i].text,
            )
            for i, (task, _) in enumerate(slots)
        ]

    def spend(self, phase: str, role: str, usage: Usage, *, model: str = "") -> None:
        self.spent.append((phase, role, usage))

    def log(self, step: int, metrics: Any) -> None:
        json.dumps(metrics)
        self.lines.append((step, dict(metrics)))

    def snapshot(self, step: int) -> None:
        self.snapshots.append(step)
