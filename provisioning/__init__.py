"""Fabric tasks that turn bare hosts into workers (docs/provisioning.md); fabfile.py re-exports them."""
