"""The series' own errors, and what pydantic found wrong, in words that say how to mend it."""

import reprlib


class CptError(Exception):
    """What was foreseen went wrong; the message says what, where and the mend. A notebook shows nothing else."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()  # IPython asks for it; plain Python shows its traceback


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


def brief(value: object) -> str:
    """A value of a file as a message may show it: a line of YAML can stand for a million entries."""
    return _SHORT.repr(value)


class SettingsError(CptError, ValueError):
    """A setting cannot be used; the message names it and says what to write."""


def _path(fault: dict) -> str:
    return " ".join(".".join(str(part) for part in fault["loc"]).split())[:100]


def first_fault(error, place=_path) -> str:
    """Place, fault and mend of the first error of a pydantic ValidationError, without a closing stop.

    `place` tells where it is; as it is, by keys: "lora.r".
    """
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [place(first), _words(first)]))


def _words(error: dict) -> str:
    bound = {key: f"{x:g}" if isinstance(x, float) else x for key, x in error.get("ctx", {}).items()}
    number = "is no number; write one, such as 20 or 1.0e-3"
    if error["type"].startswith(("greater", "less")) and str(error["input"]).strip().lower().lstrip("+-") == "nan":
        return number  # which is neither more nor less than anything
    words = {
        "missing": "is missing; add it",
        "extra_forbidden": "there is no such key; mend its spelling or delete it",
        "string_type": "is no text; write words, in quotes if they look like a number",
        "string_too_long": f"is too long: at most {bound.get('max_length')} characters; shorten it",
        "string_too_short": "is empty; write something",
        "string_unicode": "holds half a character; delete it",
        "string_pattern_mismatch": "has to start with a small letter and hold only small letters, digits and '_'",
        "list_type": "is no list; start each entry with '- '",
        "too_short": f"has {bound.get('actual_length')} entries; write {bound.get('min_length')}",
        "too_long": f"has more than {bound.get('max_length')} entries; delete the others",
        "dict_type": "is no group of keys; write some, such as {r: 8}",
        "model_type": "is no group of keys; write some, such as name: value",
        "bool_type": "is neither true nor false; write one of them",
        "int_type": "is no whole number; write one",
        "float_type": number,
        "float_parsing": number,
        "finite_number": number,
        "literal_error": f"has to be {bound.get('expected')}; choose one",
        "greater_than": f"has to be above {bound.get('gt')}; raise it",
        "greater_than_equal": f"has to be {bound.get('ge')} or more; raise it",
        "less_than_equal": f"has to be {bound.get('le')} or less; lower it",
        "invalid_key": "keys have to be words; put it in quotes or delete it",
    }
    return words.get(error["type"]) or " ".join(error["msg"].removeprefix("Value error, ").split())


class SetupError(CptError, RuntimeError):
    """The set-up could not finish; the message says what to do."""


class ModelError(CptError, RuntimeError):
    """A model cannot be used; the message says what to do about it."""


class GenerationError(CptError, RuntimeError):
    """Some responses are missing; the message counts the reasons and says how to ask for the rest."""


class DataError(CptError, ValueError):
    """A data set breaks the contract; the message names the row, the column and the mend."""


class ExportError(CptError, RuntimeError):
    """Something trained could not be written or sent; the message says what to do."""


class PairError(CptError, ValueError):
    """Responses cannot be paired, or rows cannot be trained on; the message names the row and the mend."""


class TrainingError(CptError, RuntimeError):
    """A training cannot go on; the message says why and what to change."""


class RubricError(CptError, ValueError):
    """A rubric is not valid; the message says which one, where and how to mend it."""


class PromptError(CptError, ValueError):
    """There is no such system prompt or target; the message lists what there is."""


class EndpointError(CptError, RuntimeError):
    """An endpoint gave no answer, for the reason `kind`; `fatal`: no other request can do better; `status`: HTTP's."""

    def __init__(self, kind: str, fatal: bool = False, status: int | None = None):
        super().__init__(kind)
        self.kind, self.fatal, self.status = kind, fatal, status


class CutOffError(EndpointError):
    """The limit of tokens cut an answer off, or was spent on thinking; more room may mend it."""


class StoppedError(EndpointError):
    """Somebody ended an answer while it grew; `text` is what had come of it."""

    def __init__(self, text: str):
        super().__init__("an answer that was stopped")
        self.text = text


class RefusedError(EndpointError):
    """A model or a filter will not answer this one conversation; others may be answered."""


class JudgeError(CptError, ValueError):
    """A judge cannot be made so, or does not know this rubric; the message says what it knows."""


class StoreError(CptError, ValueError):
    """A file of rows cannot be read or written; the message names the line and the mend."""


class Mistake(CptError):
    """An answer is wrong; the message says what is likely to be behind it."""
