"""The remote workers that the agent uses."""
