"""HTTP requests to public addresses only, whatever a name resolves to and however often that changes."""

from __future__ import annotations

import socket
import time
from typing import Any

from requests import PreparedRequest, Response
from requests.utils import select_proxy
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from labelflow.network.addresses import check_literal, resolve_public
from labelflow.network.timeouts import (
    DeadlineConnection,
    DeadlinePool,
    DeadlineTlsConnection,
    DeadlineTlsPool,
    TotalTimeoutAdapter,
)


class _PublicConnection(DeadlineConnection):
    """Connects to an address that was checked: a second look-up of the name could give another one."""

    def _new_conn(self) -> socket.socket:
        try:
            addresses = resolve_public(self._dns_host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        try:
            return self._connect_to_any(addresses)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"the connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error

    def _connect_to_any(self, addresses: list[str]) -> socket.socket:
        """Connect to the first address that accepts; all of them share the timeout."""
        seconds = self.timeout if isinstance(self.timeout, int | float) else None
        end = time.monotonic() + (seconds or 0.0)
        for left in range(len(addresses), 0, -1):
            timeout = None if seconds is None else max(0.001, end - time.monotonic()) / left
            try:
                return create_connection(
                    (addresses[-left], self.port), timeout, self.source_address, self.socket_options
                )
            except OSError:
                if left == 1:
                    raise
        raise OSError("the host has no address")


class _PublicTlsConnection(_PublicConnection, DeadlineTlsConnection):
    """The same with TLS: the server's name stays that of the URL."""


class _PublicPool(DeadlinePool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(DeadlineTlsPool):
    ConnectionCls = _PublicTlsConnection


class PublicAdapter(TotalTimeoutAdapter):
    """A TotalTimeoutAdapter that connects to public addresses only, also if it is given a redirect target.

    `send` raises AddressRefused. Through a proxy, only hosts that are IP addresses or `localhost` are checked.

    Example:
        PublicAdapter().send(requests.Request("GET", "http://169.254.169.254/").prepare())  # AddressRefused
    """

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        url = request.url or ""
        if select_proxy(url, options.get("proxies")):
            check_literal(url)
        return super().send(request, *args, **options)
