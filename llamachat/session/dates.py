"""Moments as people read them."""

import time


def date_of(moment: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """A moment in seconds since 1970, in local time; "" for one that no calendar has."""
    try:
        return time.strftime(form, time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return ""
