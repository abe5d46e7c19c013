"""SQL, Python and shell text as HTML, its keywords, strings and comments marked."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_SQL_WORDS = (
    "and|as|asc|asof|between|by|case|cast|cross|current_timestamp|date|day|desc|"
    "distinct|else|end|except|exists|extract|false|filter|following|for|from|full|"
    "group|having|hour|in|inner|intersect|interval|is|join|lateral|left|like|limit|"
    "materialized|month|not|null|on|or|order|outer|over|partition|preceding|qualify|"
    "range|right|row|rows|select|then|true|unbounded|union|unnest|using|values|when|"
    "where|window|with|year"
)
_PYTHON_WORDS = "import|from|as|print|for|in|if|else|def|return|None|True|False"
_PATTERNS = {
    "sql": re.compile(
        r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<string>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\")"
        r"|(?P<template>\{\{.*?\}\}|\{%.*?%\})|(?P<number>\b\d+(?:\.\d+)?\b)"
        rf"|(?P<word>\b(?:{_SQL_WORDS})\b)",
        re.IGNORECASE | re.DOTALL,
    ),
    "python": re.compile(
        r"(?P<comment>#[^\n]*)|(?P<string>\"\"\".*?\"\"\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
        rf"|(?P<word>\b(?:{_PYTHON_WORDS})\b)",
        re.DOTALL,
    ),
    "shell": re.compile(r"(?P<string>'[^']*'|\"[^\"]*\")|(?P<word>(?<![\w-])--?[a-zA-Z][\w-]*)"),
}
#: What is marked; names and templates keep their own look.
_CLASSES = {"comment": "c", "string": "s", "number": "n", "word": "k", "template": "t"}


def highlight(text: str, language: str) -> Markup:
    """The text as HTML, escaped.

    >>> highlight("select 1 < 'a'", "sql")
    Markup('<span class="k">select</span> <span class="n">1</span> &lt; <span class="s">&#39;a&#39;</span>')
    """
    pattern = _PATTERNS.get(language)
    if pattern is None:
        return escape(text)
    parts: list[Markup] = []
    end = 0
    for match in pattern.finditer(text):
        parts.append(escape(text[end : match.start()]))
        found = escape(match[0])
        mark = _CLASSES.get(match.lastgroup or "")
        parts.append(Markup('<span class="{}">{}</span>').format(mark, found) if mark else found)
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])
