/* The conversation with the agent about one compile. */
#define _GNU_SOURCE
#include "launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

static int append(FILE *file, const char *text)
{
    return fwrite(text, 1, strlen(text) + 1, file) == strlen(text) + 1 ? 0 : -1;
}

static int append_number(FILE *file, int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    return append(file, text);
}

/* Writes the request: version, flags, compiler, directory, number of arguments, arguments, environment; each ended by
 * a NUL. 0 or -1. */
static int write_request(FILE *file, const struct command *command, const char *directory)
{
    int count = 0;
    while (command->arguments[count + 1])
        count++;
    int failed = append(file, VERSION);
    failed |= append_number(file, command->flags);
    failed |= append(file, command->compiler);
    failed |= append(file, directory);
    failed |= append_number(file, count);
    for (int index = 1; index <= count; index++)
        failed |= append(file, command->arguments[index]);
    for (char **entry = environ; *entry; entry++)
        failed |= append(file, *entry);
    return failed | fflush(file);
}

/* Sends the request in a memfd: a command line can be larger than a packet. */
static enum outcome send_request(int agent, const struct command *command)
{
    char directory[PATH_MAX];
    if (!getcwd(directory, sizeof directory))
        return COMPILE_LOCAL; /* it was removed, or its path is too long: the compiler knows what that means */
    int memory = memfd_create("distplusplus-request", MFD_CLOEXEC);
    if (memory < 0)
        return COMPILE_LOCAL;
    FILE *file = fdopen(memory, "w");
    if (!file) {
        close(memory);
        return COMPILE_LOCAL;
    }
    enum outcome outcome = NEXT_PACKET;
    const char kind = PACKET_COMPILE;
    if (write_request(file, command, directory))
        outcome = COMPILE_LOCAL;
    else if (send_packet(agent, &kind, 1, &memory, 1))
        outcome = NEW_AGENT;
    fclose(file);
    return outcome;
}

/* Shows what the compiler said on a server. */
static enum outcome show(int to, char *text, size_t size)
{
    if (show_preprocessor_messages() || to_user_charset(text, &size) || write_all(to, text, size))
        return COMPILE_LOCAL;
    return NEXT_PACKET;
}

static enum outcome finish(const char *bytes, size_t size, int *status)
{
    int32_t number;
    if (size != sizeof number || show_preprocessor_messages())
        return COMPILE_LOCAL;
    memcpy(&number, bytes, sizeof number);
    *status = number & 0xff;
    return FINISHED;
}

/* Does what one packet says. */
static enum outcome obey(int agent, const struct command *command, struct packet *packet, int *status)
{
    char *rest = packet->bytes + 1;
    size_t size = packet->size - 1;
    switch (packet->bytes[0]) {
    case PACKET_KEEP_ALIVE:
        return NEXT_PACKET;
    case PACKET_MESSAGE:
        say("%.*s", (int)size, rest);
        return NEXT_PACKET;
    case PACKET_PREPROCESS:
        return preprocess(agent, command, rest, size) == 0 ? NEXT_PACKET : COMPILE_LOCAL;
    case PACKET_FILE:
        return packet->descriptor >= 0 && write_output(rest, packet->descriptor) == 0 ? NEXT_PACKET : COMPILE_LOCAL;
    case PACKET_OUTPUT:
        return show(1, rest, size);
    case PACKET_ERROR:
        return show(2, rest, size);
    case PACKET_EXIT:
        return finish(rest, size, status);
    case PACKET_VERSION:
        return NEW_AGENT;
    case PACKET_LOCAL:
        if (size == 1 && rest[0] == LOCAL_COUNTED)
            fcntl(agent, F_SETFD, 0); /* the compiler inherits it */
        return COMPILE_LOCAL;
    default:
        say("a packet of the agent is of an unknown kind; compiling locally");
        return COMPILE_LOCAL;
    }
}

/* Sends the request and does what the agent answers, to the end: FINISHED with an exit status in `status`, NEW_AGENT
 * or COMPILE_LOCAL. */
enum outcome converse(int agent, const struct command *command, int *status)
{
    static struct packet packet;
    int answered = 0;
    enum outcome outcome = send_request(agent, command);
    while (outcome == NEXT_PACKET) {
        int received = receive_packet(agent, &packet);
        if (received < 0)
            return COMPILE_LOCAL;
        if (received == 0 && !answered)
            return NEW_AGENT;
        if (received == 0) {
            say("the agent has gone away; compiling locally");
            return COMPILE_LOCAL;
        }
        answered = 1;
        outcome = obey(agent, command, &packet, status);
        if (packet.descriptor >= 0)
            close(packet.descriptor);
    }
    return outcome;
}
