"""The door bell: `python -m api_gateway` does what the command `api-gateway` does."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
