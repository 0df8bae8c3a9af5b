"""`fab TASK HOST...`: the tasks of provisioning/ (docs/provisioning.md)."""

from fabric.main import program

from provisioning import command_line
from provisioning.tasks import provision

__all__ = ["provision"]

command_line.install(program, [provision])
