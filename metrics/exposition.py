"""The page Prometheus reads: the registry in the format the scraper asks for.

Invariant: the text format unless the scraper asks for OpenMetrics.
It knows a registry and an Accept header, and no web framework.
"""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The body and its Content-Type: OpenMetrics where the `Accept` header asks for it, else the text format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
