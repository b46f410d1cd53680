"""From a plan to its result: trials, table, ranking, test rows, report."""

from pathlib import Path

from tenfold.core.progress import Listener
from tenfold.data.dataset import Dataset
from tenfold.experiments.sweeps.best import conclude_sweep
from tenfold.experiments.sweeps.executors import Executor, LocalProcesses
from tenfold.experiments.sweeps.leaderboard import conclude_comparison
from tenfold.experiments.sweeps.plan import Plan
from tenfold.experiments.sweeps.result import Sweep
from tenfold.experiments.sweeps.search import make_search
from tenfold.experiments.sweeps.sweep_run import running
from tenfold.experiments.sweeps.table import rank_points, sort_results


def carry_out(
    plan: Plan,
    data: Dataset,
    out: Path,
    workers: int | Executor | None,
    listener: Listener | None,
) -> Sweep:
    """Carry out a sweep or a comparison, or what is left of it.

    Args:
      plan: What is to be tried.
      data: On which rows.
      out: Where the folder is made, or found again.
      workers: How many processes make the trials (None: one for each core), or what does instead.
      listener: Is told of trials as they are made; None: warnings are printed.

    Raises:
      TenfoldError, SweepInterrupted: What `commands.sweep` says.
    """
    executor = LocalProcesses(workers) if workers is None or isinstance(workers, int) else workers
    with executor, running(plan, plan.problem(data), out, executor, listener or Listener()) as run:
        if run.plan.is_search:
            make_search(run)
        else:
            run.make(run.plan.trials())
        run.write_table()
        results = run.results.values()
        points = rank_points(
            results, run.plan.seeds, least_is_best=run.least_is_best, where=run.path
        )
        if run.plan.kind == "sweep":
            conclude_sweep(run, points)
        else:
            conclude_comparison(run, points)
    return Sweep(run.path, run.record, sort_results(results), points)
