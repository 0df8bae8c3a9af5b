"""The distplusplus client: the per-user agent behind the launcher (driver/launcher), and its commands."""
