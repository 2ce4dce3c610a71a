"""What every command has: `-h`, `--quiet` and `--verbose`, and how it ends when it is stopped."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark.cli.outcome import begin, require_written
from benchmark.core.interrupt import received
from benchmark.core.progress import printable

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print stack traces, and what the libraries log.")]
FIRST_VERDICT = 10
"""Exit codes from here on, and 0, are results; those below are errors (`core.errors`)."""


class Root(TyperGroup):
    """The whole command line: after a signal its exit code is 128 plus the number of the signal."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named; what is said after a signal, `cli.supervise` says."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer itself would end with 1
            raise typer.Exit(128 + (received() or signal.SIGINT)) from None


class App(typer.Typer):
    """A typer application whose commands have -h, and take --quiet and --verbose behind their name too."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}, **settings)

    def command(self, name: str | None = None, *, writes: bool = False, **settings: Any) -> Callable[[Any], Any]:
        """Return the decorator of a command; the function itself stays as it is.

        `writes`: the command makes a file, which it has to name (`outcome.written`).
        """
        return _registering(super().command(name, **settings), name if writes else None)

    def callback(self, **settings: Any) -> Callable[[Any], Any]:
        """Return the decorator of what runs before, or without, a command."""
        return _registering(super().callback(**settings))


def _registering(add: Callable[[Any], Any], writes: str | None = None) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        add(_with_verbosity(_guarded(function, writes)))
        return function

    return decorate


def _guarded(function: Callable[..., None], writes: str | None) -> Callable[..., None]:
    """Return the function with an error where other code ends it (`sys.exit`), or where it has no result to show."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> None:
        begin()
        try:
            function(*args, **named)
        except typer.Exit as end:
            if writes and (end.exit_code == 0 or end.exit_code >= FIRST_VERDICT):
                require_written(writes)
            raise
        except Exception:
            raise
        except BaseException as error:
            from benchmark.core.failures import explained, is_signal

            if is_signal(error):
                raise
            raise explained(error) from error
        if writes:
            require_written(writes)

    return call


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
