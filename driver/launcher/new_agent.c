/* Becoming the agent, in a new process that keeps nothing of the build that happens to be the first. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

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

/* Raises soft limits, which a shell sets for one build. Where it set the hard ones, the agent serves only builds with
 * the same (view.c). */
static void lift_limits(void)
{
    static const int limited[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC};
    struct rlimit limit;
    for (size_t index = 0; index < sizeof limited / sizeof *limited; index++) {
        if (getrlimit(limited[index], &limit) == 0) {
            limit.rlim_cur = limit.rlim_max;
            setrlimit(limited[index], &limit);
        }
    }
}

/* Resets what the scheduler and the out-of-memory killer know of the process. What the user may not change stays, and is
 * part of the agent's name where it matters (view.c). */
static void become_ordinary(void)
{
    unsigned char processors[1024]; /* 8192, the most that Linux knows; it takes those that there are */
    const struct sched_param parameters = {0};
    memset(processors, 0xff, sizeof processors);
    syscall(SYS_sched_setaffinity, 0, sizeof processors, processors);
    sched_setscheduler(0, SCHED_OTHER, &parameters);
    setpriority(PRIO_PROCESS, 0, 0);
    int score = open("/proc/self/oom_score_adj", O_WRONLY);
    if (score >= 0) {
        write_all(score, "0", 1);
        close(score);
    }
    umask(077);
}

/* Ignored and blocked signals survive execve(): nohup(1) would keep the agent from ending. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whether the agent must not have this variable: it concerns this build alone, Python, or the locale, which changes what
 * Python and compilers write. */
static int is_dropped(const char *variable)
{
    static const char *const names[] = {"LD_PRELOAD=", "FAKEROOTKEY=", "MAKEFLAGS=", "MFLAGS=", "LANG=", "LANGUAGE=",
                                        DEPTH_VARIABLE "=", "LC_", "PYTHON"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (strncmp(variable, names[index], strlen(names[index])) == 0)
            return 1;
    return 0;
}

static void drop_variables(void)
{
    char **kept = environ;
    for (char **entry = environ; *entry; entry++)
        if (!is_dropped(*entry))
            *kept++ = *entry;
    *kept = NULL;
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
    become_ordinary();
    reset_signals();
    if (chdir("/") < 0)
        _exit(127);
    execl(program, program, "--listen-fd=3", (char *)NULL);
    say("cannot run %s: %s", program, strerror(errno)); /* into the log */
    _exit(127);
}
