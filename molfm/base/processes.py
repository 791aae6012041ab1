"""What every worker process does when it starts."""

import signal


def leave_interrupts_to_parent() -> None:
    """Ignore Ctrl-C in this process.

    A terminal sends it to the workers of a command too, each of which would print a traceback; the parent ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
