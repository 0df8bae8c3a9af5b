"""A compile service with an open gRPC protocol: its protocol, its server and its agent."""
