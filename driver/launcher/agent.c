/* Connecting to the user's agent, and starting it when none runs. */
#define _GNU_SOURCE
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* agent/runtime.py has the same suffixes. A socket has the second one until it listens. */
#define SOCKET_SUFFIX ".sock"
#define NEW_SUFFIX ".new"
#define BACKLOG 4096

static uid_t own_uid(void)
{
    return (uid_t)getauxval(AT_EUID); /* geteuid() lies under fakeroot */
}

/* Makes a directory if it is not there. Whether it is this user's alone. */
static int is_private(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return 0;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == own_uid() &&
           (status.st_mode & 077) == 0;
}

/* Finds the directory of the agent's socket, lock and log (agent/runtime.py has the same rule). */
static int runtime_directory(char *into, size_t size)
{
    const char *chosen = getenv("DISTPLUSPLUS_RUNTIME_DIR");
    if (chosen && *chosen) {
        snprintf(into, size, "%s", chosen);
        return is_private(into);
    }
    const char *base = getenv("XDG_RUNTIME_DIR");
    if (base && *base == '/') {
        snprintf(into, size, "%s/distplusplus", base);
        if (is_private(into))
            return 1;
    }
    snprintf(into, size, "/tmp/distplusplus-%u", (unsigned)own_uid());
    return is_private(into);
}

/* The address of a socket in the runtime directory. 0, or -1 with errno if its path is too long. */
static int address_of(const char *directory, const char *name, const char *suffix, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s%s", directory, name, suffix);
    if (length < (int)sizeof address->sun_path)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* A connection to an agent of this user; -1 with errno, ECONNREFUSED if nobody listens. */
static int connect_to(const struct sockaddr_un *address)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int error = connect(fd, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
    if (!error && (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) || peer.uid != own_uid()))
        error = EPERM;
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/* A socket that listens at `address`; compiles queue in its backlog while the agent starts. `new` is its address until
 * then. -1 with errno. */
static int listen_at(const struct sockaddr_un *new, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    unlink(new->sun_path);
    if (bind(fd, (const struct sockaddr *)new, sizeof *new) == 0 && chmod(new->sun_path, 0600) == 0 &&
        listen(fd, BACKLOG) == 0 && rename(new->sun_path, address->sun_path) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Removes sockets on which nobody listens: of agents that were killed, as with their container. */
static void remove_dead_sockets(const char *directory)
{
    DIR *entries = opendir(directory);
    struct sockaddr_un address;
    const struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        size_t length = strlen(entry->d_name), suffix = strlen(SOCKET_SUFFIX);
        if (length < suffix || strcmp(entry->d_name + length - suffix, SOCKET_SUFFIX) ||
            address_of(directory, entry->d_name, "", &address))
            continue;
        int fd = connect_to(&address);
        if (fd >= 0)
            close(fd);
        else if (errno == ECONNREFUSED)
            unlink(address.sun_path);
    }
    if (entries)
        closedir(entries);
}

/* Starts the agent of the view called `name`, and connects to it. The caller holds the lock. -1 after a message. */
static int start_agent(const char *directory, const char *name, const struct sockaddr_un *address)
{
    char program[PATH_MAX];
    struct sockaddr_un new;
    if (!find_agent(program)) {
        say("cannot find %s (is it installed beside %s?); compiling locally", AGENT_PROGRAM, self_path());
        return -1;
    }
    remove_dead_sockets(directory);
    int listener = address_of(directory, name, NEW_SUFFIX, &new) ? -1 : listen_at(&new, address);
    pid_t child = listener < 0 ? -1 : fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            become_agent(listener, program, directory);
        _exit(0);
    }
    int fd = child < 0 ? -1 : connect_to(address);
    if (fd < 0)
        say("cannot start the agent in %s: %s; compiling locally", directory, strerror(errno));
    if (listener >= 0)
        close(listener);
    if (child > 0)
        waitpid(child, NULL, 0);
    return fd;
}

/* A connection to the agent, which is started if none runs. -1 after a message. */
int connect_agent(void)
{
    char directory[PATH_MAX - 64], lock_path[PATH_MAX], name[VIEW_NAME_BYTES];
    struct sockaddr_un address;
    if (view_name(name)) {
        say("cannot tell this view of the system from others: /proc: %s; compiling locally", strerror(errno));
        return -1;
    }
    if (!runtime_directory(directory, sizeof directory)) {
        say("%s is not a directory of this user's alone (mode 0700); compiling locally", directory);
        return -1;
    }
    if (address_of(directory, name, SOCKET_SUFFIX, &address)) {
        say("the agent's socket in %s: %s; compiling locally", directory, strerror(errno));
        return -1;
    }
    int fd = connect_to(&address);
    if (fd >= 0)
        return fd;
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        say("cannot lock %s: %s; compiling locally", lock_path, strerror(errno));
        if (lock >= 0)
            close(lock);
        return -1;
    }
    fd = connect_to(&address); /* another launcher may have started it while we waited for the lock */
    if (fd < 0)
        fd = start_agent(directory, name, &address);
    close(lock);
    return fd;
}
