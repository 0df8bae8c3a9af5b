"""Where the compile service was before it became a package of its own; goes away with the next release."""
