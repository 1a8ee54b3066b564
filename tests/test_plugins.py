"""Plugins: what cannot be loaded is reported and skipped, and nobody else suffers."""

from __future__ import annotations

import sys
import types

import pytest

import skillbench
from skillbench.errors import PluginError, UnknownNameError
from skillbench.lazy import load_target
from skillbench.plugins import LOAD, Plugins
from skillbench.registry import Registry


def module(name: str, source: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec("import skillbench\n" + source, made.__dict__)
    return made


def registry(**sources: str) -> Registry:
    found = Registry()
    for name, source in sources.items():
        found.plugins.add(name, module(name, source))
    return found.fill()


ENVIRONMENT = """
@skillbench.hookimpl
def skillbench_register_environments(register):
    register("kitchen", "json:dumps", splits=("train", "seen", "unseen"), defaults={"size": 3})
"""
METHOD = """
@skillbench.hookimpl
def skillbench_register_methods(register):
    register(skillbench.Method("plain", trainers=("sft",)))
"""


def test_entries_are_filled_and_load_lazily():
    found = registry(a=ENVIRONMENT, b=METHOD)
    entry = found.environments["kitchen"]
    assert (entry.plugin, entry.default_split, entry.label) == ("a", "unseen", "kitchen")
    assert dict(entry.defaults) == {"size": 3}
    assert entry.load()({"x": 1}) == '{"x": 1}'
    assert found.methods["plain"].trainers == ("sft",)
    assert found.method_plugins == {"plain": "b"}
    assert not found.broken
    with pytest.raises(AttributeError):
        entry.name = "other"  # type: ignore[misc]


def test_unknown_name_suggests_and_lists():
    with pytest.raises(
        UnknownNameError, match=r"unknown environment 'kichen'; did you mean 'kitchen'\?"
    ):
        registry(a=ENVIRONMENT).environments["kichen"]


def test_unknown_name_tells_of_broken_plugins():
    found = registry(a=ENVIRONMENT, b="def skillbench_register_methods(register): pass")
    with pytest.raises(UnknownNameError, match=r"could not be loaded: b \(.*lacks the @skillbench"):
        found.methods["plain"]


def test_misspelt_hook_is_broken_with_a_suggestion():
    source = "@skillbench.hookimpl\ndef skillbench_register_environment(register): pass"
    (broken,) = registry(a=source, b=METHOD).broken
    assert broken.name == "a"
    assert "did you mean 'skillbench_register_environments'?" in broken.reason


def test_wrong_argument_of_a_hook_is_broken():
    source = "@skillbench.hookimpl\ndef skillbench_register_methods(registrar): pass"
    found = registry(a=source, b=METHOD)
    assert [b.name for b in found.broken] == ["a"]
    assert "registrar" in found.broken[0].reason
    assert "plain" in found.methods


def test_a_raising_hook_is_broken_and_the_others_run():
    source = "@skillbench.hookimpl\ndef skillbench_register_methods(register): 1 / 0"
    found = registry(a=source, b=METHOD)
    assert "ZeroDivisionError" in found.broken[0].reason
    assert "1 / 0" in found.broken[0].trace or "ZeroDivisionError" in found.broken[0].trace
    assert "plain" in found.methods


def test_the_first_of_two_equal_names_wins():
    found = registry(a=ENVIRONMENT, b=ENVIRONMENT)
    owner = found.environments["kitchen"].plugin
    assert len(found.broken) == 1
    assert f"already registered by {owner}" in found.broken[0].reason


def test_another_plugin_api_is_broken():
    (broken,) = registry(a=f"skillbench_api = {skillbench.PLUGIN_API + 1}").broken
    assert "plugin API" in broken.reason


@pytest.mark.parametrize("target", ["json", "json:dumps:x", 3])
def test_a_target_must_be_module_and_attribute(target):
    source = f"""
@skillbench.hookimpl
def skillbench_register_memories(register):
    register("odd", {target!r})
"""
    (broken,) = registry(a=source).broken
    assert '"module:attr"' in broken.reason


def test_load_target_says_what_is_missing():
    with pytest.raises(
        PluginError, match=r"policy 'x' could not be imported .*; install .* pip install y"
    ):
        load_target("no_such_module:x", what="policy 'x'", requires="pip install y")
    with pytest.raises(PluginError, match="has no 'nothing'"):
        load_target("json:nothing")


def test_a_plugin_that_fails_to_import_is_skipped(tmp_path, monkeypatch):
    (tmp_path / "sb_raises.py").write_text("raise RuntimeError('out of flour')\n")
    (tmp_path / "sb_exits.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "sb_fine.py").write_text("import skillbench\n" + ENVIRONMENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(LOAD, "sb_raises,sb_exits, sb_fine ,sb_absent")
    plugins = Plugins()
    plugins.load_installed()
    assert [p.name for p in plugins.loaded] == ["sb_fine"]
    reasons = {b.name: b.reason for b in plugins.broken}
    assert reasons["sb_raises"] == "failed to import: RuntimeError: out of flour"
    assert set(reasons) == {"sb_raises", "sb_exits", "sb_absent"}


def test_load_nothing_and_load_one(monkeypatch):
    monkeypatch.setenv(LOAD, "")
    plugins = Plugins()
    plugins.load_installed()
    assert plugins.loaded == []
    monkeypatch.setenv(LOAD, "skillbench-memory")
    plugins = Plugins()
    plugins.load_installed()
    assert [p.name for p in plugins.loaded + plugins.broken] == ["memory"]


def test_trace_writes_hook_calls(monkeypatch, capsys):
    monkeypatch.setenv("SKILLBENCH_TRACE_HOOKS", "1")
    plugins = Plugins()
    source = "@skillbench.hookimpl\ndef skillbench_run_end(result): pass"
    plugins.add("watcher", module("watcher", source))
    plugins.notify("skillbench_run_end", run=None, result={})
    assert "skillbench_run_end(result) -> watcher" in capsys.readouterr().err


def test_notify_keeps_what_watchers_raise():
    plugins = Plugins()
    source = "@skillbench.hookimpl\ndef skillbench_run_end(run, result): raise KeyError('x')"
    plugins.add("watcher", module("watcher", source))
    plugins.notify("skillbench_run_end", run=None, result={})
    plugins.notify("skillbench_run_end", run=None, result={})
    assert [b.name for b in plugins.broken] == ["watcher"]


def test_registering_imports_nothing_heavy():
    """The first-party plugins register without torch, gymnasium or lancedb."""
    import subprocess

    code = (
        "import sys; from skillbench.registry import get; r = get();"
        "heavy = {'torch', 'gymnasium', 'lancedb', 'transformers', 'numpy', 'rich'} & set(sys.modules);"
        "print(sorted(heavy), [b.reason for b in r.broken])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[] []"
