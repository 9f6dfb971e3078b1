"""Whether a parameter is a number, and one that can be."""

import numbers

from sktime_llm.errors import InputError


def check_count(
    name: str, value: object, *, least: int = 1, optional: bool = False
) -> None:
    """Refuse what is no integer, or too small a one.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    value : object
        What it was set to.
    least : int, default=1
        Smallest that can be.
    optional : bool, default=False
        Whether None can be.

    Raises
    ------
    InputError
        If the value cannot be.

    Examples
    --------
    >>> from sktime_llm._numbers import check_count
    >>> check_count("batch_size", 32)
    """
    if value is None and optional:
        return
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < least:  # type: ignore[operator]
        raise InputError(
            f"{name}={value!r}, expected {'' if is_integer else 'an integer, '}at "
            f"least {least}{', or None' if optional else ''}."
        )


def check_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    optional: bool = False,
) -> None:
    """Refuse what is no number, NaN, or outside of bounds.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    value : object
        What it was set to.
    above, least, below : float, optional
        Bounds; only `least` itself can be.
    optional : bool, default=False
        Whether None can be.

    Raises
    ------
    InputError
        If the value cannot be.

    Examples
    --------
    >>> from sktime_llm._numbers import check_number
    >>> check_number("dropout", 0.1, least=0, below=1)
    """
    if value is None and optional:
        return
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if is_number else float("nan")  # type: ignore[arg-type]
    bounds = {  # NaN is within none
        f"above {above}": above is None or number > above,
        f"at least {least}": least is None or number >= least,
        f"below {below}": below is None or number < below,
    }
    if number == number and all(bounds.values()):
        return
    expected = " and ".join(text for text in bounds if not text.endswith("None"))
    raise InputError(
        f"{name}={value!r}, expected {'' if is_number else 'a number, '}{expected}"
        f"{', or None' if optional else ''}."
    )
