"""A client of the service: `Model.predict` over HTTP.

It uses the standard library alone and keeps one connection for each thread.
"""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from math import inf
from os import PathLike
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import numpy as np

from tenfold.core.errors import DataError, FetchError, SettingsError
from tenfold.model.predictions import Prediction, Value

JSON, RAW, PICTURE = "application/json", "application/octet-stream", "image/png"
"""Media types of bodies. The service recognises the format of a picture from its bytes."""

LONGEST_WAIT = 30.0
"""The longest time in seconds that the client waits because a busy service asks it to."""


class Client:
    """A client of a service that `tenfold serve` runs, here or on another computer.

    Each thread has its own connection, which stays open for its next request. At the end of a
    `with` block the connection of the current thread is closed.

    Args:
      url: The address of the service, such as "http://127.0.0.1:8000".
      token: The token of the service, if it has one.
      model: The name of the run that is to answer; None means the first one.
      timeout: How many seconds to wait for the connection, and for each part of a response.
      retries: How often to repeat a request that is refused because the service is busy (503),
        each time after the wait that the service asks for.

    Example:
      >>> client = Client("http://127.0.0.1:8000")
      >>> client.predict_one("photo.png")                  # doctest: +SKIP
      Prediction('7', confidence=0.9981)
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        model: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
    ) -> None:
        self._address = urlsplit(url)
        if self._address.scheme not in ("http", "https") or not self._address.hostname:
            raise SettingsError(
                "E923", "This is not the address of a service", expected="http://HOST:PORT", url=url
            )
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._model = "model" if model is None else f"models/{quote(model, safe='')}"
        self._predict = "predict" if model is None else f"{self._model}/predict"
        self._timeout, self._retries = timeout, retries
        self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts about the model: its name, hash, learner, task, labels and input."""
        facts: dict[str, Any] = self._ask("GET", self._model)
        return facts

    def predict(self, inputs: Any) -> list[Prediction | Value]:
        """The answers to several inputs, in their order.

        Args:
          inputs: Paths of picture files, or their contents as bytes; an array of pictures
            (n, height, width) or of features (n, n_features); rows of a table as mappings or as a
            data frame.

        Raises:
          DataError: The service refuses the request, or cannot read one of the inputs.
          FetchError: The service cannot be reached, fails, or stays busy.
        """
        answers: list[dict[str, Any]] = []
        for kind, body in self._bodies(inputs):
            answers += self._ask("POST", self._predict, kind, body)["predictions"]
        return [self._answer(row, answer) for row, answer in enumerate(answers)]

    def predict_one(self, one: Any) -> Prediction | Value:
        """The answer to one input; see `predict`."""
        return self.predict(one[None] if isinstance(one, np.ndarray) else [one])[0]

    def _bodies(self, inputs: Any) -> list[tuple[str, bytes]]:
        """The requests for these inputs: the media type and the bytes of each body."""
        if (
            isinstance(inputs, Sequence)
            and inputs
            and isinstance(inputs[0], str | PathLike | bytes)
        ):
            read = (one if isinstance(one, bytes) else Path(one).read_bytes() for one in inputs)
            return [(PICTURE, content) for content in read]
        kind = self.facts["input"]["kind"]
        if kind == "image" and isinstance(inputs, np.ndarray) and inputs.dtype == np.uint8:
            return [(RAW, inputs.tobytes())]
        if hasattr(inputs, "to_json"):  # a data frame; its missing cells become null
            items = json.loads(inputs.to_json(orient="records", date_format="iso"))
        else:
            items = inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)
        name = {"image": "images", "table": "rows", "features": "features"}[kind]
        return [(JSON, json.dumps({name: items}).encode())]

    def _answer(self, row: int, answer: dict[str, Any]) -> Prediction | Value:
        if "error" in answer:
            raise DataError(
                "E924",
                "The service cannot answer one of the inputs",
                where=f"row {row}",
                reason=answer["error"],
            )
        if "value" in answer:
            low, high = answer["low"], answer["high"]
            return Value(
                answer["value"], -inf if low is None else low, inf if high is None else high
            )
        classes = tuple(self.facts["labels"])
        in_set = answer.get("prediction_set")
        return Prediction(
            label=answer["label"],
            confidence=answer["confidence"],
            probabilities=np.array([answer["probabilities"][name] for name in classes], np.float32),
            classes=classes,
            unsure=answer["unsure"],
            reason=answer["reason"],
            in_set=None if in_set is None else np.isin(classes, in_set),
        )

    def _ask(self, method: str, path: str, kind: str = "", body: bytes | None = None) -> Any:
        for left in reversed(range(self._retries + 1)):
            status, wait, content = self._exchange(method, path, kind, body)
            if status != 503 or not left:
                break
            time.sleep(min(wait, LONGEST_WAIT))
        if status == 200:
            return json.loads(content)
        reason = content[:1000].decode(errors="replace")
        if status in (413, 415, 422):
            raise DataError("E925", "The service refused the inputs", status=status, reason=reason)
        raise FetchError(
            "E926", "The service did not answer", where=path, status=status, reason=reason
        )

    def _exchange(
        self, method: str, path: str, kind: str, body: bytes | None
    ) -> tuple[int, float, bytes]:
        """Send a request and return status, seconds to wait, and body.

        If the service has closed the connection that was kept, a new one is opened.
        """
        headers = self._headers | ({"content-type": kind} if kind else {})
        target = f"{self._address.path.rstrip('/')}/v1/{path}"
        while True:
            kept = getattr(self._local, "connection", None)
            connection = kept or self._connect()
            try:
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if kept is not None and not isinstance(error, TimeoutError):
                    continue
                reason = str(error) or type(error).__name__
                raise FetchError(
                    "E927",
                    "The service cannot be reached",
                    where=self._address.netloc,
                    reason=reason,
                ) from error
            wait = answer.getheader("retry-after", "")
            return answer.status, float(wait) if wait.isdigit() else 1.0, content

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        host = self._address.hostname or ""
        connection = kind(host, self._address.port, timeout=self._timeout)
        self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close the connection of this thread; the next request opens a new one."""
        if (connection := getattr(self._local, "connection", None)) is not None:
            self._local.connection = None
            connection.close()
