"""The manners of a command: one clear line for what went wrong, an exit code, and notes on stderr.

Exit codes: 0 success; 1 a run failed, or a bug; 2 bad input; 130 Ctrl-C. Only results go to stdout.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from molfm.base.errors import InputError

RESUMES = "Start the same command again to resume."  # what `clear_errors` says of commands that keep what was done


def say(text: str) -> None:
    """Print a note: it goes to stderr, where it does not mix with results."""
    typer.echo(f"molfm: {text}", err=True)


@contextmanager
def clear_errors(interrupted: str = "") -> Iterator[None]:
    """Run a command: bad input, a run without best weights and Ctrl-C give one line each; warnings are notes.

    A bug keeps its traceback, and Python's exit code 1.

    Args:
        interrupted: what to do after Ctrl-C; a run that was interrupted says so itself.
    """
    from molfm.catalog.http import DownloadError

    paths = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: say(str(message))
            yield
    except (InputError, DownloadError, *paths) as error:
        say(f"{error.strerror}: {error.filename}" if getattr(error, "filename", None) else str(error))
        raise typer.Exit(2) from error
    except FloatingPointError as error:
        say(str(error))
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        folder = getattr(error, "folder", None)  # of the run, see `training.status.Interrupted`
        say(f"interrupted. {interrupted if folder is None else f'Resume with: molfm train --resume {folder}'}".rstrip())
        raise typer.Exit(130) from error
