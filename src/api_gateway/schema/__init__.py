"""Services, methods and HTTP rules as plain frozen values, read from descriptors.

What others need is named here; the modules inside are this folder's own business.
"""

from __future__ import annotations

from .build import build_schema
from .fields import Field, FieldKind, fields_of, find_field, resolve_field_path
from .files import MAX_FILES, MAX_SCHEMA_BYTES, missing_imports
from .http_rules import MAX_ADDITIONAL_BINDINGS
from .spelling import json_name
from .values import HIDDEN_SERVICES, HttpRule, Method, Schema, SchemaError, Service

__all__ = [
    "HIDDEN_SERVICES",
    "MAX_ADDITIONAL_BINDINGS",
    "MAX_FILES",
    "MAX_SCHEMA_BYTES",
    "Field",
    "FieldKind",
    "HttpRule",
    "Method",
    "Schema",
    "SchemaError",
    "Service",
    "build_schema",
    "fields_of",
    "find_field",
    "json_name",
    "missing_imports",
    "resolve_field_path",
]
