"""`fab TASK HOST...`: the tasks of provisioning/ (docs/provisioning.md)."""

from fabric.main import program

from provisioning import command_line
from provisioning.tasks import deploy, drain, logs, provision, remove, resume, status, sync_compilers, upgrade

__all__ = ["deploy", "drain", "logs", "provision", "remove", "resume", "status", "sync_compilers", "upgrade"]

command_line.install(program, [deploy, drain, logs, provision, remove, resume, status, sync_compilers, upgrade])
