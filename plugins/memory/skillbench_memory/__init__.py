"""The memory plugin of skillbench: the skill bank, its placebos, and the memories of other methods.

Everything is registered as a lazy "module:attr" string: loading the plugin imports neither LanceDB
nor an embedding model.
"""

from __future__ import annotations

from skillbench.hookspecs import hookimpl

from . import items, memrl, principles, reflections, rules, trajectories
from .base import NoSettings, numbers_of
from .settings import DEFAULTS

MEMORIES = {
    "skillbank": "skillbench_memory.skillbank:SkillBank",
    "frozen": "skillbench_memory.placebo:Frozen",
    "filler": "skillbench_memory.placebo:Filler",
    "shuffled": "skillbench_memory.placebo:Shuffled",
}
# Memories with settings of their own: name -> (target, its settings).
OTHERS = {
    "trajectories": ("skillbench_memory.trajectories:Trajectories", trajectories.Settings),
    "reflections": ("skillbench_memory.reflections:Reflections", reflections.Settings),
    "memrl": ("skillbench_memory.memrl:MemRL", memrl.Settings),
    "rules": ("skillbench_memory.rules:Rules", rules.Settings),
    "items": ("skillbench_memory.items:Items", items.Settings),
    "principles": ("skillbench_memory.principles:Principles", principles.Settings),
    "skillfile": ("skillbench_memory.skillfile:SkillFile", NoSettings),
}


@hookimpl
def skillbench_register_memories(register):
    """Register `none`, the skill bank, its placebos, and the memories of other methods."""
    register("none", "skillbench_memory.none:NoMemory", defaults={})
    for name, target in MEMORIES.items():
        register(name, target, defaults=DEFAULTS)
    for name, (target, settings) in OTHERS.items():
        register(name, target, defaults=numbers_of(settings))
