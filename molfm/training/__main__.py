"""Train an existing run folder in this process: `python -m molfm.training RUN`, as `Run.launch` calls it."""

import sys

from molfm.training.fit import resume

if __name__ == "__main__":
    resume(sys.argv[1])
