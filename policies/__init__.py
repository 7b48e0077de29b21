"""Presets: policies to use by name, to extend, and to copy."""
