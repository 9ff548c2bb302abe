"""Two languages, one meaning: HTTP requests into messages, messages into JSON."""
