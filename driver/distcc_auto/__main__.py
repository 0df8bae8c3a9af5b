"""`python -m distcc_auto` is `distcc-auto`."""

from distcc_auto.cli import main

main()
