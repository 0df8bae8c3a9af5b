"""SSH tunnels: an ssh:// host becomes a local TCP address."""
