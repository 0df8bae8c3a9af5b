"""The agent: the process behind the launcher (driver/launcher), and its commands."""
