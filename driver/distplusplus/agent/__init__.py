"""The distplusplus client: the per-user agent behind the launcher (driver/launcher/launcher.c), and its commands."""
