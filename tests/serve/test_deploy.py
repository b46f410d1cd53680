"""What the pages on running the service show works: the manifest for Kubernetes."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tenfold import Run
from tests.support.service import service

MANIFEST = Path(__file__).parents[2] / "release" / "kubernetes.yaml"


def documents() -> dict[str, Any]:
    found = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    return {document["kind"]: document for document in found}


def test_the_manifest_fits_the_schema_of_kubernetes() -> None:
    validation = pytest.importorskip("kubernetes_validate")
    version = validation.latest_version()
    for document in documents().values():
        validation.validate(document, version, strict=True)
    wrong = documents()["Deployment"]
    wrong["spec"]["template"]["spec"]["containers"][0]["argument"] = []
    with pytest.raises(validation.ValidationError):
        validation.validate(wrong, version, strict=True)


def test_the_probes_of_the_manifest_are_answered(small_run: Run, tmp_path: Path) -> None:
    found = documents()
    template = found["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert found["Service"]["spec"]["selector"] == template["metadata"]["labels"]
    assert template["spec"]["terminationGracePeriodSeconds"] > 10
    flags = ["--host", "0.0.0.0", *container["args"]]
    token = "sixteen characters"
    with service(small_run, log=tmp_path / "log", flags=flags, token=token) as running:
        probes = [container[name] for name in container if name.endswith("Probe")]
        assert len(probes) == 3
        for probe in probes:
            asked = probe["httpGet"]
            headers = {one["name"]: one["value"] for one in asked["httpHeaders"]}
            assert running.ask("GET", asked["path"], **headers).status == 200
        name = found["Service"]["metadata"]["name"]
        headers = {"host": name, "authorization": f"Bearer {token}"}
        assert running.ask("GET", "/v1/model", **headers).status == 200
        assert running.ask("GET", "/v1/model", host="10.0.0.7:8000").status == 403
