"""Two languages, one meaning: HTTP paths, queries and JSON on one side, protobuf messages on the other.

Everything is compiled when a route table is built; nothing here performs I/O.
"""
