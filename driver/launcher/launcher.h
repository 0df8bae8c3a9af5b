/* distplusplus: the program that a build tool starts once for each compile.
 *
 *   distplusplus COMPILER ARGUMENT...   or, through a symbolic link named like a compiler:   g++ ARGUMENT...
 *
 * It hands the command to the user's agent (distplusplus/agent, started when none runs) and does what the agent
 * answers: run the preprocessor, write the object, show a message, or run the compiler. Everything that writes the
 * user's files or runs programs happens here, as the user, in the directory and environment of the build. When
 * anything goes wrong, it becomes the compiler. It needs Linux 3.17 and glibc 2.27 or later, and no other library.
 *
 *   main.c          what the command line asks for
 *   compiler.c      finds the real compiler, and becomes it
 *   ccache.c        keeps ccache from taking this program for the compiler
 *   agent.c         connects to the agent; binds its socket when none runs
 *   view.c          names the agent's socket: one agent for each view of the system
 *   new_agent.c     becomes the agent
 *   conversation.c  sends the request and obeys the answers
 *   packets.c       sends and receives one packet
 *   preprocess.c    runs the preprocessor for the agent
 *   outputs.c       writes output files
 *   messages.c      writes to standard output and standard error
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stddef.h>

#ifndef VERSION
#define VERSION "0"
#endif

/* The protocol between launcher and agent. The socket is a SOCK_SEQPACKET: one packet is one message, and its first
 * byte is its kind. agent/launcher_link.py has the other end; a test compares the two. */

/* To the agent. */
#define PACKET_COMPILE 'C'      /* one memfd with the request, see send_request() */
#define PACKET_PREPROCESSED 'R' /* 4 bytes of wait status; two memfds: the text and the messages */
#define PACKET_STOP 'S'         /* end when the compiles in progress have ended (distplusplus --stop) */

/* From the agent. */
#define PACKET_PREPROCESS 'P' /* run the preprocessor with these arguments, each ended by a NUL */
#define PACKET_FILE 'F'       /* an output's name, and one memfd with its content */
#define PACKET_OUTPUT 'O'     /* bytes for standard output */
#define PACKET_ERROR 'E'      /* bytes for standard error */
#define PACKET_MESSAGE 'M'    /* a message of the agent's own for standard error */
#define PACKET_EXIT 'X'       /* 4 bytes of exit status: the compile is done */
#define PACKET_LOCAL 'L'      /* run the compiler */
#define PACKET_VERSION 'V'    /* this agent has another version and ends: start a new one */
#define PACKET_KEEP_ALIVE 'K' /* the agent is alive */

/* After PACKET_LOCAL: the agent counts this compile as long as the socket stays open. */
#define LOCAL_COUNTED 'h'

#define FLAG_TERMINAL 1 /* standard error is a terminal */
#define FLAG_EXPLAIN 2  /* --explain: tell what would happen */
#define FLAG_NESTED 4   /* another launcher runs this one */

#define MAX_PACKET_BYTES (128 * 1024)

#define VIEW_NAME_BYTES sizeof "agent-01234567"
#define AGENT_PROGRAM "distplusplus-agent"
#define DEPTH_VARIABLE "DISTPLUSPLUS_DEPTH"
#define EXIT_TROUBLE 1

/* What one compile was started for. */
struct command {
    const char *compiler; /* path of the real compiler */
    char **arguments;     /* its argv */
    int flags;            /* FLAG_... */
};

/* What comes next after a packet, or after the whole conversation. */
enum outcome {
    NEXT_PACKET,   /* go on with this agent */
    FINISHED,      /* the compile is done; its exit status is known */
    NEW_AGENT,     /* this agent is of no use: try another one */
    COMPILE_LOCAL, /* run the compiler */
};

/* A packet that was received. */
struct packet {
    char bytes[MAX_PACKET_BYTES + 1]; /* a NUL follows the last byte */
    size_t size;
    int descriptor; /* -1 if it came with none */
};

/* compiler.c */
int find_self(void);
const char *self_path(void);
int is_program(const char *path);
const char *base_name(const char *path);
int join_path(char *into, const char *directory, size_t length, const char *name);
const char *search_path(void);
int find_in_path(const char *name, char *into);
void find_compiler(char **words, struct command *command);
void run_compiler(const struct command *command) __attribute__((noreturn));

/* ccache.c */
void refuse_ccache(char **arguments);

/* agent.c */
int connect_agent(void);

/* view.c */
int view_name(char into[VIEW_NAME_BYTES]);

/* new_agent.c */
int find_agent(char *into);
void become_agent(int listener, const char *program, const char *directory) __attribute__((noreturn));

/* conversation.c */
enum outcome converse(int agent, const struct command *command, int *status);

/* packets.c */
int send_packet(int to, const void *data, size_t size, const int *descriptors, int count);
int receive_packet(int from, struct packet *packet);

/* preprocess.c */
int preprocess(int agent, const struct command *command, char *words, size_t size);
int show_preprocessor_messages(void);

/* outputs.c */
void catch_signals(void);
int copy_memory(int memory, int to);
int write_output(const char *name, int memory);

/* messages.c */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int write_all(int to, const char *data, size_t size);
int to_user_charset(char *text, size_t *size);

#endif
