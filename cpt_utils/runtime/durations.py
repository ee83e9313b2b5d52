"""Seconds in words."""


def minutes(seconds: float) -> str:
    """A duration in words, as exact as an estimate is."""
    if seconds < 50:
        return "less than a minute"
    return "about a minute" if seconds < 90 else f"about {seconds / 60:.0f} minutes"
