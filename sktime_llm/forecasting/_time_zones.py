"""Time zones as text, and back."""

import datetime
from typing import Any

import pandas as pd

from sktime_llm.errors import SavedForecasterError


def zone_text(zone: Any, at: str) -> str | None:
    """Return the name of a time zone, or its distance from UTC, such as UTC+05:30.

    Raise a SavedForecasterError, which names the place, if it has neither.
    """
    if zone is None:
        return None
    # of zoneinfo, of pytz, and of no library in particular
    text = getattr(zone, "key", None) or getattr(zone, "zone", None)
    text = text or _distance(zone)
    if text is None or _zone_or_none(text) is None:
        raise unwritable_zone(zone, at)
    return str(text)


def unwritable_zone(zone: Any, at: str) -> SavedForecasterError:
    """Say that a time zone would not be read as it is."""
    return SavedForecasterError(
        f"{at} is in the time zone {zone!r}, expected one that has a name, such as "
        "Europe/Berlin, or a distance from UTC in whole minutes. Convert y by "
        "y.tz_convert(...) and fit again, or use save(), which pickles."
    )


def zone_of_text(text: str | None) -> datetime.tzinfo | None:
    """Return what `zone_text` was given, or a zone of the same name."""
    if text is None:
        return None
    zone = _zone_or_none(text)
    if zone is None:
        raise SavedForecasterError(
            f"times are in the time zone {text!r}, which is not known on this machine. "
            "Install or renew its time zones, for example by pip install -U pytz "
            "tzdata."
        )
    return zone


def _zone_or_none(text: str) -> datetime.tzinfo | None:
    try:
        return pd.DatetimeIndex([], tz=text).tz
    except (KeyError, ValueError, TypeError, OSError):  # by library and version
        return None


def _distance(zone: Any) -> str | None:
    """Return the distance from UTC, if it is the same at all times."""
    offset = zone.utcoffset(None)
    return None if offset is None else str(datetime.timezone(offset))
