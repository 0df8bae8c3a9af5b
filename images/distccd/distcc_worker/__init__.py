"""What runs in the distccd worker image: distccd, its statistics with the container's limits, sshd for tunnels."""
