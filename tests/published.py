"""The published contract, read from the folder that MULTIPARTNER_CONTRACT names, and cut to the one operation."""

import copy
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

OPERATION_ID = "getSolutionAccessToken"

needs_contract = pytest.mark.skipif(
    not os.environ.get("MULTIPARTNER_CONTRACT"), reason="MULTIPARTNER_CONTRACT names no folder with the published contract"
)


@functools.cache
def published() -> dict[str, Any]:
    """Read once for all tests, and so for reading only."""
    folder = Path(os.environ["MULTIPARTNER_CONTRACT"])
    document = yaml.safe_load((folder / "multi-partner-solutions.yaml").read_text("utf-8"))
    return dict(document)


def operation_of(document: Mapping[str, Any], operation_id: str = OPERATION_ID) -> tuple[str, str, dict[str, Any]]:
    """(path, method, operation) of one operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and operation.get("operationId") == operation_id:
                return path, method, operation
    raise LookupError(operation_id)


def resolved(document: Mapping[str, Any], node: Any) -> Any:
    """A copy of a part of a document, without references."""
    if isinstance(node, list):
        return [resolved(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return resolved(document, found)
    return {name: resolved(document, value) for name, value in node.items()}


def subset(
    document: Mapping[str, Any], examples: Mapping[str, str | int], operation_id: str = OPERATION_ID, body: Any = None
) -> dict[str, Any]:
    """One operation alone, with `body` as the one example of its body.

    Its header parameters are removed, and `examples` (by parameter name) stand in place of its own: what has none there has
    none. Parameters of the path that are named nowhere are added.

    The header parameters are removed because a client sets both itself: the User-Agent of no real client matches the
    published pattern, and OpenAPI says that a parameter named Authorization is ignored.
    """
    path, method, operation = operation_of(document, operation_id)
    operation = copy.deepcopy(resolved(document, operation))
    operation["parameters"] = [parameter for parameter in operation["parameters"] if parameter["in"] != "header"]
    named = {parameter["name"] for parameter in operation["parameters"]}
    for name in re.findall(r"\{([^}]+)\}", path):
        if name not in named:
            operation["parameters"].append({"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
    for parameter in operation["parameters"]:
        for word in ("example", "examples"):
            parameter.pop(word, None)
        if parameter["name"] in examples:
            parameter["example"] = examples[parameter["name"]]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content.pop("examples", None)
        content["example"] = body
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "paths": {path: {method: operation}},
        "components": {"securitySchemes": document["components"]["securitySchemes"]},
    }
