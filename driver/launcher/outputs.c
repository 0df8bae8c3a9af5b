/* Writing the output files of a compile: each one whole, or not at all. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Other launchers may be writing the same output. */
#define LINK_ATTEMPTS 3

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int failing_signals[] = {SIGPIPE, SIGXFSZ};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The file that a signal would leave behind. It is set and read with the ending signals blocked. */
static char temporary[PATH_MAX];
static volatile sig_atomic_t has_temporary;

static void ignore(int number)
{
    (void)number;
}

static void clean_up(int number)
{
    if (has_temporary)
        unlink(temporary);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_unless_ignored(int number, void (*handler)(int))
{
    if (signal(number, handler) == SIG_IGN)
        signal(number, SIG_IGN);
}

/* A signal that ends this process takes the half-written file along. A failing write is noticed where it fails; the
 * compiler that may run afterwards gets these signals as we got them, since a handler does not survive execve(). */
void catch_signals(void)
{
    for (size_t index = 0; index < COUNT(ending_signals); index++)
        catch_unless_ignored(ending_signals[index], clean_up);
    for (size_t index = 0; index < COUNT(failing_signals); index++)
        catch_unless_ignored(failing_signals[index], ignore);
}

/* Copies the whole of a memfd. 0 or -1. */
int copy_memory(int memory, int to)
{
    char buffer[65536];
    ssize_t length;
    if (lseek(memory, 0, SEEK_SET) < 0)
        return -1;
    while ((length = read(memory, buffer, sizeof buffer)) > 0)
        if (write_all(to, buffer, (size_t)length))
            return -1;
    return length < 0 ? -1 : 0;
}

/* Whether a new file in its place is what the compiler would leave. Compilers differ in what becomes of links, of
 * modes, and of a file that was made empty beforehand. */
static int is_replaceable(const struct stat *status)
{
    mode_t mask = umask(0);
    umask(mask);
    return S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_size > 0 &&
           (status->st_mode & 07777) == (0666 & ~mask);
}

/* Gives an unnamed file its name. An older file there is removed first, as the assembler does: linkat() replaces none,
 * and a temporary name to rename from could be left over. 0 or -1. */
static int link_file(int file, const char *name)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    for (int attempt = 0; attempt < LINK_ATTEMPTS; attempt++) {
        if (linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST || unlink(name) < 0)
            return -1;
    }
    return -1;
}

/* Writes a file that gets its name when it is whole: a launcher that is killed leaves nothing. 0, or -1, for one where
 * the file system has no O_TMPFILE (NFS, FUSE) or there is no /proc. */
static int write_unnamed(const char *name, int memory)
{
    char directory[PATH_MAX];
    size_t length = (size_t)(base_name(name) - name);
    if (length >= sizeof directory)
        return -1;
    memcpy(directory, name, length);
    strcpy(directory + length, length ? "" : ".");
    int file = open(directory, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (file < 0)
        return -1;
    int failed = copy_memory(memory, file) || link_file(file, name);
    return failed | close(file);
}

/* Makes a temporary file beside `name`. The signal handler sees its name when both are there. A descriptor or -1. */
static int open_temporary(const char *name)
{
    sigset_t ending, before;
    sigemptyset(&ending);
    for (size_t index = 0; index < COUNT(ending_signals); index++)
        sigaddset(&ending, ending_signals[index]);
    sigprocmask(SIG_BLOCK, &ending, &before);
    int file = -1;
    if (snprintf(temporary, sizeof temporary, "%s.%d.tmp", name, (int)getpid()) < (int)sizeof temporary)
        file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    has_temporary = file >= 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return file;
}

/* The same where there are no unnamed files. Only SIGKILL leaves NAME.PID.tmp behind. 0 or -1. */
static int write_beside(const char *name, int memory)
{
    int file = open_temporary(name);
    if (file < 0)
        return -1;
    int failed = copy_memory(memory, file);
    failed |= close(file);
    if (!failed)
        failed = rename(temporary, name);
    if (failed)
        unlink(temporary);
    has_temporary = 0;
    return failed;
}

/* Writes one output from a memfd, whole or not at all. 0, or -1 if it cannot be written as the compiler would. */
int write_output(const char *name, int memory)
{
    struct stat status;
    if (lstat(name, &status) == 0 && !is_replaceable(&status))
        return -1;
    return write_unnamed(name, memory) == 0 ? 0 : write_beside(name, memory);
}
