"""What the tests of the service share: a run whose model reads rows of a table."""

import pytest

import tenfold
from tenfold import Run

ROWS = "size,colour,price\n" + "\n".join(
    f"{i % 17},{'red' if i % 3 else 'blue'},{(i % 17) * 2 + (i % 3)}.5" for i in range(120)
)


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("table")
    (folder / "rows.csv").write_text(ROWS)
    return tenfold.train(
        folder / "rows.csv", learner="linear", recipe="fast", target="price", out=folder
    )
