/* distplusplus: the process that a build tool starts once per compile.
 *
 *   distplusplus COMPILER ARGUMENT...   or, as a symbolic link named like a compiler:   g++ ARGUMENT...
 *
 * It hands the command to the user's agent (distplusplus/agent/agent.py, which it starts when there is
 * none) and does what the agent answers: preprocess, write the object, say something, or run the compiler itself.
 * Whatever writes files or runs programs of the user happens here, in his own process, directory and environment.
 * Whatever goes wrong, it becomes the compiler. Linux and libc, nothing else.
 *
 * The agent's socket is a SOCK_SEQPACKET: one packet is one message, and its first byte is the kind.
 *
 *   to the agent    'C' compile      one memfd: version, flags, compiler, directory, number of arguments, arguments,
 *                                    environment, each ended by a NUL
 *                   'R' preprocessed 4 bytes of wait status, two memfds: the text, the messages
 *                   'S' stop         end when the compiles have ended (distplusplus --stop)
 *   from the agent  'P' preprocess   the arguments, each ended by a NUL; text and messages go into memfds
 *                   'F' file         a name; one memfd: what to write there
 *                   'O' 'E'          bytes for standard output and standard error
 *                   'M' message      a line of the agent's for standard error
 *                   'X' exit         4 bytes of exit status
 *                   'L' local        run the compiler here; 'h' after it: keep the socket open, it counts as a slot
 *                   'V' version      this agent is of another version and ends; start a new one
 *                   'K' keep-alive   the agent lives
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "0"
#endif

#define AGENT "distplusplus-agent"
#define DEPTH_VARIABLE "DISTPLUSPLUS_DEPTH"
/* ccache before us before ccache is the deepest nesting that makes sense; a loop ends here. */
#define MAX_DEPTH 6
/* The agent sends a keep-alive every 5 s. */
#define AGENT_SILENCE_MS 30000
#define MAX_PACKET (128 * 1024)
#define EXIT_TROUBLE 1

#define FLAG_TERMINAL 1 /* standard error is a terminal */
#define FLAG_EXPLAIN 2  /* --explain: tell what would happen */
#define FLAG_NESTED 4   /* a launcher above us runs us */

extern char **environ;

static struct stat self;
static char self_path[PATH_MAX];
static char *compiler;        /* path of the real compiler */
static char **arguments;      /* its argv */
static int preprocessor_messages = -1;
static int flags;
static char temporary[PATH_MAX];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    char line[1024];
    va_list list;
    va_start(list, format);
    int length = snprintf(line, sizeof line, "distplusplus: ");
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, list);
    va_end(list);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(2, line, (size_t)length) < 0)
        return;
}

/* ------------------------------------------------------------------------------------ finding the real compiler */

static int is_self(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_dev == self.st_dev && status.st_ino == self.st_ino;
}

static int is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Joins one entry of PATH and a name; an empty entry is the current directory. */
static int join(char *into, const char *directory, size_t length, const char *name)
{
    int written = length ? snprintf(into, PATH_MAX, "%.*s/%s", (int)length, directory, name)
                         : snprintf(into, PATH_MAX, "./%s", name);
    return written > 0 && written < PATH_MAX;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* The first program called `name` in PATH that is not this one, NULL if there is none. */
static char *find_in_path(const char *name)
{
    char candidate[PATH_MAX];
    for (const char *entry = search_path(); entry;) {
        size_t length = strcspn(entry, ":");
        if (join(candidate, entry, length, name) && is_program(candidate) && !is_self(candidate))
            return strdup(candidate);
        entry = entry[length] ? entry + length + 1 : NULL;
    }
    return NULL;
}

/* Takes the directories in which `name` is this program out of PATH: what we run must not find us again. */
static void trim_path(const char *name)
{
    const char *path = search_path();
    char *kept = calloc(strlen(path) + 2, 1);
    char candidate[PATH_MAX];
    int trimmed = 0, first = 1;
    if (!kept)
        return;
    for (const char *entry = path; entry;) {
        size_t length = strcspn(entry, ":");
        if (join(candidate, entry, length, name) && is_self(candidate)) {
            trimmed = 1;
        } else {
            if (!first)
                strcat(kept, ":");
            strncat(kept, entry, length);
            first = 0;
        }
        entry = entry[length] ? entry + length + 1 : NULL;
    }
    if (trimmed)
        setenv("PATH", *kept ? kept : "/usr/local/bin:/usr/bin:/bin", 1);
    free(kept);
}

/* Sets `compiler` and `arguments` from a command whose first word may be this program. Ends the process without one. */
static void find_compiler(char **command)
{
    while (command[1] && strcmp(base_name(command[0]), "distplusplus") == 0)
        command++; /* distplusplus distplusplus g++ */
    const char *name = base_name(command[0]);
    if (strchr(command[0], '/') && !is_self(command[0]))
        compiler = command[0];
    else
        compiler = strcmp(name, "distplusplus") ? find_in_path(name) : NULL;
    if (!compiler) {
        say("no compiler '%s' in PATH besides this program (install it, or add its directory to PATH)", name);
        exit(127);
    }
    trim_path(name);
    arguments = command;
    /* As without us: compilers tell their name as they were called, and look for it in PATH. */
    if (strchr(command[0], '/'))
        arguments[0] = compiler;
}

/* Becomes the compiler: the answer to every trouble. */
static void run_locally(void) __attribute__((noreturn));

static void run_locally(void)
{
    execv(compiler, arguments);
    int error = errno;
    say("cannot run %s: %s", compiler, strerror(error));
    exit(error == ENOENT ? 127 : 126);
}

/* -------------------------------------------------------------------------------------------- reaching the agent */

static uid_t own_uid(void)
{
    return (uid_t)getauxval(AT_EUID); /* geteuid() lies under fakeroot */
}

/* A directory that is ours alone; made if it is not there. */
static int is_private(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return 0;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == own_uid() &&
           (status.st_mode & 077) == 0;
}

/* Where the agent's socket is (client/runtime.py has the same rule). */
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

/* A socket, and the address of `name` in the runtime directory. -1 if the path is too long. */
static int make_socket(const char *directory, const char *name, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", directory, name) >=
        (int)sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static int connect_to(const char *directory)
{
    struct sockaddr_un address;
    struct ucred peer;
    socklen_t length = sizeof peer;
    int fd = make_socket(directory, "agent.sock", &address);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == own_uid())
        return fd;
    close(fd);
    return -1;
}

/* Puts the agent's path into `into`: beside this program, else in PATH. */
static int find_agent(char *into)
{
    const char *chosen = getenv("DISTPLUSPLUS_AGENT");
    if (chosen && *chosen)
        return snprintf(into, PATH_MAX, "%s", chosen) < PATH_MAX && is_program(into);
    const char *slash = strrchr(self_path, '/');
    if (slash && join(into, self_path, (size_t)(slash - self_path), AGENT) && is_program(into))
        return 1;
    char *found = find_in_path(AGENT);
    if (!found)
        return 0;
    snprintf(into, PATH_MAX, "%s", found);
    free(found);
    return 1;
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

/* In the grandchild: becomes the agent. It must not keep anything of the build: pipes, terminal, directory. */
static void become_agent(int listener, const char *program, const char *directory)
{
    char log[PATH_MAX];
    static const char *const dropped[] = {"LD_PRELOAD", "FAKEROOTKEY", "PYTHONHOME", "PYTHONPATH", DEPTH_VARIABLE,
                                          "MAKEFLAGS", "MFLAGS", NULL};
    snprintf(log, sizeof log, "%s/agent.log", directory);
    dup2(listener, 3);
    fcntl(3, F_SETFD, 0); /* it may have been 3 already */
    int null = open("/dev/null", O_RDONLY);
    int messages = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    dup2(null, 0);
    dup2(messages < 0 ? null : messages, 1);
    dup2(messages < 0 ? null : messages, 2);
    close_range(4, ~0U, 0);
    for (int index = 0; dropped[index]; index++)
        unsetenv(dropped[index]);
    lift_limits();
    if (chdir("/") < 0)
        _exit(127);
    execl(program, program, "--listen-fd=3", (char *)NULL);
    say("cannot run %s: %s", program, strerror(errno)); /* into the log */
    _exit(127);
}

/* Binds the socket here, so that compiles queue in its backlog while the agent starts. */
static int start_agent(const char *directory)
{
    struct sockaddr_un address, final;
    char program[PATH_MAX];
    if (!find_agent(program)) {
        say("cannot find %s (is it installed beside %s?); compiling here", AGENT, self_path);
        return -1;
    }
    int fd = make_socket(directory, "agent.new", &address);
    int other = make_socket(directory, "agent.sock", &final);
    if (other >= 0)
        close(other);
    if (fd < 0 || other < 0)
        return -1;
    unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(address.sun_path, 0600) < 0 ||
        listen(fd, 4096) < 0 || rename(address.sun_path, final.sun_path) < 0) {
        close(fd);
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            become_agent(fd, program, directory);
        _exit(0);
    }
    close(fd);
    if (child < 0)
        return -1;
    waitpid(child, NULL, 0);
    return 0;
}

/* A connection to the agent, which is started if there is none. */
static int connect_agent(void)
{
    char directory[PATH_MAX - 64], lock_path[PATH_MAX];
    if (!runtime_directory(directory, sizeof directory)) {
        say("%s is not a directory of this user's alone (mode 0700); compiling here", directory);
        return -1;
    }
    int fd = connect_to(directory);
    if (fd >= 0)
        return fd;
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        say("cannot lock %s: %s; compiling here", lock_path, strerror(errno));
        if (lock >= 0)
            close(lock);
        return -1;
    }
    fd = connect_to(directory); /* another launcher may have started it while we waited for the lock */
    if (fd < 0 && start_agent(directory) == 0)
        fd = connect_to(directory);
    if (fd < 0)
        say("cannot start the agent in %s: %s; compiling here", directory, strerror(errno));
    close(lock);
    return fd;
}

/* ------------------------------------------------------------------------------------------------------ messages */

static int send_packet(int fd, const void *data, size_t size, const int *descriptors, int count)
{
    char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, (size_t)count * sizeof(int));
    }
    ssize_t sent;
    while ((sent = sendmsg(fd, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return sent == (ssize_t)size ? 0 : -1;
}

static int append(FILE *file, const char *text)
{
    return fwrite(text, 1, strlen(text) + 1, file) == strlen(text) + 1 ? 0 : -1;
}

enum { RETRY = -1, LOCAL = -2 };

/* The request in a memfd: a packet cannot be as large as a command line. 0, RETRY or LOCAL. */
static int send_request(int fd)
{
    char directory[PATH_MAX], number[32];
    if (!getcwd(directory, sizeof directory))
        return LOCAL; /* it was removed, or its path is too long: the compiler knows what that means */
    int memory = memfd_create("distplusplus-request", MFD_CLOEXEC);
    FILE *file = memory < 0 ? NULL : fdopen(memory, "w");
    if (!file)
        return LOCAL;
    int count = 0, failed = 0;
    while (arguments[count + 1])
        count++;
    failed |= append(file, VERSION);
    snprintf(number, sizeof number, "%d", flags);
    failed |= append(file, number);
    failed |= append(file, compiler);
    failed |= append(file, directory);
    snprintf(number, sizeof number, "%d", count);
    failed |= append(file, number);
    for (int index = 1; index <= count; index++)
        failed |= append(file, arguments[index]);
    for (char **entry = environ; *entry; entry++)
        failed |= append(file, *entry);
    failed |= fflush(file);
    if (failed)
        failed = LOCAL;
    else if (send_packet(fd, "C", 1, &memory, 1))
        failed = RETRY;
    fclose(file);
    return failed;
}

/* Copies a memfd to a descriptor. */
static int copy_out(int memory, int to)
{
    char buffer[65536];
    ssize_t length;
    if (lseek(memory, 0, SEEK_SET) < 0)
        return -1;
    while ((length = read(memory, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < length;) {
            ssize_t written = write(to, buffer + done, (size_t)(length - done));
            if (written < 0 && errno != EINTR)
                return -1;
            done += written > 0 ? written : 0;
        }
    }
    return length < 0 ? -1 : 0;
}

/* Runs the preprocessor that the agent asks for. `packet`: its arguments. -1: no use, compile here. */
static int preprocess(int fd, char *packet, size_t size)
{
    size_t count = 0;
    for (size_t index = 0; index < size; index++)
        count += packet[index] == 0;
    char **command = calloc(count + 2, sizeof *command);
    int memory[2] = {memfd_create("distplusplus-text", MFD_CLOEXEC), memfd_create("distplusplus-messages", MFD_CLOEXEC)};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    if (!command || memory[0] < 0 || memory[1] < 0 || posix_spawn_file_actions_init(&actions))
        return -1;
    command[0] = arguments[0];
    char *word = packet;
    for (size_t index = 1; index <= count; index++) {
        command[index] = word;
        word += strlen(word) + 1;
    }
    posix_spawn_file_actions_adddup2(&actions, memory[0], 1);
    posix_spawn_file_actions_adddup2(&actions, memory[1], 2);
    int error = posix_spawn(&child, compiler, &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    free(command);
    if (error)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    preprocessor_messages = memory[1];
    char answer[5] = {'R'};
    int32_t number = status;
    memcpy(answer + 1, &number, 4);
    int failed = send_packet(fd, answer, sizeof answer, memory, 2);
    close(memory[0]);
    return failed;
}

static void ignore(int number)
{
    (void)number;
}

/* A signal that ends us takes the half-written file along. A write that fails is noticed where it fails, and what the
 * compiler makes of that is its matter; it must not find these signals ignored, as a handler is not inherited. */
static void clean_up(int number)
{
    if (*temporary)
        unlink(temporary);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT}, failing[] = {SIGPIPE, SIGXFSZ};
    for (size_t index = 0; index < sizeof ending / sizeof *ending; index++)
        if (signal(ending[index], clean_up) == SIG_IGN)
            signal(ending[index], SIG_IGN);
    for (size_t index = 0; index < sizeof failing / sizeof *failing; index++)
        if (signal(failing[index], ignore) == SIG_IGN)
            signal(failing[index], SIG_IGN);
}

/* Whether a new file in its place would be as what the compiler leaves. Compilers differ in what becomes of links, of
 * modes, and of a file that somebody made empty beforehand. */
static int is_replaceable(const struct stat *status)
{
    mode_t mask = umask(0);
    umask(mask);
    return S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_size > 0 &&
           (status->st_mode & 07777) == (0666 & ~mask);
}

/* Writes one output, whole or not at all. Beside it first, so that nobody sees half a file; devices in place. */
static int write_file(const char *name, int memory)
{
    struct stat status;
    int exists = lstat(name, &status) == 0;
    int in_place = exists && S_ISCHR(status.st_mode);
    int fd;
    if (exists && !in_place && !is_replaceable(&status))
        return -1;
    if (in_place) {
        fd = open(name, O_WRONLY | O_CLOEXEC);
    } else {
        if (snprintf(temporary, sizeof temporary, "%s.%d.tmp", name, (int)getpid()) >= (int)sizeof temporary) {
            *temporary = 0;
            return -1;
        }
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
            *temporary = 0;
    }
    if (fd < 0)
        return -1;
    int failed = copy_out(memory, fd);
    failed |= close(fd);
    if (!in_place) {
        if (!failed)
            failed = rename(temporary, name);
        if (failed)
            unlink(temporary);
        *temporary = 0;
    }
    return failed;
}

/* ---------------------------------------------------------------------------------------------- the conversation */

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* What the preprocessor said comes before what the compiler says. */
static int show_preprocessor_messages(void)
{
    int failed = preprocessor_messages >= 0 ? copy_out(preprocessor_messages, 2) : 0;
    preprocessor_messages = -1;
    return failed;
}

static int is_quote(const char *text)
{
    return memcmp(text, "\xe2\x80\x98", 3) == 0 || memcmp(text, "\xe2\x80\x99", 3) == 0;
}

/* GCC's quotes in the user's character set; servers use UTF-8. -1 if there is more that it may lack. */
static int to_users_charset(char *text, size_t *size)
{
    size_t kept = 0;
    while (kept < *size && !(text[kept] & 0x80))
        kept++;
    if (kept == *size)
        return 0;
    setlocale(LC_CTYPE, ""); /* a locale that is not installed leaves "C", as for the compiler */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return 0;
    for (size_t index = kept; index < *size; index++) {
        if (index + 2 < *size && is_quote(text + index)) {
            text[kept++] = '\'';
            index += 2;
        } else if (text[index] & 0x80) {
            return -1;
        } else {
            text[kept++] = text[index];
        }
    }
    *size = kept;
    return 0;
}

static int show(int to, char *text, size_t size)
{
    if (show_preprocessor_messages() || to_users_charset(text, &size) || write_all(to, text, size))
        return LOCAL;
    return INT_MAX;
}

/* Does what one packet says. Returns an exit status, RETRY, LOCAL, or INT_MAX to go on. */
static int obey(int fd, char *packet, size_t size, int descriptor)
{
    int32_t status = EXIT_TROUBLE;
    switch (packet[0]) {
    case 'K':
        return INT_MAX;
    case 'M':
        say("%.*s", (int)(size - 1), packet + 1);
        return INT_MAX;
    case 'P':
        return preprocess(fd, packet + 1, size - 1) == 0 ? INT_MAX : LOCAL;
    case 'F':
        return descriptor >= 0 && write_file(packet + 1, descriptor) == 0 ? INT_MAX : LOCAL;
    case 'O':
    case 'E':
        return show(packet[0] == 'O' ? 1 : 2, packet + 1, size - 1);
    case 'X':
        if (show_preprocessor_messages())
            return LOCAL;
        if (size == 5)
            memcpy(&status, packet + 1, 4);
        return status & 0xff;
    case 'V':
        return RETRY;
    case 'L':
        if (size == 2 && packet[1] == 'h')
            fcntl(fd, F_SETFD, 0); /* the agent counts us as long as the compiler runs */
        return LOCAL;
    default:
        return LOCAL;
    }
}

static int converse(int fd)
{
    static char packet[MAX_PACKET + 1];
    int greeted = 0;
    int failed = send_request(fd);
    if (failed)
        return failed;
    for (;;) {
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {packet, MAX_PACKET};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct pollfd readable = {fd, POLLIN, 0};
        int ready = poll(&readable, 1, AGENT_SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0) {
            say("the agent has not answered for %d s; compiling here", AGENT_SILENCE_MS / 1000);
            return LOCAL;
        }
        ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0) {
            if (greeted)
                say("the agent has gone away; compiling here");
            return greeted ? LOCAL : RETRY;
        }
        greeted = 1;
        packet[size] = 0;
        int descriptor = -1;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_type == SCM_RIGHTS)
            memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
        int result = obey(fd, packet, (size_t)size, descriptor);
        if (descriptor >= 0)
            close(descriptor);
        if (result != INT_MAX)
            return result;
    }
}

/* Our own options are the agent program's. */
static void run_own_command(char **command)
{
    char program[PATH_MAX];
    if (!find_agent(program)) {
        say("cannot find %s (is it installed beside %s?)", AGENT, self_path);
        exit(EXIT_TROUBLE);
    }
    setenv("DISTPLUSPLUS_LAUNCHER", self_path, 1);
    execv(program, command);
    say("cannot run %s: %s", program, strerror(errno));
    exit(EXIT_TROUBLE);
}

static void count_depth(void)
{
    const char *text = getenv(DEPTH_VARIABLE);
    int depth = text ? atoi(text) : 0;
    char next[16];
    if (depth >= MAX_DEPTH) {
        say("started by itself %d times over: the compiler that PATH leads to comes back here (PATH=%.600s)", depth,
            search_path());
        exit(EXIT_TROUBLE);
    }
    if (depth > 0)
        flags |= FLAG_NESTED;
    snprintf(next, sizeof next, "%d", depth + 1);
    setenv(DEPTH_VARIABLE, next, 1);
}

/* Never onto a standard descriptor that was closed: messages would go into a socket. Returns which were, as bits. */
static int fill_standard_descriptors(void)
{
    int filled = 0;
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd > 2 || fd < 0) {
            close(fd);
            return filled;
        }
        filled |= 1 << fd;
    }
}

int main(int argc, char **argv)
{
    int closed = fill_standard_descriptors();
    ssize_t length = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    if (length < 0 || stat("/proc/self/exe", &self) < 0 || argc < 1) {
        say("cannot read /proc/self/exe: %s", strerror(errno));
        return EXIT_TROUBLE;
    }
    if (strcmp(base_name(argv[0]), "distplusplus") == 0) {
        if (argc > 2 && strcmp(argv[1], "--explain") == 0) {
            flags |= FLAG_EXPLAIN;
            argv++;
        } else if (argc < 2 || argv[1][0] == '-') {
            run_own_command(argv);
        }
        argv++;
    }
    count_depth();
    find_compiler(argv);
    if (closed) {
        /* The compiler ends with an error where it has something to say and nowhere to say it. */
        for (int fd = 0; fd <= 2; fd++)
            if (closed & 1 << fd)
                close(fd);
        run_locally();
    }
    if (isatty(2))
        flags |= FLAG_TERMINAL;
    catch_signals();
    for (int attempt = 0; attempt < 2; attempt++) {
        int fd = connect_agent();
        if (fd < 0)
            break;
        int result = converse(fd);
        if (result >= 0)
            return result;
        if (result == LOCAL)
            break;
        close(fd);
        if (attempt == 1)
            say("the agent ends before it answers (see agent.log in its directory); compiling here");
    }
    if (flags & FLAG_EXPLAIN) {
        say("cannot tell: there is no agent");
        return EXIT_TROUBLE;
    }
    run_locally();
}
