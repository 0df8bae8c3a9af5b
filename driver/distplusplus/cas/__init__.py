"""Contents by digest."""
