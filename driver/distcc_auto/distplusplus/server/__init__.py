"""`distplusplusd`, the compile server."""
