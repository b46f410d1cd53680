"""The model that `auto` keeps: the best candidate, or a vote of several that is better.

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
from tenfold.learners.job import CrossAnswers

STANDARD_ERRORS = 1.0
"""A vote must lead by more than this many standard errors. This is the one-standard-error rule: the
simpler model is kept unless another is better by more than chance explains (Breiman et al. 1984,
"Classification and Regression Trees", section 3.4.3). On nine tables with five splits each, the
ratio of the test loss to that of the best single candidate was 0.983 (geometric mean), and above 1
on no table. If any lead were enough, the ratio would be 1.002 (1.12 on iris), and if the 95%
interval had to lie above 0, it would be 0.989."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The candidates that were tried, and the vote if it is better than the best of them."""

    tried: Sequence[Tried]
    judges: Judges
    vote: VoteFound | None

    @property
    def weights(self) -> Mapping[int, float]:
        """The weight of each candidate that is part of the model, by its number."""
        return {best_of(self.tried): 1.0} if self.vote is None else self.vote.weights

    @property
    def answers(self) -> NDArray[np.float32]:
        """The prediction for each row that chose (n, ...) of the candidate, or with the weights of
        the vote, that the other parts of these rows choose."""
        if self.vote is not None:
            return self.vote.answers
        able = [one for one in self.tried if np.isfinite(one.losses).all()]
        crossed = np.empty_like(able[0].answers)
        for part in np.unique(self.judges.part_of):
            own = self.judges.part_of == part
            crossed[own] = min(able, key=lambda one: one.losses[~own].sum()).answers[own]
        return crossed

    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, the best one first. If a vote is the model, it precedes them."""
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
        """Combine the fits of the members, in the order of `weights`, into one. Return it with the
        rows in its encoding and the candidates. Its note says what was tried."""
        prepared, fitted = members[0]
        judged = None if self.judges.apart else self.answers
        if self.vote is not None:
            prepared, fitted = fit_vote(members, list(self.weights.values()), judged)
        elif judged is not None:
            fitted = replace(fitted, judged=judged)
        if self.judges.apart:
            fitted = replace(fitted, cross=self._cross_answers(prepared, fitted))
        candidates = self.candidates()
        crossed = float(self.judges.losses(self.answers).mean())
        note = _told(candidates, self.judges, crossed, labels=bool(prepared.task.labels))
        own = f". {fitted.note}" if fitted.note else ""
        return prepared, replace(fitted, note=note + own), candidates

    def _cross_answers(self, prepared: Prepared, fitted: Fitted) -> CrossAnswers | None:
        """The predictions that calibrate the model where folds chose it: for each training row by
        fits without its fold, and for each validation row by the model itself. None: there are only
        rows in the order of time, whose folds also know later rows.

        A row of the folds has no say in its own prediction, not even in which learner or weights
        make it, so that the choice does not flatter the calibration. In simulated draws the
        predictions of the winner itself, whichever rows chose it, made sets and intervals as wide:
        there are few candidates to choose from (docs/design/decisions.md).
        """
        validation, part_of = prepared.validation, self.judges.part_of
        if validation is None:
            if prepared.encoding.accepted.order is not None:
                return None
            return CrossAnswers(prepared.train, part_of, self.answers)
        judged = fitted.answers(validation.x) if fitted.judged is None else fitted.judged
        return CrossAnswers(
            prepared.train.joined(validation),
            np.r_[part_of, np.full(len(judged), part_of.max() + 1)],
            np.concatenate([self.answers, judged]),
        )


def best_of(tried: Sequence[Tried]) -> int:
    """The number of the first candidate with the lowest loss."""
    return min(range(len(tried)), key=lambda number: tried[number].loss)


def better_vote(tried: Sequence[Tried], judges: Judges) -> VoteFound | None:
    """A vote of candidates that is significantly better than the best of them, or None.

    Each row is predicted with the weights that are chosen on the other parts of the rows. The mean
    difference of the losses, paired by row, must exceed `STANDARD_ERRORS` standard errors. The best
    candidate has the advantage that the same rows chose it.
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


def _told(candidates: Sequence[Candidate], judges: Judges, crossed: float, *, labels: bool) -> str:
    """The note that says what was tried, what was chosen, and by how much. `crossed` is the loss
    if each part of the rows is predicted by the choice of the other parts."""
    best, *others = candidates
    named = best.learner
    if best.learner == VOTE:
        counted = sorted((one for one in others if one.weight), key=lambda one: -(one.weight or 0))
        named = f"a vote of {', '.join(f'{one.learner} {one.weight:.2g}' for one in counted)}"
    measure = "log loss" if labels else "squared error (always predicting the mean gives 1)"
    losses = ", ".join(f"{one.learner} {one.loss:.4g}" for one in candidates)
    note = f"auto chose {named} by {judges.name}: {measure} {losses}"
    if others:
        second = others[0]
        lead = f"{second.behind:.2g} (95% interval {second.low:.2g} to {second.high:.2g})"
        note += f"; the lead over {second.learner} is {lead}. "
        if best.learner == VOTE:
            note += "The loss of the vote uses weights that were chosen on the other parts of the "
            note += "rows"
        else:
            note += (
                "The choice was made on these rows, so the lowest loss is slightly too good; if "
            )
            note += f"each part is predicted by the choice of the others, it is {crossed:.4g}"
    if judges.apart and any(one.learner == "network" for one in candidates):
        note += ". In each fold, a single network was fitted instead of several"
    return note


def _candidate(one: Tried, best: Tried, weight: float | None, judges: Judges) -> Candidate:
    """Compare a candidate with the best: the mean difference of losses with its 95% interval."""
    differences = one.losses - best.losses
    behind = float(differences.mean())
    half = 1.96 * standard_error(differences, judges.group)
    low, high = behind - half, behind + half
    return Candidate(one.learner, one.loss, behind, low, high, one.seconds, weight)
