"""Cross-origin requests: which pages may ask the API at all, and which may read what it answers.

Invariant: a page reads an answer only if the tenant whose credentials it came with lists the page's origin; where
nobody was recognised, if some tenant does. The answer names that one origin and never `*`, and says that it depends on
it. There are no cookies here, so nothing is sent along by itself. It must not know what is answered.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import AccessError
from gateway.server.auth import Tenants
from gateway.server.reception import TENANT
from gateway.server.rest import refusal

API = "/v1/"
# What requests here carry beside what every page may send.
ASKED = (
    "Authorization, Content-Type, Icy-MetaData, Idempotency-Key, If-Range, Range, "
    # OpenAI's library for pages says these of itself.
    "X-Stainless-Arch, X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Retry-Count, "
    "X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Timeout"
)
EXPOSED = (
    "Accept-Ranges, Content-Length, Content-Range, ETag, Location, Retry-After, "
    "X-Request-Id, X-Wavegate-Model, X-Wavegate-Stream-Id, "
    "icy-br, icy-metaint, icy-name, icy-pub, icy-sr"
)
# Seconds for which a browser need not ask again; Chromium takes no more.
MAX_AGE = 7200


class Cors:
    """The outermost middleware of the public port; `granted` is for answers that it does not see."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    def granted(self, request: web.Request) -> dict[str, str]:
        """The headers that let the page which asks read the answer, if it may."""
        origin = request.headers.get("Origin")
        if not request.path.startswith(API):
            return {}
        if origin is None or not self._readable(request, origin):
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }

    def _readable(self, request: web.Request, origin: str) -> bool:
        tenant = request.get(TENANT)
        return self._tenants.welcomes(origin) if tenant is None else self._tenants.allows(tenant, origin)

    @property
    def middleware(self) -> Middleware:
        """Answers OPTIONS itself, and adds what is granted to every other answer."""

        @web.middleware
        async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = request.match_info.http_exception
            methods = (
                sorted({*refused.allowed_methods, "OPTIONS"}) if isinstance(refused, web.HTTPMethodNotAllowed) else []
            )
            if methods and request.method == "OPTIONS":
                response: web.StreamResponse = self._options(request, methods)
            else:
                response = await handler(request)
                if methods:
                    response.headers["Allow"] = ", ".join(methods)
            for name, value in self.granted(request).items():
                known = response.headers.get(name)
                response.headers[name] = value if known is None or known == value else f"{known}, {value}"
            return response

        return cors

    def _options(self, request: web.Request, methods: list[str]) -> web.Response:
        """What may be asked here: of anybody, or, before a page asks, of that page."""
        origin = request.headers.get("Origin")
        if origin is None or "Access-Control-Request-Method" not in request.headers:
            return web.Response(status=204, headers={"Allow": ", ".join(methods)})
        if not request.path.startswith(API) or not self._tenants.welcomes(origin):
            return refusal(AccessError("origin_forbidden", "Pages of this origin may not use this gateway."))
        said = {
            "Access-Control-Allow-Headers": ASKED,
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Max-Age": str(MAX_AGE),
        }
        return web.Response(status=204, headers=said)
