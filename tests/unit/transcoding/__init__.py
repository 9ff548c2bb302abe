"""Tests of `transcoding/`."""
