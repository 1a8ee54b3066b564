"""`pytest --skillbench`: the conformance kit as tests, one per component and check.

Which plugin is checked is read from [project.entry-points.skillbench] of the pyproject.toml in
pytest's root directory; `--skillbench-plugin NAME` names another one. Nothing happens, and nothing
of skillbench is imported, where neither option is given.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("skillbench")
    group.addoption(
        "--skillbench", action="store_true", help="run skillbench's conformance kit on the plugin"
    )
    group.addoption(
        "--skillbench-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="the plugin to check (default: the entry points of this project)",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: Any, config: Any, items: list[Any]) -> None:
    """Add the checks behind the tests that were found."""
    names = list(config.getoption("--skillbench-plugin"))
    if not names and not config.getoption("--skillbench"):
        return
    for name in names or _own(config.rootpath):
        collector = Kit.from_parent(session, name=f"skillbench:{name}", nodeid=f"skillbench:{name}")
        items.extend(collector.collect())


def _own(root: Any) -> list[str]:
    import tomllib

    try:
        data = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        found = list(data["project"]["entry-points"]["skillbench"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        found = []
    if not found:
        raise pytest.UsageError(
            f"--skillbench: {root / 'pyproject.toml'} has no [project.entry-points.skillbench]; "
            "name the plugin with --skillbench-plugin NAME"
        )
    return found


class Kit(pytest.Collector):
    """The checks of one plugin."""

    def collect(self) -> list[Any]:
        from pathlib import Path

        from skillbench.checks import subjects
        from skillbench.checks.kit import checks_of
        from skillbench.errors import SkillbenchError

        plugin = self.name.partition(":")[2]
        try:
            found = list(subjects(plugin, Path()))
        except SkillbenchError as error:
            raise pytest.UsageError(str(error)) from error
        return [
            Conformance.from_parent(
                self,
                name=f"{subject.kind}[{subject.name}]::{check.name}",
                subject=subject,
                check=check,
            )
            for subject in found
            for check in checks_of(subject.kind)
        ]


class Conformance(pytest.Item):
    """One check of one component."""

    def __init__(self, *, subject: Any, check: Any, **more: Any) -> None:
        super().__init__(**more)
        self.subject, self.check = subject, check

    def runtest(self) -> None:
        import dataclasses
        import tempfile
        from pathlib import Path

        from skillbench.checks import run

        with tempfile.TemporaryDirectory(prefix="skillbench-check-") as folder:
            outcome = run(self.check, dataclasses.replace(self.subject, directory=Path(folder)))
        if outcome.state == "skipped":
            pytest.skip(outcome.what)
        if outcome.state == "failed":
            raise Broken(outcome)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, Broken):
            outcome = excinfo.value.outcome
            return f"{outcome.subject}: {outcome.what}\nwhy: {outcome.why}\nmend: {outcome.mend}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> Any:
        return self.path, None, f"{self.subject.label}: {self.check.name.replace('_', ' ')}"


class Broken(Exception):
    """A check failed."""

    def __init__(self, outcome: Any) -> None:
        super().__init__(outcome.what)
        self.outcome = outcome
