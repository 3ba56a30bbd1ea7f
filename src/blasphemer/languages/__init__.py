"""A text -> its language; a language -> its small words, and the ways in which it is asked.

Each language is a TOML file beside this one. To add one, add a file: en.toml says what belongs in it.
"""

from blasphemer.languages.known import ANY, Language, find_language, language, names_in

__all__ = ["ANY", "Language", "find_language", "language", "names_in"]
