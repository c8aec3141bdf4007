"""The page of the documents: OpenAPI and AsyncAPI as one page of plain HTML, which needs no script.

Invariant: everything on the page comes out of the two documents and the template, so it cannot say anything else than
they do; the same documents give the same page. It must not know sockets, nor how the page is served.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.server.docmarkup import anchor, escape, example, heading, inline, prose, table
from gateway.server.docschema import fields, kind, name_of, note

Document = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


def page(template: str, openapi: Document, asyncapi: Document) -> str:
    """The whole page. The template marks with `<!-- name -->` where each part goes."""
    parts = {
        "nav": _contents(openapi, asyncapi),
        "version": escape(openapi["info"]["version"]),
        "http": prose(openapi["info"]["description"]) + _security(openapi),
        "operations": "".join(_groups(openapi)),
        "socket": prose(asyncapi["info"]["description"]) + prose(asyncapi["channels"]["session"]["description"]),
        "messages": "".join(_messages(asyncapi)),
        "closes": _closes(asyncapi),
        "formats": _formats(openapi),
        "errors": _errors(openapi),
        "schemas": "".join(_schemas(openapi, asyncapi)),
    }
    for name, part in parts.items():
        template = template.replace(f"<!-- {name} -->", part)
    return template


def resolved(document: Document, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` refers to, in this document; what is none, as it is."""
    while "$ref" in value:
        found: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


def operations(openapi: Document) -> Iterator[tuple[str, str, Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Every operation: its path, method, itself, and its parameters with those of its path."""
    for path, item in openapi["paths"].items():
        for method in METHODS:
            if method in item:
                given = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                yield path, method, item[method], [resolved(openapi, one) for one in given]


def codes(response: Mapping[str, Any]) -> list[str]:
    """The error codes that may come with an answer."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    for part in schema.get("allOf", ()):
        inner = part.get("properties", {}).get("error", {}).get("properties", {}).get("code", {})
        if "enum" in inner:
            return list(inner["enum"])
    return []


# -- HTTP --------------------------------------------------------------------------------------------------------------


def _groups(openapi: Document) -> Iterator[str]:
    for tag in openapi["tags"]:
        yield '<section class="group">' + heading(3, anchor("tag", tag["name"]), escape(tag["name"]))
        yield prose(tag["description"])
        for path, method, operation, parameters in operations(openapi):
            if tag["name"] in operation["tags"]:
                yield _operation(openapi, path, method, operation, parameters)
        yield "</section>"


def _operation(
    openapi: Document, path: str, method: str, operation: Mapping[str, Any], parameters: list[Mapping[str, Any]]
) -> str:
    name = anchor("op", operation["operationId"])
    title = f'<span class="method {method}">{method.upper()}</span> <code>{_breakable(path)}</code>'
    rows = [
        [
            f"<code>{escape(one['name'])}</code> <small>{escape(one['in'])}</small>",
            kind(one["schema"]),
            note(one["schema"], one["description"]),
        ]
        for one in parameters
    ]
    answers = [_answer(status, resolved(openapi, one)) for status, one in operation["responses"].items()]
    return (
        f'<article aria-labelledby="{name}">{heading(4, name, title)}'
        f'<p class="summary">{inline(operation["summary"])} {_keys(openapi, operation)}</p>'
        + prose(operation.get("description"))
        + table(f"Parameters of {operation['operationId']}", ("Parameter", "Type", "Meaning"), rows)
        + _body(openapi, operation)
        + table(f"Answers of {operation['operationId']}", ("Status", "Answer", "Codes"), answers)
        + _answered(openapi, operation)
        + "</article>"
    )


def _breakable(path: str) -> str:
    return escape(path).replace("/", "/<wbr>")


def _keys(openapi: Document, operation: Mapping[str, Any]) -> str:
    asked = operation.get("security", openapi["security"])
    names = [next(iter(one), "nobody") for one in asked]
    return f'<small class="security">{escape(" or ".join(names) if names else "no credential")}</small>'


def _body(openapi: Document, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    parts = []
    for media_type, content in body["content"].items():
        must = "" if body.get("required") else ", which may be left out"
        parts.append(f"<h5>Body</h5><p>{kind(content['schema'])} as <code>{escape(media_type)}</code>{must}.</p>")
        for one in content.get("examples", {}).values():
            value = resolved(openapi, one)
            parts.append(f'<p class="caption">{inline(value["summary"])}</p>')
            parts.append(example(value["value"], f"Example body of {operation['operationId']}"))
    return "".join(parts)


def _answer(status: str, response: Mapping[str, Any]) -> list[str]:
    said = inline(" ".join(response["description"].split()))
    named = [
        kind(content["schema"])
        for content in response.get("content", {}).values()
        if "$ref" in content.get("schema", {})
    ]
    if named:
        said += f" {', '.join(named)}."
    headers = ", ".join([f"<code>{escape(name)}</code>" for name in response.get("headers", {})])
    if headers:
        said += f' <small class="headers">With {headers}.</small>'
    found = " ".join([f'<a href="#{anchor("error", one)}"><code>{escape(one)}</code></a>' for one in codes(response)])
    return [f"<code>{escape(status)}</code>", said, found]


def _answered(openapi: Document, operation: Mapping[str, Any]) -> str:
    """The first example of what is answered when all is well."""
    for status, one in operation["responses"].items():
        for content in resolved(openapi, one).get("content", {}).values() if status.startswith("2") else ():
            for value in content.get("examples", {}).values():
                label = f"Example answer of {operation['operationId']}"
                shown = example(resolved(openapi, value)["value"], label)
                return f"<details><summary>Example answer</summary>{shown}</details>"
    return ""


def _security(openapi: Document) -> str:
    schemes = openapi["components"]["securitySchemes"]
    shown = {"key": "Authorization: Bearer KEY", "ticket": "?ticket=TICKET"}
    rows = [
        [
            f"<strong>{escape(name)}</strong>",
            f"<code>{escape(shown[name])}</code>",
            inline(" ".join(one["description"].split())),
        ]
        for name, one in schemes.items()
    ]
    return table("Credentials", ("Credential", "How", "For"), rows)


# -- WebSocket ---------------------------------------------------------------------------------------------------------


def _messages(asyncapi: Document) -> Iterator[str]:
    for key, title in (("say", "Client to gateway"), ("hear", "Gateway to client")):
        yield '<section class="group">' + heading(3, anchor("ws", key), title)
        for one in asyncapi["operations"][key]["messages"]:
            yield _message(asyncapi, name_of(one["$ref"]), resolved(asyncapi, one))
        yield "</section>"


def _message(asyncapi: Document, key: str, message: Mapping[str, Any]) -> str:
    name = anchor("message", key)
    parts = [
        f'<article aria-labelledby="{name}">{heading(4, name, f"<code>{escape(key)}</code>")}',
        f'<p class="summary">{inline(message["title"])}</p>',
        prose(message["summary"]),
        prose(message.get("description")),
    ]
    if "x-header" in message:
        rows = [
            [
                f"<code>{one['at']}</code>",
                escape(one["type"]),
                f"<code>{escape(one['field'])}</code>",
                inline(one["meaning"]),
            ]
            for one in message["x-header"]
        ]
        parts.append(table("The header of a frame", ("At", "Type", "Field", "Meaning"), rows))
    payload = {**message["payload"], "properties": dict(message["payload"].get("properties", {}))}
    payload["properties"].pop("type", None)
    parts.append(fields(payload, f"Fields of {key}"))
    parts += [example(one["payload"], f"Example of {key}") for one in message.get("examples", ())]
    return "".join(parts) + "</article>"


def _closes(asyncapi: Document) -> str:
    rows = [
        [f"<code>{one['code']}</code>", inline(one["meaning"]), escape(one["client"]), _slugs(one["slugs"])]
        for one in asyncapi["channels"]["session"]["x-close-codes"]
    ]
    return table("Close codes", ("Code", "Meaning", "A client does", "Error codes"), rows)


def _slugs(slugs: list[str]) -> str:
    return " ".join([f'<a href="#{anchor("error", slug)}"><code>{escape(slug)}</code></a>' for slug in slugs])


# -- tables ------------------------------------------------------------------------------------------------------------


def _formats(openapi: Document) -> str:
    rows = []
    for one in openapi["components"]["schemas"]["Format"]["oneOf"]:
        if "x-codec" in one:
            rates = one["x-sample-rates"]
            said = ", ".join(map(str, rates)) if isinstance(rates, list) else "8000 to 48000"
            rows.append(
                [
                    f"<code>.{escape(one['const'])}</code>",
                    escape(one["description"]),
                    f"<code>{escape(one['x-mime'])}</code>",
                    "yes" if one["x-init"] else "no",
                    said,
                    escape(one["x-bitrate"] or "none to choose"),
                ]
            )
    return table("Formats", ("File", "What", "MIME type", "Init frame", "Sample rates", "Bitrates"), rows)


def _errors(openapi: Document) -> str:
    rows = [
        [
            f'<code id="{anchor("error", one["const"])}">{escape(one["const"])}</code>',
            inline(one["description"]),
            f"<code>{one['x-status']}</code>",
            f"<code>{one['x-close']}</code>",
            "yes" if one["x-retryable"] else "no",
        ]
        for one in openapi["components"]["schemas"]["ErrorCode"]["oneOf"]
    ]
    return table("Error codes", ("Code", "Meaning", "HTTP", "Close", "Retry"), rows)


def _schemas(openapi: Document, asyncapi: Document) -> Iterator[str]:
    every = {**asyncapi["components"]["schemas"], **openapi["components"]["schemas"]}
    for name, schema in sorted(every.items()):
        key = anchor("schema", name)
        yield f'<article aria-labelledby="{key}">{heading(3, key, f"<code>{escape(name)}</code>")}'
        yield prose(schema.get("description"))
        if "properties" in schema:
            yield fields(schema, f"Fields of {name}")
        elif name not in ("ErrorCode", "Format"):
            yield f"<p>{kind(schema)}</p>"
        else:
            yield f'<p><a href="#{"errors" if name == "ErrorCode" else "formats"}">All of them</a></p>'
        yield "</article>"


def _contents(openapi: Document, asyncapi: Document) -> str:
    parts = ['<li><a href="#http">HTTP</a><ul>']
    for tag in openapi["tags"]:
        parts.append(f'<li><a href="#{anchor("tag", tag["name"])}">{escape(tag["name"])}</a><ul>')
        for path, method, operation, _ in operations(openapi):
            if tag["name"] in operation["tags"] and method != "head":
                name = anchor("op", operation["operationId"])
                short = re.sub(r"^/v1(/streams/\{id\}(?=/))?", "", path)
                parts.append(f'<li><a href="#{name}"><small>{method.upper()}</small> {_breakable(short)}</a></li>')
        parts.append("</ul></li>")
    parts.append('</ul></li><li><a href="#socket">WebSocket</a><ul>')
    for key in ("say", "hear"):
        for one in asyncapi["operations"][key]["messages"]:
            name = name_of(one["$ref"])
            parts.append(f'<li><a href="#{anchor("message", name)}">{escape(name)}</a></li>')
    parts.append('<li><a href="#closes">Close codes</a></li></ul></li>')
    parts.append('<li><a href="#formats">Formats</a></li><li><a href="#errors">Error codes</a></li>')
    parts.append('<li><a href="#schemas">Schemas</a></li>')
    return f"<ul>{''.join(parts)}</ul>"
