"""Turns any kind of host into a local TCP address."""
