"""`sweep` and `compare`: one function call each, from data to a table and its report."""

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
    """Train many networks, and say what neurons and layers bought and cost.

    The same work, in whatever words, goes on with what an earlier call left, and ends with the same
    table.

    Args:
      data: What `tenfold.train` takes.
      target, reading: As in `tenfold.train`.
      out: Where the sweep's folder is made, or found again.
      workers: Processes, of one thread each (None: one for each core); or an executor, as
        `tenfold.experiments.ray.RayCluster`.
      listener: Is told of trials as they are made.
      **settings: Settings of the trainings (`tenfold.core.settings.Settings`); one given as a list
        is tried value by value. `hidden`, neurons in each hidden layer, and `layers`, how many
        layers, are 32, 64, 128, 256 and 1, 2 when absent; with another `learner` than `network` the
        lists are all there is. How much is done say `seeds`, `seed`, `trials`, `search` and
        `minutes` (`tenfold.experiments.sweeps.plan.SweepSettings`).

    Returns:
      The table, the findings and the best run, whose test rows were opened.

    Raises:
      SettingsError: Settings outside their rule, or no validation rows to rank on.
      DataError: What `tenfold.train` says.
      BackendError: JAX's compiler computes wrongly in a worker; no folder is made.
      RunError: No trial was finished.
      FileError: The folder cannot be written, or another process works on it.
      SweepInterrupted: Ctrl-C; a KeyboardInterrupt that knows the folder.

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
    """Train several learners on the same rows, and say which is better.

    Ranked by the mean over the seeds on validation rows. The test rows are opened once, for all
    that are listed; verdicts beside the best are paired, and corrected for their number.

    Args:
      data: What `tenfold.train` takes.
      target, reading, out, workers, listener: As in `sweep`.
      **settings: `learners`, a list of names (all that can learn the task when absent, but for the
        baseline); `seeds` and `seed` as in `sweep`; `recipe` (`fast` when absent) and any other
        setting of `tenfold.core.settings.Settings`, for all of them.

    Returns:
      The leaderboard, the table, the findings.

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
    """Carry out a sweep or a comparison, or what is left of it."""
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
