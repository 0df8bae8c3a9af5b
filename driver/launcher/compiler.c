/* Finding the real compiler, and becoming it. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static struct stat self;
static char self_name[PATH_MAX];

/* Finds out which program this is; without /proc, by the name that the kernel was told. 0, or -1 with errno. */
int find_self(void)
{
    const char *name = "/proc/self/exe";
    if (readlink(name, self_name, sizeof self_name - 1) < 0) {
        name = (const char *)getauxval(AT_EXECFN);
        if (!name || !realpath(name, self_name))
            return -1;
    }
    return stat(name, &self);
}

const char *self_path(void)
{
    return self_name;
}

static int is_self(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_dev == self.st_dev && status.st_ino == self.st_ino;
}

int is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Joins one entry of PATH, `length` bytes of `directory`, and a name. An empty entry is the current directory.
 * False if it is longer than PATH_MAX. */
int join_path(char *into, const char *directory, size_t length, const char *name)
{
    int written = length ? snprintf(into, PATH_MAX, "%.*s/%s", (int)length, directory, name)
                         : snprintf(into, PATH_MAX, "./%s", name);
    return written > 0 && written < PATH_MAX;
}

const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : DEFAULT_PATH;
}

/* The entry of PATH after this one, NULL after the last. */
static const char *next_entry(const char *entry, size_t length)
{
    return entry[length] ? entry + length + 1 : NULL;
}

/* Puts the path of the first program called `name` in PATH that is not this one into `into`, PATH_MAX bytes. False if
 * there is none. */
int find_in_path(const char *name, char *into)
{
    size_t length;
    for (const char *entry = search_path(); entry; entry = next_entry(entry, length)) {
        length = strcspn(entry, ":");
        if (join_path(into, entry, length, name) && is_program(into) && !is_self(into))
            return 1;
    }
    return 0;
}

/* Removes the directories in which `name` is this program from PATH: what we run must not find us again. */
static void trim_path(const char *name)
{
    const char *path = search_path();
    char *kept = calloc(strlen(path) + 2, 1), *end = kept;
    char candidate[PATH_MAX];
    int trimmed = 0, first = 1;
    size_t length;
    if (!kept)
        return;
    for (const char *entry = path; entry; entry = next_entry(entry, length)) {
        length = strcspn(entry, ":");
        if (join_path(candidate, entry, length, name) && is_self(candidate)) {
            trimmed = 1;
            continue;
        }
        if (!first)
            *end++ = ':';
        end = mempcpy(end, entry, length);
        first = 0;
    }
    if (trimmed)
        setenv("PATH", *kept ? kept : DEFAULT_PATH, 1);
    free(kept);
}

/* Finds out which compiler `words` call; the first of them may be this program. Ends the process if there is none. */
void find_compiler(char **words, struct command *command)
{
    static char found[PATH_MAX];
    while (words[1] && strcmp(base_name(words[0]), "distplusplus") == 0)
        words++; /* distplusplus distplusplus g++ */
    const char *name = base_name(words[0]);
    int has_path = strchr(words[0], '/') != NULL;
    if (has_path && !is_self(words[0])) {
        command->compiler = words[0];
    } else if (strcmp(name, "distplusplus") && find_in_path(name, found)) {
        refuse_ccache(words);
        command->compiler = found;
    } else {
        say("no compiler '%s' in PATH besides this program (install it, or add its directory to PATH)", name);
        exit(127);
    }
    trim_path(name);
    command->arguments = words;
    /* Otherwise argv[0] stays as it was called: compilers show it in messages, and look for it in PATH. */
    if (has_path)
        command->arguments[0] = (char *)command->compiler;
}

/* Becomes the compiler: the answer to every trouble. */
void run_compiler(const struct command *command)
{
    execv(command->compiler, command->arguments);
    int error = errno;
    say("cannot run %s: %s", command->compiler, strerror(error));
    exit(error == ENOENT ? 127 : 126);
}
