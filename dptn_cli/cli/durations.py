"""Durations and rates in the units that people read."""


def format_duration(seconds: float) -> str:
    """Write a duration to the precision that matters: `35 s`, `24 min`, `1 h 40 min`, `3 d 4 h`.

    Args:
        seconds: 0 or more. Less than a second is written as one.
    """
    if round(seconds) < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return _two_units(minutes // 60, "h", minutes % 60, "min")
    hours = round(seconds / 3600)
    return _two_units(hours // 24, "d", hours % 24, "h")


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    text = f"{large:,} {large_unit}"
    return f"{text} {small} {small_unit}" if small else text


def format_rate(per_second: float) -> str:
    """Write a rate with one decimal: `3.2/s`, or `4.0/min` if it is slow."""
    return f"{per_second:.1f}/s" if per_second >= 0.1 else f"{per_second * 60:.1f}/min"
