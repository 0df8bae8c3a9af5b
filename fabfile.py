"""`fab TASK HOST...`: the tasks of provisioning/ (docs/provisioning.md)."""

from fabric.main import program

from provisioning import fab_arguments
from provisioning.tasks import deploy, drain, logs, provision, remove, resume, status, sync_compilers, upgrade

__all__ = ["deploy", "drain", "logs", "provision", "remove", "resume", "status", "sync_compilers", "upgrade"]

fab_arguments.install(program, [deploy, drain, logs, provision, remove, resume, status, sync_compilers, upgrade])
