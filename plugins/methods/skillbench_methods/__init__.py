"""The methods plugin of skillbench: stages of learning, teachers, and the methods made of them.

Everything is registered as a lazy "module:attr" string; torch and trl are imported by the stage
that needs them, when it runs.
"""

from __future__ import annotations

from skillbench.hookspecs import hookimpl

from . import experience, grpo, practice, sft
from .methods import METHODS
from .teachers import CAUSAL, OPENAI

TRAIN = "pip install 'skillbench-methods[train]'"


@hookimpl
def skillbench_register_trainers(register):
    """Register the stages of learning."""
    register("experience", "skillbench_methods.experience:Experience", defaults=experience.DEFAULTS)
    register("practice", "skillbench_methods.practice:Practice", defaults=practice.DEFAULTS)
    register("sft", "skillbench_methods.sft:Sft", defaults=sft.DEFAULTS, requires=TRAIN)
    register("grpo", "skillbench_methods.grpo:Grpo", defaults=grpo.DEFAULTS, requires=TRAIN)


@hookimpl
def skillbench_register_teachers(register):
    """Register the offline teacher and the one behind an OpenAI-compatible endpoint."""
    register("causal", "skillbench_methods.teachers.causal:Causal", defaults=CAUSAL)
    llm = {"takes_model": True, "requires": "pip install 'skillbench-methods[teacher]'"}
    register("openai", "skillbench_methods.teachers.llm:OpenAI", defaults=OPENAI, **llm)


@hookimpl
def skillbench_register_commands(cli):
    """Add `skillbench export`."""
    target = "skillbench_methods.verl_export:command"
    cli.add_command("export", target, help="hand the training over to verl")


@hookimpl
def skillbench_register_methods(register):
    """Register every method of methods/."""
    for method in METHODS:
        register(method)
