"""Tasks, one file each: sequences with targets, the loss, and what counts as solved."""

from ._task import Batch, Task, Verdict
from .adding import Adding
from .delayed_recall import DelayedRecall
from .fit import Fit
from .latch import Latch

__all__ = ["Adding", "Batch", "DelayedRecall", "Fit", "Latch", "Task", "Verdict"]
