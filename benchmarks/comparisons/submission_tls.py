"""Submission over TLS, to a server that takes its time."""

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
A manifest of 5,000 rows over TLS, with 20 ms added to each answer: 16 requests at once take 6.25 s at least. The
server's certificate is its own; clients are told to trust it beside the roots that requests brings, as they would trust
a public server. (a) makes a new connection for each request, and requests reads all those roots for each. Where it is
told of this one certificate only, what is left is the handshake; on loopback that takes no round trips."""


def measure(bench: BenchContext) -> SeriesByName:
    """All sides against one stub."""
    with bench.api_stub(tls=True, latency=LATENCY) as server:
        sides = {side: submission_contender(bench, side, ROWS, server) for side in (PRODUCT, CLIENT, SESSIONS)}
        client = sides[CLIENT]
        assert server.certificate
        alone = {"REQUESTS_CA_BUNDLE": str(server_certificate(server.certificate))}
        sides[CLIENT_ONE_ROOT] = replace(client, name=f"{client.name}, one root to read", environment=alone)
        return bench.run_interleaved(sides, server)


COMPARISON = Comparison(
    title="Submission over TLS",
    about=ABOUT,
    measure=measure,
    targets=(Target("rows/s, times those of (a): at least 3.5", ratio_of(PRODUCT, CLIENT), minimum=3.5),),
)
