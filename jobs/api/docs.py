"""/api/docs/: the API's reference, made from its schema, with no script and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.views.decorators.http import require_safe

from jobs.api.schema import whole

_PAGE = Path(__file__).with_name("docs.html")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Every operation with its parameters, bodies and answers. Holds no data of anybody."""
    schema = whole()
    operations = [
        _operation(path, method, operation, schema)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    page = Engine().from_string(_PAGE.read_text())
    return HttpResponse(page.render(Context({"info": schema["info"], "operations": operations})))


def _operation(
    path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]
) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": operation.get("description", ""),
        "scope": operation.get("x-scope", ""),
        "parameters": operation.get("parameters", []),
        "body": _fields(body, schema),
        "body_type": next(iter(body), ""),
        "responses": [
            {
                "status": status,
                "type": ", ".join(response.get("content", {})),
                "description": response.get("description", ""),
                "fields": _fields(response.get("content", {}), schema),
            }
            for status, response in operation["responses"].items()
        ],
    }


def _fields(content: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a JSON body, one level deep, with what a list or page of it holds."""
    described = content.get("application/json", {}).get("schema", {})
    resolved = _resolve(described, schema)
    results = resolved.get("properties", {}).get("results", {}).get("items")
    if results:
        resolved = _resolve(results, schema)
    required = set(resolved.get("required", []))
    return [
        {
            "name": name,
            "type": _type(field),
            "required": name in required,
            "description": field.get("description", ""),
        }
        for name, field in resolved.get("properties", {}).items()
    ]


def _resolve(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = described.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["schemas"][name] if name else described
    return found


def _type(field: dict[str, Any]) -> str:
    kind = str(field.get("format") or field.get("type") or "choice")
    if kind == "array":
        return f"list of {_type(field['items'])}"
    return f"{kind} or null" if field.get("nullable") else kind
