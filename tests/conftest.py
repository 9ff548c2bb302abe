"""Settings that hold for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Invented cases take as long as they take: a busy machine is no failing test. CI runs the same cases every time, so
# that a failure there is the change's; developers' machines look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
