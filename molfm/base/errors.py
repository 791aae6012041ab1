"""The error for input that cannot be used."""


class InputError(ValueError):
    """What the user gave cannot be used; the message says what was expected, what was found and what to do.

    The command line shows this error as one line. Any other ValueError is a bug and keeps its traceback.
    """
