"""The programs of the worker image: distccd, its statistics with the container's limits, and sshd for tunnels."""
