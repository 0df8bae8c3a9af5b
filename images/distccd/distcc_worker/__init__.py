"""What runs in the worker image: distccd, its statistics with the container's limits, sshd for tunnels."""
