"""Errors that a user, a file or a machine can cause: one sentence, one hint, and one exit code per kind."""


class BenchError(Exception):
    """An error that the command line prints without a stack trace.

    Args:
        message: what was given and why it is refused, one sentence.
        hint: what to do instead, one sentence.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        """Keep the hint when a worker process hands the error back."""
        return type(self), (self.message, self.hint)


class UsageError(BenchError):
    """An option, name or value that does not exist or does not fit."""

    exit_code = 2


class MissingDataError(BenchError):
    """A cohort, or one of its files, that is not on this disk."""

    exit_code = 3


class DeclinedError(BenchError):
    """A model that cannot run here, whatever the options: a board shows the cell as declined.

    Args:
        message: as of BenchError.
        hint: as of BenchError.
        reason: two or three words for the board, without a path.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        """Keep hint and reason when a worker process hands the error back."""
        return type(self), (self.message, self.hint, self.reason)


class BadDataError(BenchError):
    """A file or image that cannot be used: truncated, wrong shape, not finite, constant, leaked."""

    exit_code = 4


class DamagedError(BadDataError):
    """A file of memobench's own that is missing, or that changed after it was written."""


class AdapterError(BenchError):
    """A model, plugin or checkpoint that failed or broke its contract."""

    exit_code = 5


class MachineError(BenchError):
    """A full disk, a missing device, too little memory, a run that another process holds."""

    exit_code = 6
