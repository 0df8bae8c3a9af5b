/* What the command line asks for. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ccache before us before ccache is the deepest nesting that makes sense; a loop ends here. */
#define MAX_DEPTH 6
#define AGENTS 2

/* Our own options are options of the agent's program. */
static void run_own_command(char **words) __attribute__((noreturn));

static void run_own_command(char **words)
{
    char program[PATH_MAX];
    if (!find_agent(program)) {
        say("cannot find %s (is it installed beside %s?)", AGENT_PROGRAM, self_path());
        exit(EXIT_TROUBLE);
    }
    setenv("DISTPLUSPLUS_LAUNCHER", self_path(), 1);
    execv(program, words);
    say("cannot run %s: %s", program, strerror(errno));
    exit(EXIT_TROUBLE);
}

/* Counts launchers that run each other. Whether one runs this one; ends the process when there are too many. */
static int is_nested(void)
{
    const char *text = getenv(DEPTH_VARIABLE);
    int depth = text ? atoi(text) : 0;
    char next[16];
    if (depth >= MAX_DEPTH) {
        say("started by itself %d times over: the compiler that PATH leads to comes back here (PATH=%.600s)", depth,
            search_path());
        exit(EXIT_TROUBLE);
    }
    snprintf(next, sizeof next, "%d", depth + 1);
    setenv(DEPTH_VARIABLE, next, 1);
    return depth > 0;
}

/* Opens /dev/null for standard descriptors that are closed: a message must not go into a socket that took the number.
 * Returns which were closed, as bits. */
static int fill_standard_descriptors(void)
{
    int filled = 0;
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd > 2 || fd < 0) {
            if (fd > 2)
                close(fd);
            return filled;
        }
        filled |= 1 << fd;
    }
}

/* Compiles with standard descriptors closed as they were: a compiler fails when it has something to say and cannot. */
static void run_compiler_without(const struct command *command, int closed) __attribute__((noreturn));

static void run_compiler_without(const struct command *command, int closed)
{
    for (int fd = 0; fd <= 2; fd++)
        if (closed & 1 << fd)
            close(fd);
    run_compiler(command);
}

/* Asks the agent, and a new one if the first one ends before it answers. The outcome is FINISHED or COMPILE_LOCAL. */
static enum outcome compile(const struct command *command, int *status)
{
    for (int attempt = 0; attempt < AGENTS; attempt++) {
        int agent = connect_agent();
        if (agent < 0)
            return COMPILE_LOCAL;
        enum outcome outcome = converse(agent, command, status);
        if (outcome != NEW_AGENT)
            return outcome; /* the agent counts a local compile by the open socket */
        close(agent);
    }
    say("the agent ends before it answers (see agent.log in its directory); compiling locally");
    return COMPILE_LOCAL;
}

int main(int argc, char **argv)
{
    struct command command = {0};
    int status = EXIT_TROUBLE;
    int closed = fill_standard_descriptors();
    if (argc < 1 || find_self()) {
        say("cannot find out which program this is: %s", strerror(errno));
        return EXIT_TROUBLE;
    }
    if (strcmp(base_name(argv[0]), "distplusplus") == 0) {
        if (argc > 2 && strcmp(argv[1], "--explain") == 0) {
            command.flags |= FLAG_EXPLAIN;
            argv++;
        } else if (argc < 2 || argv[1][0] == '-') {
            run_own_command(argv);
        }
        argv++;
    }
    if (is_nested())
        command.flags |= FLAG_NESTED;
    find_compiler(argv, &command);
    if (closed)
        run_compiler_without(&command, closed);
    if (isatty(2))
        command.flags |= FLAG_TERMINAL;
    catch_signals();
    if (compile(&command, &status) == FINISHED)
        return status;
    if (command.flags & FLAG_EXPLAIN) {
        say("cannot tell: there is no agent");
        return EXIT_TROUBLE;
    }
    run_compiler(&command);
}
