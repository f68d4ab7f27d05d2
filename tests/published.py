"""The published contract, read from the folder that MULTIPARTNER_CONTRACT names, and cut to the one operation."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

OPERATION_ID = "getSolutionAccessToken"

needs_contract = pytest.mark.skipif(
    not os.environ.get("MULTIPARTNER_CONTRACT"), reason="MULTIPARTNER_CONTRACT names no folder with the published contract"
)


def published() -> dict[str, Any]:
    folder = Path(os.environ["MULTIPARTNER_CONTRACT"])
    document = yaml.safe_load((folder / "multi-partner-solutions.yaml").read_text("utf-8"))
    return dict(document)


def operation_of(document: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(path, operation) of the one operation."""
    for path, item in document["paths"].items():
        if isinstance(item.get("get"), dict) and item["get"].get("operationId") == OPERATION_ID:
            return path, item["get"]
    raise LookupError(OPERATION_ID)


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


def subset(document: Mapping[str, Any], examples: Mapping[str, str]) -> dict[str, Any]:
    """The operation alone, its header parameters removed, and `examples` (by parameter name) in place of its own.

    The header parameters are removed because a client sets both itself: the User-Agent of no real client matches the
    published pattern, and OpenAPI says that a parameter named Authorization is ignored.
    """
    path, operation = operation_of(document)
    operation = copy.deepcopy(resolved(document, operation))
    operation["parameters"] = [parameter for parameter in operation["parameters"] if parameter["in"] != "header"]
    for parameter in operation["parameters"]:
        parameter["example"] = examples[parameter["name"]]
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "paths": {path: {"get": operation}},
        "components": {"securitySchemes": document["components"]["securitySchemes"]},
    }
