"""Typed fakes and generators that tests share."""
