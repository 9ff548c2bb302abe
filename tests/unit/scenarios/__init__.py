"""Tests of the scenarios' own parts: an oracle that is wrong proves nothing."""
