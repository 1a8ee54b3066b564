"""The command line: finds the command, runs it, and turns every ending into an exit code.

Each command is a function `command(parser) -> handler`, named here or by a plugin as a lazy
"module:attr", so that `--help` imports only the one module it is about. Exit codes: 0 ok, 1 the
run failed, 2 wrong usage, 3 finished but not rankable, 130 interrupted. Errors go to stderr as one
message that says what happened, what is known and what to do; `--debug` adds the traceback.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from .errors import SkillbenchError, UsageError, suggest

Handler = Callable[[argparse.Namespace], int]

COMMANDS = {  # name: (module:attr, one line)
    "run": ("skillbench.commands.run:command", "learn, freeze, score, report"),
    "merge": ("skillbench.commands.merge:command", "the shards of a run, put together"),
    "list": ("skillbench.commands.listing:command", "what is installed"),
    "compare": ("skillbench.commands.compare:command", "the paired difference of runs"),
    "show": ("skillbench.commands.show:command", "a run, as a page on the terminal"),
    "skills": ("skillbench.commands.skills:command", "the bank, and what each skill was worth"),
    "replay": ("skillbench.commands.replay:command", "a run again from its recorded answers"),
    "leaderboard": ("skillbench.commands.leaderboard:command", "build, extend or check the board"),
    "check": ("skillbench.commands.check:command", "does a plugin keep its contracts"),
    "new": ("skillbench.commands.new:command", "scaffold a plugin"),
    "data": ("skillbench.commands.data:command", "fetch, verify or find official data"),
    "doctor": ("skillbench.commands.doctor:command", "what works here, and what fixes the rest"),
}
EXIT_CODES = """\
exit codes: 0 ok, 1 the run failed, 2 wrong usage, 3 finished but not rankable, 130 interrupted
environment: SKILLBENCH_LOAD_PLUGINS=a,b loads only these plugins; SKILLBENCH_TRACE_HOOKS=1 shows
hook calls"""


class Parser(argparse.ArgumentParser):
    """argparse, with errors as UsageError and the nearest option beside an unknown one."""

    def __init__(self, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            options = [text for action in self._actions for text in action.option_strings]
            near = difflib.get_close_matches(rest[0].partition("=")[0], options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise UsageError(f"unknown argument {rest[0]!r}{hint} see `{self.prog} --help`")
        return found


def command_parser(name: str, target: str, summary: str) -> tuple[Parser, Handler]:
    """Build the parser of one command and return it with the command's handler."""
    from .lazy import load_target

    parser = Parser(prog=f"skillbench {name}", description=summary + ".")
    handler = load_target(target, what=f"command {name!r}")(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser, handler


def all_commands() -> dict[str, tuple[str, str]]:
    """The built-in commands and those of plugins."""
    from .registry import get

    extra = {c.name: (c.target, c.help) for c in get().commands.values()}
    return {**extra, **COMMANDS}


def usage() -> str:
    """The text of `skillbench --help`."""
    commands = all_commands()
    width = max(map(len, commands))
    rows = "\n".join(f"  {name:<{width}}  {line}" for name, (_, line) in commands.items())
    return (
        "usage: skillbench COMMAND ...   (skillbench COMMAND --help explains one)\n\n"
        "One evaluation loop that runs, trains and scores LLM agents that learn.\n\n"
        "  skillbench run --method skillrl --env alfworld\n\n"
        f"commands:\n{rows}\n\n{EXIT_CODES}\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _heed_sigterm()
    debug = "--debug" in words
    try:
        code = _dispatch(words)
        _warn_of_plugins(debug)
        return code
    except SkillbenchError as error:
        return _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt as stop:
        # Tasks of an event loop that is gone would complain that nobody asked for their end.
        logging.getLogger("asyncio").disabled = not debug
        return _fail("; ".join(["interrupted", *map(str, stop.args)]), 130, debug)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}", 1, debug)
    except MemoryError:
        return _fail("out of memory; a smaller --set score.chunk=N needs less", 1, debug)
    except Exception as error:
        text = f"internal error: {type(error).__name__}: {error}"
        return _fail(f"{text}\nrun it again with --debug to see where", 1, debug)


def _heed_sigterm() -> None:
    """Let a scheduler's SIGTERM end a run as Ctrl-C does: closed files, a hint, exit code 130."""

    def end(number: int, frame: object) -> None:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            # A shell script starts its background jobs so: deaf to Ctrl-C, but not to this.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


def _dispatch(words: list[str]) -> int:
    while words and words[0] == "--debug":
        words.pop(0)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from . import __version__

        sys.stdout.write(f"skillbench {__version__}\n")
        return 0
    name, rest = words[0], words[1:]
    commands = COMMANDS if name in COMMANDS else all_commands()
    if name not in commands:
        raise UsageError(
            f"unknown command {name!r}{suggest(name, commands)} commands: {', '.join(commands)}"
        )
    parser, handler = command_parser(name, *commands[name])
    try:
        arguments = parser.parse_args(rest)
    except SystemExit as done:  # --help
        return int(done.code or 0)
    return handler(arguments)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    sys.stderr.write(f"skillbench: {message}\n")
    _warn_of_plugins(debug, message)
    return code


def _warn_of_plugins(debug: bool, said: str = "") -> None:
    """One line for each plugin that was skipped or raised, unless the message has said so."""
    module = sys.modules.get("skillbench.registry")
    if module is None or not module.get.cache_info().currsize:
        return  # no plugin was needed
    for broken in module.get().broken:
        if broken.reason in said:
            continue
        if debug:
            sys.stderr.write(broken.trace)
        sys.stderr.write(
            f"skillbench: warning: plugin {broken.name!r}: {broken.reason}; "
            "the others go on without it\n"
        )
