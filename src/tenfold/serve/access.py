"""Access to the service: allowed host names, allowed web pages, and the token."""

import hmac
from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tenfold.serve.messages import HTTPError, Request

HEALTH = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""Addresses for supervisors: they need no token and are never refused for lack of capacity."""

SINGLE = frozenset(
    {
        b"host",
        b"origin",
        b"authorization",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
    }
)
"""Headers on which a decision depends. If one is sent twice, its meaning is ambiguous."""


@dataclass(frozen=True)
class AccessPolicy:
    """Who may send requests: the host names (lower case, without a port) and the token, if any."""

    hosts: Collection[str]
    token: str | None = None

    def check(self, request: Request) -> None:
        """Refuse a request without the token (401), or for a foreign name or page (403)."""
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
    """The headers of a request by name; one of `SINGLE` that is sent twice is refused."""
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
    """Whether a request was sent by a page of this service or by no page at all.

    A link to the service may stand on any page.
    """
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if b"origin" in headers and origin not in (f"http://{host}", f"https://{host}"):
        return False
    is_link = method == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
    return is_link or headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")


def _shown_token(authorization: bytes) -> bytes:
    """The token of `Bearer`, or the password of `Basic`, for which browsers ask by themselves."""
    scheme, _, shown = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return shown
    if scheme.lower() == b"basic":
        try:
            return b64decode(shown, validate=True).partition(b":")[2]
        except ValueError:
            pass
    return b""
