"""What every command has: `-h`, `--quiet` and `--verbose`, and what it says when it is stopped."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark.cli.echo import echo
from benchmark.core.progress import printable

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print stack traces, and what the libraries log.")]
RESUMABLE = ("audit", "evaluate", "prompts", "reproduce", "run", "sweep")
"""Commands that keep what is finished, and resume when they are called again."""
STOPPED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM: 128 plus the number of the signal."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, with its own exit code."""


class Root(TyperGroup):
    """The whole command line: says after Ctrl-C or SIGTERM whether the same command resumes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named; an interruption becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:  # typer itself would end without a word
            resumes = ": the same command resumes where this one stopped" if ctx.invoked_subcommand in RESUMABLE else ""
            echo(f"stopped{resumes}", err=True)
            raise typer.Exit(TERMINATED if isinstance(stop, TerminatedError) else STOPPED) from None


class App(typer.Typer):
    """A typer application whose commands have -h, and take --quiet and --verbose behind their name too."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Return the decorator of a command; the function itself stays as it is."""
        return _registering(super().command(name, **settings))

    def callback(self, **settings: Any) -> Callable[[Any], Any]:
        """Return the decorator of what runs before, or without, a command."""
        return _registering(super().callback(**settings))


def _registering(add: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        add(_with_verbosity(function))
        return function

    return decorate


def _with_verbosity(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with two more parameters, which it does not see: typer reads the signature."""
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def call(*args: Any, quiet: bool, verbose: bool, **named: Any) -> None:
        set_verbosity(quiet=quiet, verbose=verbose)
        function(*args, **named)

    more = {"quiet": Quiet, "verbose": Verbose}
    kind = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, kind, default=False, annotation=hint) for name, hint in more.items()]
    parameters = [*signature.parameters.values(), *added]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del call.__wrapped__
    return call


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Let this process, and those that it starts, print less or more."""
    if quiet:
        os.environ["BENCH_QUIET"] = "1"
    if verbose:
        import logging

        os.environ["BENCH_TRACE"] = "1"

        class Printable(logging.Formatter):
            """Writes records of the libraries, whose messages hold names, as `printable` does."""

            def format(self, record: logging.LogRecord) -> str:
                return printable(super().format(record), keep="\n\t")

        handler = logging.StreamHandler()
        handler.setFormatter(Printable("%(name)s: %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])


def end_at_sigterm() -> None:
    """Let SIGTERM raise in this process, so that files are closed and the message is printed; not in its children."""
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise TerminatedError
        signal.signal(number, signal.SIG_DFL)  # a forked worker ends at once, as without this handler
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, stop)
