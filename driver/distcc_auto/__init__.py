"""Drive a C or C++ build across every machine that runs a compile service."""
