"""What all exercise checks share: run an answer, compare it, and put the outcome in one line."""

import copy
import functools
import reprlib
import warnings
from collections.abc import Callable

import numpy as np

from cpt_utils.exercises.warm_ups import WARM_UPS
from cpt_utils.runtime.errors import Mistake
from cpt_utils.runtime.keys import one_line

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 70


def exercise(todo: str, lesson: str) -> Callable:
    """Make a check of a function that raises Mistake: one line printed, True or False returned, no error.

    `todo` says what is missing while there is no answer; `lesson`, what the right one shows. A check may
    return a lesson of its own. The participant's answer to the warm-up, passed by name, gets a line of its own.
    """

    def decorate(check: Callable) -> Callable:
        @functools.wraps(check)
        def checked(*answers, **first) -> bool:
            if "warm_up" in first:
                print(f"Warm-up: {said_of_warm_up(first['warm_up'], *WARM_UPS[check.__name__])}")
            try:
                if any(unsolved(answer) for answer in answers):
                    raise NotImplementedError
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    line, right = f"Correct: {check(*answers) or lesson}", True
            except NotImplementedError as error:
                line, right = f"Not solved yet: {todo}{error}", False
            except Mistake as mistake:
                line, right = str(mistake), False
            except Exception as error:  # an answer of a form that the check could not foresee
                line, right = f"Your answer has not the form that the task asks for ({_said(error)}).", False
            print(line)
            return right

        return checked

    return decorate


def said_of_warm_up(answer, right, slips: dict) -> str:
    """What the check says of an answer to the warm-up; two decimals are enough."""
    if unsolved(answer):
        return "not answered yet."
    for known, words in ({right: "right."} | slips).items():
        if same(answer, known, tolerance=0.004):
            return words
    return f"{shown(answer)} is not it."


def unsolved(answer) -> bool:
    """Whether an answer is None or `...`, or holds one of them."""
    if isinstance(answer, dict):
        return any(unsolved(value) for value in answer.values())
    if isinstance(answer, (list, tuple)):
        return any(unsolved(value) for value in answer)
    return answer is None or answer is ...


def call(function: Callable, *arguments, case: str = ""):
    """The participant's function on copies of the arguments; what goes wrong there becomes a Mistake."""
    if not callable(function):
        raise Mistake("Pass the function itself to the check, without brackets: check(my_function).")
    try:
        got = function(*copy.deepcopy(arguments))
    except NotImplementedError:
        raise NotImplementedError from None
    except Exception as error:
        where = f" for {case}" if case else ""
        raise Mistake(f"Your function stopped{where} with {_said(error)}.") from None
    if got is None:
        raise NotImplementedError(" (Your function returned None: is a `return` missing?)")
    if unsolved(got):
        raise NotImplementedError
    return got


def as_it_is(result):
    return result


def compare(
    function: Callable,
    cases: dict[str, tuple],
    right: Callable,
    slips: list[Callable],
    form: Callable = as_it_is,
) -> None:
    """Raise a Mistake unless the function does as `right` does on all cases {description: arguments}.

    `slips` are wrong functions, each with its message as its docstring. One that explains all results, or else
    all wrong ones, gives its message; failing that, the message shows the first wrong result. `form` makes
    results comparable.
    """
    results = {case: _formed(call(function, *given, case=case), form) for case, given in cases.items()}
    wrong = [case for case, got in results.items() if not same(got, right(*cases[case]))]
    if not wrong:
        return
    for explained in (list(cases), wrong):
        for slip in slips:
            if all(_explains(slip, cases[case], results[case]) for case in explained):
                raise Mistake(" ".join(slip.__doc__.split()))
    got, wanted = shown(results[wrong[0]]), shown(right(*cases[wrong[0]]))
    raise Mistake(f"For {wrong[0]} your function gives {got}; {wanted} would be right.")


def _formed(got, form: Callable):
    try:
        return form(got)
    except TypeError:
        raise Mistake(f"Your function returns {shown(got)}: a {form.__name__} is asked for.") from None


def _explains(slip: Callable, arguments: tuple, got) -> bool:
    try:
        return same(got, slip(*copy.deepcopy(arguments)))
    except Exception:  # the slip itself cannot handle this case
        return False


def plain(value):
    """Tensors and arrays as numbers and lists; everything else as it is."""
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "detach"):
        value = value.detach()
    return value.tolist() if hasattr(value, "tolist") else value


def same(one, other, tolerance: float = 1e-4) -> bool:
    """Whether two results are equal, numbers up to a tolerance and whatever holds them."""
    one, other = plain(one), plain(other)
    try:
        one_numbers, other_numbers = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):  # texts, sets, dicts
        return one == other
    return one_numbers.shape == other_numbers.shape and bool(
        np.allclose(one_numbers, other_numbers, rtol=tolerance, atol=tolerance, equal_nan=True)
    )


def shown(value) -> str:
    """A result, short enough for one line."""
    value = plain(value)

    def rounded(v):
        return float(f"{v:.4g}") if isinstance(v, float) else v

    return _short.repr([rounded(v) for v in value] if isinstance(value, list) else rounded(value))


def _said(error: Exception) -> str:
    first = one_line((str(error).splitlines() or [""])[0])[:120]
    return f"{type(error).__name__}: {first}".rstrip(": ")
