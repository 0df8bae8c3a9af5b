"""`distcc-auto demo`: a real program, built over workers on this machine."""
