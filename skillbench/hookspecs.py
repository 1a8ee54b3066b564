"""The hooks of skillbench (pluggy project "skillbench")."""

from pluggy import HookimplMarker, HookspecMarker

hookspec = HookspecMarker("skillbench")
hookimpl = HookimplMarker("skillbench")


@hookspec
def skillbench_register_environments(register):
    """Register environments: `register(name, "module:attr", *, splits, defaults={}, ...)`."""


@hookspec
def skillbench_register_policies(register):
    """Register policies: `register(name, "module:attr", *, defaults={}, trainable=False, ...)`."""


@hookspec
def skillbench_register_memories(register):
    """Register memories: `register(name, "module:attr", *, defaults={})`."""


@hookspec
def skillbench_register_trainers(register):
    """Register trainers (stages of learning): `register(name, "module:attr", *, defaults={})`."""


@hookspec
def skillbench_register_teachers(register):
    """Register teachers: `register(name, "module:attr", *, defaults={})`."""


@hookspec
def skillbench_register_methods(register):
    """Register methods: `register(skillbench.Method(...))`."""


@hookspec
def skillbench_register_commands(cli):
    """Add sub-commands: `cli.add_command(name, "module:attr", help=...)`."""


@hookspec
def skillbench_run_start(run):
    """A run begins; `run` is its directory and configuration."""


@hookspec
def skillbench_episode_end(run, episode):
    """A scored or learning episode ended and is on disk."""


@hookspec
def skillbench_run_end(run, result):
    """A run ended; `result` is the content of result.json."""


@hookspec
def skillbench_board_columns():
    """Return extra leaderboard columns: a list of `(name, function(result) -> value)`."""
