"""The network page as HTML: a section for the report, or a page of its own."""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.text import in_unit, ordinal, percent, shown_cell, signed
from tenfold.inputs.idx import read_idx
from tenfold.inputs.pictures.mnist_box import SIDE_PX
from tenfold.model.model import Model
from tenfold.report.network_page.form import read_form
from tenfold.report.network_page.network import MAX_BYTES, Unable, read_network
from tenfold.runs.csv_files import EXAMPLE_INPUTS
from tenfold.runs.record import Run

MODULES = ("box", "engine", "neuron", "paths", "paint", "pad", "drawn_once", "living")
"""The modules of the page, in an order in which each only imports from earlier ones."""

ASKING = ("asking", "asked")
"""Further modules of a page that a service sends."""

FORM = ("engine", "graph", "cells", "contributions", "shown_cell", "form")
"""The modules of the form to try values, in the same kind of order."""

IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(?:\w+/)?(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export ((?:class|const|function) (\w+))", re.M)


def read_text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")


@cache
def script(names: tuple[str, ...]) -> str:
    """Modules of the page as one script."""
    folder = resources.files("tenfold.report.network_page")
    return inlined([folder.joinpath(f"{name}.js") for name in names])


def inlined(modules: Sequence[Traversable]) -> str:
    """One script of ES modules, each in its own scope, because a file opened from disk cannot
    import.

    Args:
      modules: Files, each of which imports by name from earlier ones only, as in `import { a, b }
        from "./other.js";`, and exports declarations, as in `export function a() {`.

    Raises:
      ValueError: A module imports or exports in another way.
    """
    parts = []
    for module in modules:
        text = module.read_text("utf-8")
        name = module.name.removesuffix(".js")
        exported = ", ".join(match[2] for match in EXPORT.finditer(text))
        body = EXPORT.sub(r"\1", IMPORT.sub(r"const \1 = \2_js;\n", text))
        if wrong := re.search(r"^(import|export)\b.*", body, re.M):
            raise ValueError(f"{module.name}: {wrong[0]!r} cannot be inlined")
        parts.append(f"const {name}_js = (() => {{\n{body}return {{ {exported} }};\n}})();\n")
    return "".join(parts)


@cache
def page_style() -> str:
    """The style sheet of all pages."""
    return read_text("tenfold.report", "style.css") + read_text(
        "tenfold.report.network_page", "network.css"
    )


def render(package: str, name: str, /, **values: Any) -> str:
    """Render a template of a package. Values are escaped unless marked `| safe`."""
    text: str = _template(package, name).render(**values)
    return text


@cache
def _template(package: str, name: str) -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "in_unit": in_unit,
        "ordinal": ordinal,
        "percent": percent,
        "shown_cell": shown_cell,
        "signed": signed,
    }
    return environment.from_string(read_text(package, name))


def embedded(name: str, value: Any) -> str:
    """Data for a page's script: JSON that cannot end its element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


class Living:
    """The parts of a page that run a run's network, or the reason why there is none.

    With a `service` that can predict, the page asks it for what it cannot compute itself. The page
    contains `n_examples` of the run's stored examples. `html` is the section, and `scripts` are for
    the end of the page.
    """

    def __init__(self, run: Run, service: str | None = None, *, with_examples: bool = True) -> None:
        model = run.model
        network = read_network((run.path / "model.onnx").read_bytes(), model.contract)
        self.is_asked = bool(service) and isinstance(network, Unable) and _is_drawn(model)
        is_alive = not isinstance(network, Unable) or self.is_asked
        self.reason = network.reason if isinstance(network, Unable) and not self.is_asked else None
        self.is_said = is_alive or (isinstance(network, Unable) and network.is_said)
        self.service = service
        self.html = render("tenfold.report.network_page", "living.html.j2", living=self)
        self.scripts, self.n_examples = "", 0
        if is_alive:
            examples = _examples(run, model) if with_examples else []
            self.n_examples = len(examples)
            data = {
                "network": None if isinstance(network, Unable) else network,
                "service": service,
                "labels": list(model.labels),
                "decision": model.contract.decision and model.contract.decision.model_dump(),
                "examples": examples,
            }
            self.scripts = embedded("living-data", data) + (
                f'\n<script type="module">\n{script((*MODULES, *(ASKING if service else ())))}'
                "const stored = JSON.parse(document.getElementById('living-data').textContent);\n"
                f"globalThis.tenfold = {self._opened()};\n</script>"
            )

    def _opened(self) -> str:
        if self.is_asked:
            return "asked_js.openAsked(stored)"
        asking = ", asking_js.openAsking" if self.service else ""
        return f"living_js.openLiving(stored{asking})"


class Form:
    """A form in which the user changes the values of a table's row, and sees the prediction at
    once.

    In a notebook, `tenfold.Form(run)` is shown below the cell. In a page, `html` is the section and
    `scripts` are for the end of the page. If there can be no form, `reason` says why. The page
    computes the predictions itself. It asks a `service` for those that it cannot compute, and for
    contributions that would need training rows in the page. It contains `n_rows` rows of the data.

    Args:
      run: A run of a table.
      service: The address of the run on its service, such as `/v1/models/NAME`. None: there is no
        service.
      columns: Names of the columns whose fields come first, in this order.
      with_rows: Whether training rows may be in the page. Sampled contributions need some.
      max_bytes: Maximum size of the model in the page.
    """

    def __init__(
        self,
        run: Run,
        service: str | None = None,
        *,
        columns: Sequence[str] = (),
        with_rows: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        found = read_form(run, service, columns, with_rows=with_rows, max_bytes=max_bytes)
        self.reason, self.scripts, self.n_rows = None, "", 0
        self.is_asked = self.is_explained = self.asks_why = False
        self.target = ""
        if isinstance(found, Unable):
            self.reason = found.reason
        else:
            explained = found["explained"]
            self.target, self.is_asked = found["target"], found["graph"] is None
            self.is_explained = explained is not None
            self.asks_why = self.is_explained and explained["way"] == "service"
            self.n_rows = len(explained.get("background", ())) if explained else 0
            self.scripts = embedded("form-data", found) + (
                f'\n<script type="module">\n{script(FORM)}'
                "const stored = JSON.parse(document.getElementById('form-data').textContent);\n"
                "globalThis.tenfold = { form: form_js.openForm(stored) };\n</script>"
            )
        self.html = render("tenfold.report.network_page", "form.html.j2", form=self)
        self._run = run

    def _repr_html_(self) -> str:
        """The form as a page in a frame, apart from the scripts and styles of the notebook."""
        page = html.escape(_page(self._run, self, None))
        return (
            f'<iframe title="A form to try values" srcdoc="{page}" sandbox="allow-scripts" '
            'style="width:100%;height:46rem;border:0"></iframe>'
        )


def _examples(run: Run, model: Model) -> list[Mapping[str, str]]:
    """One stored example of each label, with the model's prediction for it."""
    path = run.path / EXAMPLE_INPUTS
    if not path.is_file():
        return []
    images: NDArray[np.uint8] = read_idx(path)
    labels = [answer.as_json()["label"] for answer in model.answer(images)]
    return [
        {"label": label, "pixels": base64.b64encode(image.tobytes()).decode()}
        for label, image in zip(labels, images, strict=True)
    ]


def _is_drawn(model: Model) -> bool:
    accepted = model.contract.input
    return (
        accepted.kind == "image"
        and accepted.shape == (SIDE_PX, SIDE_PX)
        and accepted.crop == "ink"
        and model.contract.task == "classification"
    )


def page_text(run: Run, service: str | None = None) -> str:
    """The network page, or for a table the form to try values, as one self-contained HTML page.

    `service` is the address of the run on its service, such as `/v1/models/NAME`. None: there is no
    service.
    """
    is_table = run.model.contract.input.kind == "table"
    address = service and f"{service}/predict"
    return _page(run, Form(run, service) if is_table else Living(run, address), service)


def _page(run: Run, living: Living | Form, service: str | None) -> str:
    data = run.record.data
    return render(
        "tenfold.report.network_page",
        "page.html.j2",
        title=run.path.resolve().name,
        about=f"{run.record.learner} trained on {data.n_train:,} rows of {data.name}",
        css=page_style(),
        living_html=living.html,
        living_script=living.scripts,
        service=service,
    )


@files.os_errors()
def write_page(run: Run, path: Path) -> None:
    """Write the network page, or for a table the form to try values, as one self-contained HTML
    file."""
    files.write_text(path, page_text(run))
