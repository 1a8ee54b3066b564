"""What the plugin registers loads, and every ablation is a setting."""

from __future__ import annotations

import subprocess
import sys

import pytest
import skillbench_methods
from skillbench_methods import experience, grpo, practice, sft
from skillbench_methods.methods import METHODS
from skillbench_methods.teachers import CAUSAL, OPENAI

from skillbench import registry as core
from skillbench.config import resolve


def installed():
    found = core.get()
    if "skillrl" not in found.methods or "alfworld" not in found.environments:
        pytest.skip("the plugins are not installed")
    return found


def test_every_target_loads_and_has_defaults():
    seen = {}

    def register(name, target, **options):
        seen[name] = core.load_target(target), options

    skillbench_methods.skillbench_register_trainers(register)
    skillbench_methods.skillbench_register_teachers(register)
    assert list(seen) == ["experience", "practice", "sft", "grpo", "causal", "openai"]
    tables = {
        "experience": experience.DEFAULTS,
        "practice": practice.DEFAULTS,
        "sft": sft.DEFAULTS,
        "grpo": grpo.DEFAULTS,
        "causal": CAUSAL,
        "openai": OPENAI,
    }
    for name, (target, options) in seen.items():
        assert target.__doc__
        assert dict(options["defaults"]) == tables[name]
        assert "enabled" not in tables[name]
        assert "name" not in tables[name]


def test_methods_are_data():
    methods = {}
    skillbench_methods.skillbench_register_methods(lambda m: methods.update({m.name: m}))
    assert methods == {m.name: m for m in METHODS}
    assert methods["skillrl"].trainers == ("experience", "sft", "grpo")
    assert (methods["grpo"].trainers, methods["grpo"].memory) == (("grpo",), "none")
    assert (methods["base"].trainers, methods["base"].memory) == ((), "none")


@pytest.mark.parametrize(
    ("sets", "table", "key", "value"),
    [
        (["trainer.sft=false"], "trainer", ("sft", "enabled"), False),
        (["evolve=false"], "evolve", ("enabled",), False),
        (["memory=none"], "memory", ("name",), "none"),
        (["memory=frozen"], "memory", ("name",), "frozen"),
        (["memory=shuffled"], "memory", ("name",), "shuffled"),
        (["memory=filler"], "memory", ("name",), "filler"),
        (["teacher.form=trajectories"], "teacher", ("form",), "trajectories"),
        (["trainer.grpo.estimator=rloo"], "trainer", ("grpo", "estimator"), "rloo"),
        (["trainer.sft.source=expert"], "trainer", ("sft", "source"), "expert"),
    ],
)
def test_each_ablation_is_a_setting(sets, table, key, value):
    installed()
    found = resolve(method="skillrl", environment="alfworld", sets=sets)[table]
    for part in key:
        found = found[part]
    assert found == value


def test_loading_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, skillbench_methods; "
        "print([m for m in ('torch', 'trl', 'transformers', 'openai', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
