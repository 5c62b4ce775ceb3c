"""The checker of chaos rounds, on pictures made by hand."""
