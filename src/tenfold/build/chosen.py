"""What is kept of the candidates of `auto`: the best of them, or a vote that is better.

Test rows never come here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.build.candidates import Judges, Tried
from tenfold.build.problem import Prepared
from tenfold.build.vote import VOTE, VoteFound, find_vote, fit_vote, standard_error
from tenfold.core.records import Candidate
from tenfold.learners import LEARNERS, Fitted

STANDARD_ERRORS = 1.0
"""A vote must lead by more than so many: the one-standard-error rule, by which the simpler model is
kept unless another is better by more than chance explains (Breiman et al. 1984, "Classification and
Regression Trees", section 3.4.3). On nine tables, five splits each, test losses were 0.983 of the
winner's so (geometric mean), and on none of the tables above 1; 1.002 where any lead is enough,
1.12 on iris, and 0.989 where the 95% interval must lie above 0."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """What was tried, and of it the best or a better vote.

    Attributes:
      judged: Answers to the validation rows of what the others of them choose; None: they do not
        choose.
    """

    tried: Sequence[Tried]
    judges: Judges
    vote: VoteFound | None
    judged: NDArray[np.float32] | None

    @property
    def weights(self) -> Mapping[int, float]:
        """What each candidate that answers counts, by its number."""
        return {best_of(self.tried): 1.0} if self.vote is None else self.vote.weights

    def candidates(self) -> tuple[Candidate, ...]:
        """Those that were tried, best first, and before them the vote, where it is the model."""
        ranked, weights = sorted(self.tried, key=lambda one: one.loss), dict[str, float]()
        if self.vote is not None:
            weights = {self.tried[i].learner: weight for i, weight in self.weights.items()}
            answers = self.vote.answers
            seconds = sum(self.tried[i].seconds for i in self.weights)
            ranked.insert(0, Tried(VOTE, answers, self.judges.losses(answers), seconds))
        return tuple(
            _candidate(one, ranked[0], weights.get(one.learner), self.judges) for one in ranked
        )

    def together(
        self, members: Sequence[tuple[Prepared, Fitted]]
    ) -> tuple[Prepared, Fitted, tuple[Candidate, ...]]:
        """The fits of those that answer, in the order of `weights`, as one, with the rows that it
        takes; its note says what was tried."""
        prepared, fitted = members[0]
        if self.vote is not None:
            weights = list(self.weights.values())
            prepared, fitted = fit_vote(members, weights, self.judged)
        elif self.judged is not None:
            fitted = replace(fitted, judged=self.judged)
        candidates = self.candidates()
        note = _told(candidates, self.judges.name, labels=bool(prepared.task.labels))
        own = f". {fitted.note}" if fitted.note else ""
        return prepared, replace(fitted, note=note + own), candidates


def best_of(tried: Sequence[Tried]) -> int:
    """The number of the first candidate with the least loss."""
    return min(range(len(tried)), key=lambda number: tried[number].loss)


def better_vote(tried: Sequence[Tried], judges: Judges) -> VoteFound | None:
    """A vote of candidates that is measurably better than the best of them; None: there is none.

    It answers each row by the weights that the other parts of the rows choose. The mean difference
    of the losses, paired by row, must be more than `STANDARD_ERRORS` of its standard errors. The
    best one is given the advantage that these very rows chose it.
    """
    able = [
        number
        for number, one in enumerate(tried)
        if LEARNERS[one.learner].looks and np.isfinite(one.losses).all()
    ]
    if len(able) < 2:
        return None
    answers = [tried[number].answers for number in able]
    vote = find_vote(answers, judges.y, judges.part_of, judges.weight)
    if vote is None:
        return None
    lead = tried[best_of(tried)].losses - judges.losses(vote.answers)
    if lead.mean() <= STANDARD_ERRORS * standard_error(lead, judges.group):
        return None
    return replace(vote, weights={able[i]: weight for i, weight in vote.weights.items()})


def _told(candidates: Sequence[Candidate], rows: str, *, labels: bool) -> str:
    """What was tried and chosen, and by how much, for people."""
    best, *others = candidates
    named = best.learner
    if best.learner == VOTE:
        counted = sorted((one for one in others if one.weight), key=lambda one: -(one.weight or 0))
        named = f"a vote of {', '.join(f'{one.learner} {one.weight:.2g}' for one in counted)}"
    measure = "log loss" if labels else "squared error (that of always the mean is 1)"
    losses = ", ".join(f"{one.learner} {one.loss:.4g}" for one in candidates)
    note = f"auto chose {named} by {rows}: {measure} {losses}"
    if others:
        second = others[0]
        lead = f"{second.behind:.2g} (95% interval {second.low:.2g} to {second.high:.2g})"
        note += f"; the lead over {second.learner} is {lead}"
    return note


def _candidate(one: Tried, best: Tried, weight: float | None, judges: Judges) -> Candidate:
    """A candidate beside the best: the mean difference with its 95% interval, paired by row."""
    differences = one.losses - best.losses
    behind = float(differences.mean())
    half = 1.96 * standard_error(differences, judges.group)
    low, high = behind - half, behind + half
    return Candidate(one.learner, one.loss, behind, low, high, one.seconds, weight)
