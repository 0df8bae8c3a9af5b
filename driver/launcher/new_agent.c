/* Becoming the agent, in a new process that keeps nothing of the build which happens to be the first. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTENER 3

/* glibc has close_range() since 2.34 and Linux since 5.9. The number is the same on all architectures but Alpha. */
#ifndef CLOSE_RANGE_NUMBER
#define CLOSE_RANGE_NUMBER 436
#endif

/* Puts the path of the agent's program into `into`, PATH_MAX bytes: beside this program, else in PATH. False if it is
 * not found. */
int find_agent(char *into)
{
    const char *chosen = getenv("DISTPLUSPLUS_AGENT");
    if (chosen && *chosen)
        return snprintf(into, PATH_MAX, "%s", chosen) < PATH_MAX && is_program(into);
    size_t directory = (size_t)(base_name(self_path()) - self_path());
    if (directory && join_path(into, self_path(), directory - 1, AGENT_PROGRAM) && is_program(into))
        return 1;
    return find_in_path(AGENT_PROGRAM, into);
}

/* Closes every descriptor from `first` on. */
static void close_from(int first)
{
    if (syscall(CLOSE_RANGE_NUMBER, first, ~0U, 0) == 0)
        return;
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (limit < 0 ? 1024 : limit); fd++)
        close(fd);
}

/* The agent outlives the shell whose `ulimit` was meant for one build. */
static void lift_limits(void)
{
    static const int limited[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE};
    struct rlimit limit;
    for (size_t index = 0; index < sizeof limited / sizeof *limited; index++) {
        if (getrlimit(limited[index], &limit) == 0) {
            limit.rlim_cur = limit.rlim_max;
            setrlimit(limited[index], &limit);
        }
    }
}

static void drop_variables(void)
{
    static const char *const dropped[] = {"LD_PRELOAD",   "FAKEROOTKEY", "PYTHONHOME", "PYTHONPATH",
                                          DEPTH_VARIABLE, "MAKEFLAGS",   "MFLAGS"};
    for (size_t index = 0; index < sizeof dropped / sizeof *dropped; index++)
        unsetenv(dropped[index]);
}

/* Becomes the agent, with `listener` as descriptor 3. It keeps no pipe, terminal or directory of the build. */
void become_agent(int listener, const char *program, const char *directory)
{
    char log[PATH_MAX];
    snprintf(log, sizeof log, "%s/agent.log", directory);
    dup2(listener, LISTENER);
    fcntl(LISTENER, F_SETFD, 0); /* where it was descriptor 3 already, dup2() has not cleared close-on-exec */
    int null = open("/dev/null", O_RDONLY);
    int messages = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    dup2(null, 0);
    dup2(messages < 0 ? null : messages, 1);
    dup2(messages < 0 ? null : messages, 2);
    close_from(LISTENER + 1);
    drop_variables();
    lift_limits();
    if (chdir("/") < 0)
        _exit(127);
    execl(program, program, "--listen-fd=3", (char *)NULL);
    say("cannot run %s: %s", program, strerror(errno)); /* into the log */
    _exit(127);
}
