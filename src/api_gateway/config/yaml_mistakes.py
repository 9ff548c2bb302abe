"""What libyaml says of a text that it cannot read, in words for people."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from api_gateway.config.problem import Place, Problem


def explain_yaml(error: yaml.MarkedYAMLError, lines: Sequence[str], source: str) -> Problem:
    """Return where the mistake is and what to do about it. `lines` are those of the text."""
    mark = error.problem_mark or error.context_mark
    if _is_unclosed(error):
        # libyaml tells where it gave up, which is the end of the text.
        mark = error.context_mark
    line = min(mark.line, len(lines) - 1) if mark else 0
    column = mark.column if mark and mark.line == line else len(lines[line])
    message, suggestion = _words_for(error, lines[line][column : column + 1])
    return Problem(message=message, place=Place(source, line + 1, column + 1), suggestion=suggestion)


def _is_unclosed(error: yaml.MarkedYAMLError) -> bool:
    return "quoted scalar" in (error.context or "") and "end of stream" in (error.problem or "")


def _words_for(error: yaml.MarkedYAMLError, character: str) -> tuple[str, str]:
    problem, context = error.problem or "", error.context or ""
    begun_line = error.context_mark.line + 1 if error.context_mark else 0
    if _is_unclosed(error):
        return "the quote that begins here never ends", "add the closing quote"
    if "cannot start any token" in problem:
        if character == "\t":
            return "a tab cannot indent in YAML", "use spaces"
        return f'a value cannot start with "{character}"', "put the value in quotes"
    if "mapping values are not allowed" in problem:
        return (
            "a second colon in one line, or wrong indentation",
            "put a text that holds a colon and a space in quotes",
        )
    if "duplicate anchor" in context:
        return "this anchor is defined twice", "give it another name"
    if "single document" in context:
        return "a second document starts here", 'one file is one document: remove the "---"'
    if "undefined alias" in problem:
        return "this alias has no anchor", "define it earlier in the file, with &name"
    if "could not find expected ':'" in problem:
        return "a colon is missing behind a key", f'lines from {begun_line} on must look like "key: value"'
    if "flow" in context:
        return f"the bracket that begins in line {begun_line} does not end before this", "close it, or add a comma"
    if "block" in context and "did not find expected" in problem:
        return (
            "wrong indentation: this belongs neither to the section above nor to those around it",
            f"begin it in the same column as the other lines of the section that begins in line {begun_line}",
        )
    if "<document start>" in problem:
        return "this is not YAML", 'write settings as "key: value", sections as "name:" with indented lines below'
    return f"not valid YAML: {problem}{f' ({context}, begun in line {begun_line})' if begun_line else ''}", ""
