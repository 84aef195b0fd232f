"""Submission over TLS to a server with latency."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.bench import BenchContext
from benchmarks.certificate import server_certificate
from benchmarks.comparison import Comparison, Target, ratio_of
from benchmarks.statistics import SeriesByName
from benchmarks.submission_cases import CLIENT, PRODUCT, SESSIONS, submission_contender

ROWS = 5_000
LATENCY = 20.0  # milliseconds
CLIENT_ONE_ROOT = "client, one root"
ABOUT = """\
A manifest of 5,000 rows over TLS, with 20 ms added to each response: 16 concurrent requests take at least 6.25 s. The
server's certificate is self-signed; clients trust it in addition to the root certificates of requests, as for a public
server. (a) opens a new connection for each request, and requests loads all root certificates each time. With this one
certificate only, the TLS handshake remains; on loopback it has no round-trip time."""


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all contenders against one stub."""
    with bench.api_stub(tls=True, latency=LATENCY) as server:
        names = (PRODUCT, CLIENT, SESSIONS)
        contenders = {name: submission_contender(bench, name, ROWS, server) for name in names}
        client = contenders[CLIENT]
        assert server.certificate
        one_root = {"REQUESTS_CA_BUNDLE": str(server_certificate(server.certificate))}
        contenders[CLIENT_ONE_ROOT] = replace(client, name=f"{client.name}, one root to read", environment=one_root)
        return bench.run_interleaved(contenders, server)


COMPARISON = Comparison(
    title="Submission over TLS",
    about=ABOUT,
    measure=measure,
    targets=(Target("rows/s, times those of (a): at least 3.5", ratio_of(PRODUCT, CLIENT), minimum=3.5),),
)
