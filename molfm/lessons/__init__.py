"""The course's checked exercises. `check` says whether an answer is right and, if it is not, what to look at."""

from molfm.lessons.answers import Hint
from molfm.lessons.checks import budget, check, progress, reveal

__all__ = ["Hint", "budget", "check", "progress", "reveal"]
