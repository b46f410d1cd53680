"""The trials of a plan as jobs: their settings, their rows, when to stop, what they cost."""

from dataclasses import dataclass, replace

from tenfold.build.problem import Problem
from tenfold.experiments.sweeps.early_stopping import baseline_limit
from tenfold.experiments.sweeps.folder import SweepFolder
from tenfold.experiments.sweeps.job import Job
from tenfold.experiments.sweeps.plan import Trial
from tenfold.experiments.sweeps.shared_rows import MANIFEST, share
from tenfold.learners import LEARNERS
from tenfold.runs.record import Record


@dataclass(frozen=True)
class TrialJobs:
    """Makes the jobs of a sweep.

    Attributes:
      problem: The rows of all trials, with the settings of one of them.
    """

    folder: SweepFolder
    problem: Problem

    def job(self, trial: Trial) -> Job:
        """The job of a trial; one without limits to stop below has the baseline's."""
        path, begun, plan = self.folder
        settings = plan.settings(trial.point, trial.seed)
        problem = replace(self.problem, settings=settings)
        asked = plan.asked(trial.point, trial.seed)
        record = Record.beginning(settings, asked, begun.data, begun.versions, begun.threads)
        kind = settings.model_dump(mode="json") | {"seed": None, "learning_rate": None}
        return Job(
            folder=str(self.folder.of_trial(trial.name).resolve()),
            data=str((path / "data").resolve()),
            record=record.model_dump(mode="json"),
            stop_below=trial.stop_below or baseline_limit(problem),
            kind=str(sorted(kind.items())),
            cost=_cost(problem),
        )

    def share_rows(self) -> None:
        """Write the rows that all trials read, unless they are there.

        Raises:
          FileError: They cannot be written.
        """
        folder = self.folder.path / "data"
        if not (folder / MANIFEST).is_file():
            share(self.problem.data, self.problem.split, folder)


def _cost(problem: Problem) -> float:
    """Multiplications of a training, about: to begin with the longest."""
    data, settings = problem.data, problem.settings
    # The columns of a table become as many features or more.
    n_inputs = int(data.x[0].size) if data.table is None else len(data.table.columns)
    of_a_row = LEARNERS[settings.learner].cost(settings, n_inputs, max(1, len(data.labels)))
    return of_a_row * len(problem.split.train)
