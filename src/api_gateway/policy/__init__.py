"""May a request pass: `admit` before the call, `settle` after it. No policy knows another."""
