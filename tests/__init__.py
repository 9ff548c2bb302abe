"""Tests of API Gateway; `tests/unit` mirrors the folders of the source."""
