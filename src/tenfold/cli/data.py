"""`tenfold data`: the datasets by name, and a look at any dataset before training."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tenfold.cli import options
from tenfold.cli.progress import PartsListener
from tenfold.core.files import check_new, free_name, stem_of
from tenfold.core.settings import Reading
from tenfold.data import catalog
from tenfold.data.audit import audit_data
from tenfold.data.load import load
from tenfold.evaluation.label_errors import find_label_errors
from tenfold.report import draw_examples

MAX_SUSPECTS = 20
BAR_WIDTH = 30

data_app = typer.Typer(
    name="data", help="List, show, check and download datasets.", no_args_is_help=True
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A name, a folder, or a file such as table.csv.",
        show_default=False,
    ),
]


@data_app.command("list")
def list_command() -> None:
    """List the datasets that have a name, and where they are."""
    for name, entry in catalog.DATASETS.items():
        if not entry.mirrors:
            where = "embedded"
        else:
            here = catalog.is_here(name)
            where = str(catalog.folder_of(name)) if here else f"tenfold data fetch {name}"
        n = f"{entry.train.n:,} + {entry.test.n:,}"
        print(f"{name:<14}  {n:<15}  {where}")
        print(f"{'':<14}  {entry.about}")


@data_app.command("show")
@options.takes_reading
def show_command(
    source: Source,
    *,
    reading: Reading,
    out: Annotated[
        Path | None, typer.Option(help="The picture to save [default: NAME-examples.png].")
    ] = None,
) -> None:
    """Save examples of each label as a picture, and count the labels.

    For a table, list its columns instead.
    """
    data = load(source, reading=reading)
    if data.labels:
        counts = audit_data(data).labels
        width = max(len("label"), *(len(label) for label in data.labels))
        largest = max(count.share for count in counts)
        has_validation = any(count.validation for count in counts)
        between = f"{'validation':>10}  " if has_validation else ""
        print(f"{'label':<{width}}  {'train':>8}  {between}{'test':>8}   share")
        for count in counts:
            bar = "▓" * round(BAR_WIDTH * count.share / largest)
            between = f"{count.validation:>10,}  " if has_validation else ""
            numbers = f"{count.train:>8,}  {between}{count.test:>8,}  {100 * count.share:5.1f}%"
            print(f"{count.label:<{width}}  {numbers}  {bar}")
    if data.info is not None:
        profiles = data.info.profiles
        width = max(len("column"), *(len(profile.name) for profile in profiles))
        print(f"{'column':<{width}}  {'kind':<10}  {'distinct':>8}  {'missing':>8}  example")
        for profile in profiles:
            n_distinct = data.n_distinct(profile)
            cells = f"{n_distinct:>8,}  {profile.n_missing:>8,}  {profile.example}"
            print(f"{profile.name:<{width}}  {profile.kind:<10}  {cells}")
        return
    out = _free_png(out, stem_of(data.name))
    draw_examples(data, out)
    print(f"picture  {out}")


def _free_png(out: Path | None, stem: str) -> Path:
    """Where to draw: the requested file, which must not exist, or the next free name."""
    if out is None:
        return free_name(Path(), f"{stem}-examples", ".png")
    if out.suffix.lower() != ".png":
        raise typer.BadParameter(f"--out {str(out)!r}: expected a name that ends in .png")
    check_new(out)
    return out


@data_app.command("fetch")
def fetch_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name that `tenfold data list` shows.")
    ],
) -> None:
    """Download a dataset into the cache folder.

    This is the only command that uses the network.
    """
    from tenfold.data.catalog.download import fetch

    console = Console(stderr=True, highlight=False)
    with console.status("Connecting") as status:

        def watch(url: str, n_bytes: int) -> None:
            status.update(f"{url}  {n_bytes / 1e6:.1f} MB")

        folder = fetch(name, watch)
    print(f"{name}: {folder}")


@data_app.command("check")
@options.takes_reading
def check_command(
    source: Source,
    *,
    reading: Reading,
    labels: Annotated[
        bool, typer.Option("--labels", help="Also look for wrong labels; this trains five models.")
    ] = False,
    learner: Annotated[
        str, typer.Option(help="The learner that --labels trains; auto chooses one for a table.")
    ] = "network",
    seed: Annotated[int, typer.Option(help="The seed of the folds of --labels.", min=0)] = 0,
    top: Annotated[int, typer.Option(help="How many rows --labels prints.", min=1)] = MAX_SUSPECTS,
) -> None:
    """Look for duplicates, leaks, rare labels and wrong labels."""
    data = load(source, reading=reading)
    for line in audit_data(data, near=True).lines():
        print(line)
    if not labels:
        return
    with PartsListener("Looking for wrong labels: fold, epoch") as listener:
        suspects = find_label_errors(data, learner=learner, seed=seed, listener=listener)
    print(
        f"labels: {len(suspects):,} training rows look mislabelled: models trained without "
        "them predict another label (most suspicious first)"
    )
    for suspect in suspects[:top]:
        print(
            f"{data.keys[suspect.row]}  labelled {suspect.label!r}, answered {suspect.likely!r}, "
            f"its own label with {suspect.confidence:.4f}"
        )
    if len(suspects) > top:
        print(f"{len(suspects) - top:,} more: --top {len(suspects)}")
