/* Which agent can stand for this process: one that sees the same system, and runs under the same restrictions. */
#define _GNU_SOURCE
#include "launcher.h"

#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* 64-bit FNV-1a: short, and good enough to tell a handful of views apart. */
#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static void mix(uint64_t *hash, uint64_t value)
{
    for (int byte = 0; byte < 8; byte++) {
        *hash = (*hash ^ (value & 0xff)) * FNV_PRIME;
        value >>= 8;
    }
}

static int mix_file(uint64_t *hash, const char *path)
{
    struct stat status = {0};
    int failed = stat(path, &status);
    mix(hash, status.st_dev);
    mix(hash, status.st_ino);
    return failed;
}

/* Puts the name of the agent's socket for this view, without a suffix, into `into`. 0, or -1 with errno without /proc.
 *
 * An agent looks at files, runs compilers and connects to servers, so it must share the mount, network and user
 * namespace and the root directory with its launchers. The kernel does not reuse a namespace's number while a process
 * is in it. An agent also inherits the nice value, scheduling class and hard limits of the first launcher. Only root
 * can improve those, so they are part of the name. It drops everything else that it inherits (new_agent.c). */
int view_name(char into[VIEW_NAME_BYTES])
{
    /* Six bits a character: the path of a socket has only 107 bytes. */
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    static const int limits[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC};
    uint64_t hash = FNV_OFFSET;
    if (mix_file(&hash, "/proc/self/ns/mnt"))
        return -1;
    mix_file(&hash, "/proc/self/ns/net"); /* a kernel without this kind has no file for it */
    mix_file(&hash, "/proc/self/ns/user");
    mix_file(&hash, "/");
    mix(&hash, (uint64_t)getpriority(PRIO_PROCESS, 0));
    mix(&hash, (uint64_t)sched_getscheduler(0));
    for (size_t index = 0; index < sizeof limits / sizeof *limits; index++) {
        struct rlimit limit = {0};
        getrlimit(limits[index], &limit);
        mix(&hash, limit.rlim_max);
    }
    strcpy(into, "agent-");
    for (char *end = into + strlen(into); end < into + VIEW_NAME_BYTES - 1; hash >>= 6) {
        *end++ = digits[hash & 63];
        *end = 0;
    }
    return 0;
}
