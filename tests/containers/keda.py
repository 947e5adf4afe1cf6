"""KEDA 2's ``ScaledObject`` with Prometheus triggers, as far as these manifests use it.

KEDA's schema comes with its installation; this is written by hand from its documentation (keda.sh/docs).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 1}
NUMBER_IN_TEXT: Schema = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}  # values of metadata are strings

TRIGGER = record(
    {
        "type": {"const": "prometheus"},
        "metadata": record(
            {"serverAddress": {"type": "string", "pattern": "^https?://"}, "query": TEXT, "threshold": NUMBER_IN_TEXT},
            {"activationThreshold": NUMBER_IN_TEXT, "namespace": TEXT, "ignoreNullValues": {"enum": ["true", "false"]}},
        ),
    },
    {"metricType": {"enum": ["AverageValue", "Value"]}, "name": TEXT},
)
SCALED_OBJECT = record(
    {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": record({"name": TEXT}, {"labels": {"type": "object"}, "annotations": {"type": "object"}}),
        "spec": record(
            {"scaleTargetRef": record({"name": TEXT}), "triggers": {"type": "array", "items": TRIGGER, "minItems": 1}},
            {"minReplicaCount": COUNT, "maxReplicaCount": COUNT, "pollingInterval": COUNT, "cooldownPeriod": COUNT},
        ),
    }
)
