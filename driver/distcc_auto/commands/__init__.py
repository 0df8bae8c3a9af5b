"""The sub-commands, one module each: `run(arguments, environ) -> exit status`."""
