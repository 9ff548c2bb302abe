"""The order in which files can be linked: imports first."""

from __future__ import annotations

from collections.abc import Mapping

from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto

from .files import SourceFile
from .values import SchemaError


def in_import_order(unique: Mapping[str, SourceFile]) -> list[FileDescriptorProto]:
    """Sort files so that imports come first, without recursion: import chains may be as long as there are files.

    Raises SchemaError for a file that is missing, and for a cycle. The imports are taken out of the descriptors.
    """
    ordered: list[FileDescriptorProto] = []
    state: dict[str, bool] = {}
    for root in unique:
        stack = [(root, False)]
        while stack:
            name, is_done = stack.pop()
            if is_done:
                state[name] = True
                # The registry resolves types by their full names alone, and walks the imports of every file again for
                # each importer: exponential for a diamond of imports. Without the list it is linear.
                file = unique[name].descriptor
                file.dependency, file.public_dependency, file.weak_dependency = [], [], []
                ordered.append(file)
                continue
            if name in state:
                if not state[name]:
                    raise SchemaError(f"file {name} imports itself, directly or through others")
                continue
            if name not in unique:
                raise SchemaError(f"imported file {name} is missing")
            state[name] = False
            stack.append((name, True))
            stack.extend(
                (dependency, False) for dependency in unique[name].descriptor.dependency if not state.get(dependency)
            )
    return ordered
