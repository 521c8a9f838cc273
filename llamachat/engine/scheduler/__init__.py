"""Many requests on one model: they come and go while others run, and each ends for itself."""

from llamachat.engine.scheduler.job import Job
from llamachat.engine.scheduler.pace import LARGEST_PIECE
from llamachat.engine.scheduler.request import Pool, Request
from llamachat.engine.scheduler.scheduler import Scheduler

__all__ = ["LARGEST_PIECE", "Job", "Pool", "Request", "Scheduler"]
