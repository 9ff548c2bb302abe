"""Run the gateway's own program under cProfile: `python -m bench.profiled STEM run --config FILE`.

Every process of it that ends by itself, forked ones too, writes `STEM.<pid>`.
"""

from __future__ import annotations

import cProfile
import os
import runpy
import sys


def main() -> None:
    """Run `python -m api_gateway` with the arguments after the stem."""
    stem = sys.argv[1]
    sys.argv = ["api_gateway", *sys.argv[2:]]
    profile = cProfile.Profile()
    # A forked worker starts its own count.
    os.register_at_fork(after_in_child=profile.clear)
    profile.enable()
    try:
        runpy.run_module("api_gateway", run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(f"{stem}.{os.getpid()}")


if __name__ == "__main__":
    main()
