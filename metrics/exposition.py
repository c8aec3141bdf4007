"""The page Prometheus reads: what is collected in the format the scraper asks for.

Invariant: the text format unless the scraper asks for OpenMetrics.
It knows what is collected and an Accept header, and no web framework.
"""

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


def render(registry: Collector, accept: str) -> tuple[bytes, str]:
    """The body and its Content-Type: OpenMetrics where the `Accept` header asks for it, else the text format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
