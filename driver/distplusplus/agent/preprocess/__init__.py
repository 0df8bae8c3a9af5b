"""From a command to the text that is sent."""
