"""Turns any kind of host into an address that a distcc client can use, or into a refusal."""
