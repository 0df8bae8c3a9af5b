"""What driver, compile service and images share, below all of them."""

__version__ = "0.1.0"
