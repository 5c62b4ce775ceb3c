"""Bytes and seconds by name."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

MB = 1000**2
GB = 1000**3
"""As plans are sold."""

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
