"""Chaos: rounds of mixed jobs among kills, freezes and cuts, each drawn from a seed; and a checker of what is left."""
