"""The words everybody uses. Nothing here performs I/O or imports another part of the gateway."""
