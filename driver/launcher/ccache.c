/* ccache in front of a link to this program: it would take the launcher for the compiler.
 *
 * ccache tells compilers apart by time and size of the file that it finds in PATH (compiler_check = mtime). If that is
 * a link to this program, a new compiler goes unnoticed, and ccache returns objects of the old one. So nothing that
 * ccache would keep is compiled for it. ccache begins with the preprocessor, and when that fails it becomes the command
 * that it was called with, so that the launcher compiles as it does without ccache (seen with ccache 4.7). Where it
 * begins with the compiler (depend_mode), the compile fails with our message. */
#define _GNU_SOURCE
#include "launcher.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_parent_ccache(void)
{
    char link[32], program[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)getppid());
    ssize_t length = readlink(link, program, sizeof program - 1);
    if (length < 0)
        return 0;
    program[length] = 0;
    return strncmp(base_name(program), "ccache", strlen("ccache")) == 0;
}

/* Whether the command only asks the compiler something, as `compiler_check = %compiler% -v` in ccache.conf does. */
static int is_question(char **arguments)
{
    return !arguments[1] || !arguments[2];
}

/* Ends the process where ccache would keep what the compiler, called through a link to this program, makes. */
void refuse_ccache(char **arguments)
{
    const char *check = getenv("CCACHE_COMPILERCHECK");
    if (is_question(arguments) || !is_parent_ccache() || (check && strstr(check, "%compiler%")))
        return;
    say("ccache takes %s for the compiler, and would not notice that the compiler changes; set CCACHE_PREFIX=distplusplus "
        "and CCACHE_PATH to your PATH without that directory", arguments[0]);
    exit(EXIT_TROUBLE);
}
