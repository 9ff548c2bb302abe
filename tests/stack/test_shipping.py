"""Logs on their way to Loki and traces on theirs to Tempo: keys that are documented, parts that know each other.

The tables of keys name what the documents of Alloy 1.10, Loki 3.5 and Tempo 2.8 name, as far as we use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.stack.alloy import Block, parse
from tests.stack.dashboards import STACK
from tests.support.processes import ROOT

ALLOY_KEYS = {
    "discovery.docker": {"host"},
    "discovery.docker filter": {"name", "values"},
    "discovery.relabel": {"targets"},
    "discovery.relabel rule": {"source_labels", "target_label", "regex", "replacement", "action", "separator"},
    "loki.source.docker": {"host", "targets", "forward_to", "labels", "relabel_rules", "refresh_interval"},
    "loki.process": {"forward_to"},
    "loki.process stage.match": {"selector", "action", "pipeline_name", "drop_counter_reason"},
    "loki.process stage.match stage.json": {"expressions", "source", "drop_malformed"},
    "loki.process stage.match stage.labels": {"values"},
    "loki.process stage.match stage.structured_metadata": {"values"},
    "loki.write": {"external_labels"},
    "loki.write endpoint": {"url", "tenant_id", "batch_wait", "batch_size"},
}
EXPORTS = {
    "discovery.docker": "targets",
    "discovery.relabel": "output",
    "loki.process": "receiver",
    "loki.write": "receiver",
}
LOKI_KEYS = {
    "auth_enabled",
    "server.http_listen_port",
    "common.instance_addr",
    "common.path_prefix",
    "common.replication_factor",
    "common.ring.kvstore.store",
    "common.storage.filesystem.chunks_directory",
    "common.storage.filesystem.rules_directory",
    "schema_config.configs[].from",
    "schema_config.configs[].store",
    "schema_config.configs[].object_store",
    "schema_config.configs[].schema",
    "schema_config.configs[].index.prefix",
    "schema_config.configs[].index.period",
    "limits_config.retention_period",
    "limits_config.allow_structured_metadata",
    "compactor.working_directory",
    "compactor.retention_enabled",
    "compactor.delete_request_store",
    "analytics.reporting_enabled",
}
TEMPO_KEYS = {
    "server.http_listen_port",
    "distributor.receivers.otlp.protocols.grpc.endpoint",
    "compactor.compaction.block_retention",
    "storage.trace.backend",
    "storage.trace.wal.path",
    "storage.trace.local.path",
    "metrics_generator.storage.path",
    "metrics_generator.storage.remote_write[].url",
    "metrics_generator.storage.remote_write[].send_exemplars",
    "overrides.defaults.metrics_generator.processors[]",
    "usage_report.reporting_enabled",
}


def components() -> Block:
    return parse((STACK / "config.alloy").read_text())


def test_alloy_knows_every_block_and_attribute() -> None:
    for block in components().everything():
        if block.path:
            assert set(block.attributes) <= ALLOY_KEYS[block.path], block


def test_alloys_components_know_each_other() -> None:
    """Every reference leads to an export, and from the containers every line comes to Loki."""
    root = components()
    exports = {f"{b.path}.{b.label}.{EXPORTS[b.path]}" for b in root.blocks if b.path in EXPORTS}
    edges = {
        f"{block.path}.{block.label}": set(
            re.findall(r"[a-z]+\.[a-z.]+\.\w+\.\w+", " ".join(block.attributes.values()))
        )
        for block in root.blocks
    }
    assert set().union(*edges.values()) <= exports
    assert edges["loki.source.docker.stack"] == {"discovery.relabel.stack.output", "loki.process.gateway.receiver"}
    assert edges["loki.process.gateway"] == {"loki.write.stack.receiver"}


def test_fields_that_alloy_takes_are_fields_of_our_lines() -> None:
    page = (ROOT / "docs" / "logging.md").read_text()
    (stage,) = (block for block in components().everything() if block.path.endswith("stage.json"))
    paths = re.findall(r'= "([\w.]+)"', stage.attributes["expressions"])
    assert {"level", "target", "fields.trace_id"} <= set(paths)
    for path in paths:
        assert f"`{path.removeprefix('fields.')}`" in page, path


@pytest.mark.parametrize("text", ["a {", "a }", 'a "b" = 1 {\n}\n', "a {\n b\n}\n", "a ? b"])
def test_what_is_no_configuration_of_alloy_is_told(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(text)


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Iterate over the paths of everything a document says."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path


@pytest.mark.parametrize(("name", "known"), [("loki.yaml", LOKI_KEYS), ("tempo.yaml", TEMPO_KEYS)])
def test_keys_are_documented(name: str, known: set[str]) -> None:
    assert set(leaves(yaml.safe_load((STACK / name).read_text()))) == known
