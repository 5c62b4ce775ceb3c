"""Which version this is: what agents say of themselves, and what the control plane compares that with."""

VERSION = "0.1.0"
"""pyproject.toml's, too: a test holds the two together."""
