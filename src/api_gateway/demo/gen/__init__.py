"""Modules written by protoc; `scripts/generate-demo-protos` writes them again."""
