"""What marks of the fitting half suggest for a rubric, each with what it would change."""

from dataclasses import dataclass

from cpt_utils import agreement, marks
from cpt_utils.runtime.errors import RubricError
from cpt_utils.ways import Counted, Likened
from cpt_utils.widgets import drafts
from cpt_utils.widgets.states import State, comparison, moved


@dataclass(frozen=True)
class Suggestion:
    """Weights of all criteria, or a way to score one of them, in words."""

    words: str
    weights: tuple[float, ...] = ()
    criterion: str = ""
    way: Counted | Likened | None = None

    def like(self, other: "Suggestion | None") -> bool:
        """Whether both suggest the same but for numbers and examples, which further marks change."""
        kinds = [(one.criterion, type(one.way), getattr(one.way, "measure", "")) for one in (self, other) if one]
        return len(kinds) == 2 and kinds[0] == kinds[1]

    def taken(self, state: State) -> State:
        """The state as it would be."""
        if self.way:
            return State(state.label, state.rubric, state.ways | {self.criterion: self.way})
        draft = drafts.with_weights(state.rubric.model_dump(), list(self.weights))
        return State(state.label, drafts.checked(draft), state.ways)


def suggestions(state: State, criterion: str, fit: dict[str, float]) -> list[Suggestion]:
    """What marked texts (text -> points) speak for: weights (criterion ""), or ways to score a criterion."""
    if criterion:
        return _ways(state, criterion, fit)
    parts = [drafts.by_criterion(state.ways, text) for text in fit]
    names = [criterion.name for criterion in state.rubric.criteria]
    known = [name for name in names if parts and all(part.get(name) is not None for part in parts)]
    found = agreement.suggest_weights({name: [part[name] for part in parts] for name in known}, list(fit.values()))
    if not found:
        return []
    given = drafts.weights_of(state.rubric.model_dump())
    kept = sum(weight for name, weight in zip(names, given) if name not in found)
    if kept == 100:
        return []
    shares = [found[name] * (1 - kept / 100) if name in found else weight for name, weight in zip(names, given)]
    weights = drafts.apportion(shares)  # of what has no scores the marks say nothing: it keeps its weight
    named = ", ".join(f"{name} {weight:g}" for name, weight in zip(names, weights))
    return [Suggestion(f"weights: {named}", weights=tuple(weights))]


def _ways(state: State, criterion: str, fit: dict[str, float]) -> list[Suggestion]:
    """The measure that ranks most as the marks do, other anchors of the measure that is counted now, and examples."""
    texts, points = list(fit), list(fit.values())
    now = state.ways.get(criterion)
    measures = [None, now.measure] if isinstance(now, Counted) else [None]
    found = [agreement.suggest_anchors(texts, points, measure) for measure in measures]
    ways = [*dict.fromkeys(filter(None, found)), *filter(None, [agreement.suggest_examples(fit)])]
    return [Suggestion(_told(way), criterion=criterion, way=way) for way in ways if way != now]


def _told(way: Counted | Likened) -> str:
    if isinstance(way, Counted):
        return f"counting {way.measure}: {way.low:g} is worth 0, {way.high:g} is worth 100"
    return f"likening to {len(way.low)} low and {len(way.high)} high examples of the marks"


def effect(suggestion: Suggestion, state: State, points: dict[str, float], texts: dict[str, str]) -> str:
    """What taking it would change: agreement with the marks that test, and ranks of the texts on view."""
    after = suggestion.taken(state)
    test = [text for text in points if marks.is_test(text)]
    known = [one.standing(points, suggestion.criterion).scores for one in (state, after)]
    both = [text for text in test if all(text in scores for scores in known if scores)]  # now, there may be none

    def rho(scores: dict[str, float]) -> str:
        given = [text for text in both if text in scores]
        found = agreement.spearman([scores[text] for text in given], [points[text] for text in given])
        return "none" if found is None or len(given) < agreement.LEAST else f"{found:.2f}"

    told = f"rho on the {len(both)} texts that test: {rho(known[0])} → {rho(known[1])}"
    rows = comparison(*(one.standing(texts.values()) for one in (state, after)), texts)
    return f"{told}; {moved(rows)} of {len(rows)} texts on view change their rank"


def reweighed(draft: dict, weights: dict[str, float]) -> dict:
    """The draft with suggested weights; a RubricError where it no longer has the criteria that they are of."""
    if drafts.names_of(draft) != list(weights):
        raise RubricError("The rubric has other criteria than the suggestion: mend what is wrong with it first.")
    return drafts.with_weights(draft, list(weights.values()))
