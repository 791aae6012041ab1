"""Progress bars: redrawn in place in a terminal or notebook, a line now and then in a log."""

import re
import sys
from typing import TextIO

from tqdm import auto
from tqdm.notebook import tqdm as notebook_bar

LOG_SECONDS = 10  # between two lines of a bar in a log
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # moves the cursor of a terminal


class _Lines:
    """A text stream that writes each state of a bar as a line of its own; a bar that ends repeats its last state."""

    def __init__(self, stream: TextIO):
        self.stream, self.encoding, self.state = stream, stream.encoding, ""

    def write(self, text: str) -> None:
        line = _CONTROL.sub("", text).strip()
        state = line.partition(" [")[0]  # without times
        if line and state != self.state:
            self.state = state
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()


class tqdm(auto.tqdm):  # lower case, as the class that it stands for
    """A progress bar on stderr, which has lines in place of redrawn ones where stderr is no terminal."""

    def __init__(self, *args, **settings):
        if not issubclass(auto.tqdm, notebook_bar) and not sys.stderr.isatty():
            settings = {"mininterval": LOG_SECONDS, "delay": LOG_SECONDS, "maxinterval": LOG_SECONDS} | settings
            settings["ncols"] = 0  # numbers without a drawn bar
            settings["file"] = _Lines(sys.stderr)
        super().__init__(*args, **settings)
