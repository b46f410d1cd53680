"""Who may ask: under which names, from which pages, with which token."""

import hmac
from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tenfold.serve.messages import HTTPError, Request

HEALTH = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Asked by supervisors: no token, and never refused for lack of room."""

SINGLE = frozenset(
    {b"host", b"origin", b"authorization", b"content-type", b"content-length", b"content-encoding"}
)
"""Headers that decide something: two of them would mean two things."""


@dataclass(frozen=True)
class AccessPolicy:
    """Who may ask: by what names, lower case and without port, and with which token, if any."""

    hosts: Collection[str]
    token: str | None = None

    def check(self, request: Request) -> None:
        """Refuse whoever may not ask: 401 without the token, 403 for a foreign name or page."""
        headers = request.headers
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if without_port(host) not in self.hosts:
            raise HTTPError(
                "E940",
                "The host name is not allowed",
                403,
                expected="a name of this service: --allow-host adds one",
            )
        if not _is_own_page(request.method, host, headers):
            raise HTTPError(
                "E941",
                "Requests from other origins are not allowed",
                403,
                expected="a page of this service",
            )
        if self.token is not None and request.path not in HEALTH:
            shown = _shown_token(headers.get(b"authorization", b""))
            if not hmac.compare_digest(shown, self.token.encode()):
                raise HTTPError(
                    "E942",
                    "The token is missing or wrong",
                    401,
                    expected="the service's token: Authorization: Bearer TOKEN",
                    headers=((b"www-authenticate", b'Basic realm="tenfold", charset="UTF-8"'),),
                )


def headers_by_name(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers of a request; one that decides something and stands there twice is refused."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in headers and name in SINGLE:
            raise HTTPError("E943", "A header was sent twice", 400, header=name.decode("ascii"))
        headers[name] = value
    return headers


def without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and not host.endswith("]"):
        return name
    return host


def _is_own_page(method: str, host: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether no page has sent a request, or one of this service; links may stand anywhere."""
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if b"origin" in headers and origin not in (f"http://{host}", f"https://{host}"):
        return False
    is_link = method == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
    return is_link or headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")


def _shown_token(authorization: bytes) -> bytes:
    """The token of Bearer, or the password of Basic, which browsers ask for by themselves."""
    scheme, _, shown = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return shown
    if scheme.lower() == b"basic":
        try:
            return b64decode(shown, validate=True).partition(b":")[2]
        except ValueError:
            pass
    return b""
