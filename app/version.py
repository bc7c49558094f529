"""The version of the program."""

VERSION = "0.1.0"
"""That of pyproject.toml; a test compares them. Reading it from the metadata of the installed
package takes longer than importing most of our modules."""
