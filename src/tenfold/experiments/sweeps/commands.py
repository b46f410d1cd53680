"""`sweep` and `compare`: each goes from data to a table and its report in one function call."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.progress import Listener
from tenfold.core.settings import Reading
from tenfold.data.dataset import Dataset
from tenfold.experiments.run_data import as_dataset
from tenfold.experiments.sweeps.conclude import conclude_comparison, conclude_sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.plan import Plan, comparison_plan, sweep_plan
from tenfold.experiments.sweeps.results import Sweep, sort_results
from tenfold.experiments.sweeps.search import make_search
from tenfold.experiments.sweeps.sweep_run import running

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    target: str | int | None = None,
    reading: Reading | None = None,
    out: Path | str = "runs",
    workers: int | Executor | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Sweep:
    """Train many networks, and measure the gain and the cost of more neurons and layers.

    If an earlier call requested the same trainings, even in another form, this one continues it and
    ends with the same table.

    Args:
      data: Same as in `tenfold.train`.
      target, reading: Same as in `tenfold.train`.
      out: Folder in which the sweep's folder is created or found again.
      workers: Number of processes, each with one thread (None: one for each core), or an executor
        such as `tenfold.experiments.ray.RayCluster`.
      listener: It is told about the trials while they run.
      **settings: Settings of the trainings (`tenfold.core.settings.Settings`). If one is a list,
        each of its values is tried. By default, `hidden` (neurons in each hidden layer) is 32, 64,
        128, 256 and `layers` (the number of hidden layers) is 1, 2; for a `learner` other than
        `network`, only the given lists are tried. `seeds`, `seed`, `trials`, `search` and `minutes`
        limit the amount of work (`tenfold.experiments.sweeps.plan.SweepSettings`).

    Returns:
      The table, the findings and the best run, which was measured on the test rows.

    Raises:
      SettingsError: A setting is invalid, or there are no validation rows to rank the trials.
      DataError: As in `tenfold.train`.
      BackendError: JAX's compiler computes wrong results in a worker. No folder is created.
      RunError: No trial finished.
      FileError: The folder cannot be written, or another process is using it.
      SweepInterrupted: Ctrl-C was pressed. It is a KeyboardInterrupt that names the folder.

    Example:
      >>> done = tenfold.sweep("mnist", hidden=[64, 128], layers=[1, 2], seeds=2)  # doctest: +SKIP
    """
    dataset = as_dataset(data, target, reading)
    return _carry_out(sweep_plan(dataset, settings), dataset, out, workers, listener or Listener())


def compare(
    data: "str | Path | Dataset | pd.DataFrame" = "mnist",
    *,
    target: str | int | None = None,
    reading: Reading | None = None,
    out: Path | str = "runs",
    workers: int | Executor | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Sweep:
    """Train several learners on the same rows, and test which one is better.

    Learners are ranked by their mean score over the seeds on the validation rows. The test rows are
    opened once, for all learners of the list. Each learner is compared with the best one by a
    paired test, corrected for the number of comparisons.

    Args:
      data: Same as in `tenfold.train`.
      target, reading, out, workers, listener: As in `sweep`.
      **settings: `learners`, a list of names (by default, all that can learn the task except the
        baseline); `seeds` and `seed` as in `sweep`; `recipe` (by default `fast`) and any other
        setting of `tenfold.core.settings.Settings`, which then applies to all learners.

    Returns:
      The leaderboard, the table and the findings.

    Raises:
      SettingsError, DataError, BackendError, RunError, FileError, SweepInterrupted: As in `sweep`.

    Example:
      >>> done = tenfold.compare("mnist", learners=["network", "forest"])  # doctest: +SKIP
    """
    dataset = as_dataset(data, target, reading)
    plan = comparison_plan(dataset, settings)
    return _carry_out(plan, dataset, out, workers, listener or Listener())


def _carry_out(
    plan: Plan, data: Dataset, out: Path | str, workers: int | Executor | None, listener: Listener
) -> Sweep:
    """Run a sweep or a comparison, or the part of it that is not finished."""
    executor = LocalProcesses(workers) if workers is None or isinstance(workers, int) else workers
    problem = plan.problem(data)
    problem.features.listener = listener
    with executor, running(plan, problem, Path(out), executor, listener) as run:
        if run.plan.is_search:
            make_search(run)
        else:
            run.make(run.plan.trials())
        points = run.ranked()
        if run.plan.kind == "sweep":
            conclude_sweep(run, points)
        else:
            conclude_comparison(run, points)
    return Sweep(run.path, run.record, sort_results(run.results.values()), points)
