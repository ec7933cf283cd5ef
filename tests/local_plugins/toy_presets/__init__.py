"""Presets of the toy plugin."""
