/* Running the preprocessor for the agent. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int messages = -1; /* memfd with what the preprocessor said and nobody has seen yet */

/* The argv of the preprocessor: our argv[0], then the words, each ended by a NUL. NULL without memory. */
static char **preprocessor_arguments(const struct command *command, char *words, size_t size)
{
    size_t count = 0;
    for (size_t index = 0; index < size; index++)
        count += words[index] == 0;
    char **arguments = calloc(count + 2, sizeof *arguments);
    if (!arguments)
        return NULL;
    arguments[0] = command->arguments[0];
    for (size_t index = 1; index <= count; index++) {
        arguments[index] = words;
        words += strlen(words) + 1;
    }
    return arguments;
}

/* Runs it with its output and messages in the memfds. 0 and a wait status, or -1. */
static int run_preprocessor(const struct command *command, char **arguments, const int memory[2], int *status)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    if (posix_spawn_file_actions_init(&actions))
        return -1;
    int failed = posix_spawn_file_actions_adddup2(&actions, memory[0], 1) ||
                 posix_spawn_file_actions_adddup2(&actions, memory[1], 2) ||
                 posix_spawn(&child, command->compiler, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return -1;
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

static void close_open(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* Runs the preprocessor with the words that the agent sent, and sends it text and messages. 0 or -1. */
int preprocess(int agent, const struct command *command, char *words, size_t size)
{
    int memory[2] = {memfd_create("distplusplus-text", MFD_CLOEXEC),
                     memfd_create("distplusplus-messages", MFD_CLOEXEC)};
    char **arguments = preprocessor_arguments(command, words, size);
    int status, failed = -1;
    if (arguments && memory[0] >= 0 && memory[1] >= 0 && run_preprocessor(command, arguments, memory, &status) == 0) {
        char answer[5] = {PACKET_PREPROCESSED};
        int32_t number = status;
        memcpy(answer + 1, &number, sizeof number);
        failed = send_packet(agent, answer, sizeof answer, memory, 2);
        close_open(messages); /* of an earlier run: the agent asked for another one in its place */
        messages = memory[1];
    } else {
        close_open(memory[1]);
    }
    close_open(memory[0]);
    free(arguments);
    return failed;
}

/* Shows what the preprocessor said: it comes before what the compiler says. 0 or -1. */
int show_preprocessor_messages(void)
{
    if (messages < 0)
        return 0;
    int failed = copy_memory(messages, 2);
    close(messages);
    messages = -1;
    return failed;
}
